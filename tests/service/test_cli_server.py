"""`smile predict --url`, against servers and proxies that refuse, are full, or keep silent."""

import json
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

from service.cli.exits import Exit
from service.cli.main import main
from tests import clips
from tests.service.conftest import DEMO, Serve


def _codes(out: Path) -> dict[str, str | None]:
    """By clip: why it was refused, None where it was answered."""
    lines = map(json.loads, out.read_text().splitlines())
    return {Path(line["clip"]).name: line["error"] and line["error"]["code"] for line in lines}


def test_overloaded_server_is_asked_again(gateway: Serve, tmp_path: Path, demo: bytes) -> None:
    """Clips that a full server turns away are sent again; none is lost."""
    url = str(gateway(concurrency=1, queue=0).base_url)
    for name, clip in (("a.mp4", demo), ("b.mp4", demo), ("c.mp4", clips.not_a_video())):
        (tmp_path / name).write_bytes(clip)
    out = tmp_path / "results.jsonl"
    assert main(["predict", str(tmp_path), "--out", str(out), "--url", url, "--parallel", "3"]) == Exit.REFUSED
    assert _codes(out) == {"a.mp4": None, "b.mp4": None, "c.mp4": "unreadable_video"}


def test_clip_over_the_servers_limit_gets_a_row(gateway: Serve, tmp_path: Path, demo: bytes) -> None:
    """The server says so and closes long before it has the whole clip; the clips beside it are answered."""
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(demo)
    os.truncate(tmp_path / "b.mp4", 70_000_000)
    out = tmp_path / "results.jsonl"
    url = str(gateway(max_upload_mb=1).base_url)
    assert main(["predict", str(tmp_path), "--out", str(out), "--url", url]) == Exit.REFUSED
    assert _codes(out) == {"a.mp4": None, "b.mp4": "upload_too_large", "c.mp4": None}


def test_interrupt_does_not_wait_for_the_server() -> None:
    """Ctrl-C ends the command at once although the server, which took the request, never answers."""
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "service", "predict", str(DEMO), "--url", url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heeding) as run, server.accept()[0] as asked:
            assert asked.recv(3) == b"GET"
            run.send_signal(signal.SIGINT)
            assert run.wait(20) == Exit.INTERRUPTED
            assert run.stderr and run.stderr.read() == b""
