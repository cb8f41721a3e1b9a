"""What the environment says."""

from pathlib import Path

import pytest

from service.settings import Settings, available_cores, warn_of_unknown


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


def test_misspelt_variable_is_told_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """By name. Those that mean something, here or to what trains, are not."""
    monkeypatch.setenv("SMILE_MAX_UPLAOD_MB", "1")
    for known in ("SMILE_MAX_UPLOAD_MB", "smile_gender", "SMILE_STILLS"):
        monkeypatch.setenv(known, "1")
    warn_of_unknown()
    assert [vars(record)["variable"] for record in caplog.records] == ["SMILE_MAX_UPLAOD_MB"]
