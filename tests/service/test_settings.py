"""What the environment says."""

import runpy
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.cli import arguments
from service.cli.exits import Exit
from service.cli.main import main
from service.settings import Settings, available_cores, warn_of_unknown
from tests.service.triton_server import SERVE


def test_cores_follow_the_quota(tmp_path: Path) -> None:
    """A container's quota cuts the cores, by cgroup version 2 and 1; no quota, or no cgroup, leaves them."""
    without = available_cores(tmp_path)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert available_cores(tmp_path) == without
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("50000\n")
    assert available_cores(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert available_cores(tmp_path) == without
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert available_cores(tmp_path) == 1


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are read when the settings are made."""
    monkeypatch.setenv("SMILE_MAX_UPLOAD_MB", "1.5")
    monkeypatch.setenv("SMILE_GENDER", "false")
    assert Settings().max_upload_bytes == 1_500_000
    assert Settings().gender is False


def test_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `SMILE_GENDER=` in Compose's .env hands it on."""
    defaults = Settings()
    for name in Settings.model_fields:
        monkeypatch.setenv(f"SMILE_{name.upper()}", "")
    assert Settings() == defaults


@pytest.mark.parametrize(
    ("given", "meant"),
    [({"HOST": "", "PORT": ""}, (arguments.HOST, arguments.PORT)), ({"HOST": "::1", "PORT": "0"}, ("::1", 0))],
)
def test_address_to_serve_on(given: dict[str, str], meant: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """HOST and PORT say it; an empty one counts as absent, and not as every interface."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    asked = arguments.parser().parse_args(["serve"])
    assert (asked.host, asked.port) == meant


@pytest.mark.parametrize("option", ["--host=", "--port=", "--port=-1", "--port=65536", "--port=http"])
def test_address_that_is_none_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is loaded: 74642 was served as 9106, an empty host as every interface."""
    with pytest.raises(SystemExit, match="2"):
        arguments.parser().parse_args(["serve", option])
    assert "such as 127.0.0.1" in (said := capsys.readouterr().err) or "from 0 to 65535" in said


def test_empty_address_of_triton_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make triton` reads TRITON_HOST and its ports alike."""
    monkeypatch.setattr(sys, "argv", [str(SERVE)])
    for name in ("HOST", "HTTP_PORT"):
        monkeypatch.setenv(f"TRITON_{name}", "")
    asked = runpy.run_path(str(SERVE))["parse_arguments"]()
    assert (asked.host, asked.http_port) == ("127.0.0.1", 8000)


@pytest.mark.parametrize(
    "mistyped", ["redis://:secret@127.0.0.1:abc", "redis://:secret/word@host", "redis://h?db=secret"]
)
def test_mistyped_queue_is_said_without_its_password(
    mistyped: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, by whatever starts; what a library says of a URL may quote it."""
    monkeypatch.setenv("SMILE_JOBS", mistyped)
    assert main(["worker"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert said == "smile: SMILE_JOBS: no URL of a Redis: write redis://user:password@host:port/number\n"
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert "secret" not in str(raised.value)


def test_misspelt_variable_is_told_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """By name. Those that mean something, here or to what trains, are not."""
    monkeypatch.setenv("SMILE_MAX_UPLAOD_MB", "1")
    for known in ("SMILE_MAX_UPLOAD_MB", "smile_gender", "SMILE_STILLS"):
        monkeypatch.setenv(known, "1")
    warn_of_unknown()
    assert [vars(record)["variable"] for record in caplog.records] == ["SMILE_MAX_UPLAOD_MB"]
