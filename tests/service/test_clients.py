"""docs/clients.md does what it says: its blocks are run against a real gateway, in order, section by section."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import DEMO

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/clients.md").read_text()
BLOCK = re.compile(r"^```(?P<language>\w+) (?P<name>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [match.groupdict() for match in BLOCK.finditer(PAGE)]
RELATION = r"^[\d.]+ years\n1 \w+ and \w+ [\d.]+"


def _run(section: str, folder: Path, client: httpx.Client) -> str:
    """Run the section's shell blocks beside clip.mp4, .venv and the programs that they name; what they print.

    What the page takes for installed is on PATH, but not what `make serve` leaves in .venv/bin.
    """
    shutil.copy(DEMO, folder / "clip.mp4")
    (folder / ".venv").symlink_to(sys.prefix)
    here = [block | {"text": block["text"].replace("http://127.0.0.1:8080", _url(client))} for block in BLOCKS]
    script = "".join(block["text"] for block in here if block["name"] == section)
    assert script
    for block in here:
        if block["language"] != "sh" and block["name"] in script:
            (folder / block["name"]).write_text(block["text"])
    path = os.environ["PATH"] if section == "smile" else f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", script]
    ran = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def _url(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


def test_every_block_is_run() -> None:
    """No block of the page goes without a name, and each shell section has a test here."""
    assert len(BLOCKS) == PAGE.count("```") / 2
    assert {block["name"] for block in BLOCKS if block["language"] == "sh"} == {"curl", "smile", "python", "typescript"}


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl(client: httpx.Client, tmp_path: Path) -> None:
    """One line gets an answer, another a figure."""
    assert re.fullmatch(r"[\d.]+ years\n", _run("curl", tmp_path, client))
    assert (tmp_path / "figure.svg").read_text().startswith("<svg")


@pytest.mark.skipif(not Path(sys.executable).with_name("smile").exists(), reason="needs the command of `make serve`")
def test_command_line(client: httpx.Client, tmp_path: Path) -> None:
    """The installed command works in its own process, against a server, and on standard input."""
    _run("smile", tmp_path, client)
    assert (tmp_path / "figures/clip.mp4.png").exists()
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 2


def test_generated_python_client(client: httpx.Client, tmp_path: Path) -> None:
    """openapi-python-client makes a typed client that gets an answer, a figure, and a problem by its code."""
    assert re.search(RELATION, _run("python", tmp_path, client), re.MULTILINE)
    assert (tmp_path / "clip.png").read_bytes().startswith(b"\x89PNG")
    refused = subprocess.run([sys.executable, "predict.py", "predict.py"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 1 and refused.stderr.startswith("unreadable_video: ")


def test_typescript_client(client: httpx.Client, tmp_path: Path) -> None:
    """openapi-typescript makes types that a strict compiler accepts the client with; Node gets an answer by it."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("needs node and npm")
    if subprocess.run(["npm", "ping"], capture_output=True, timeout=60).returncode:
        pytest.skip("needs npm's registry")
    assert re.search(RELATION, _run("typescript", tmp_path, client), re.MULTILINE)
    refused = subprocess.run(["node", "predict.mjs", "smile.d.ts"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 1 and "unreadable_video: " in refused.stderr
