"""`smile predict --url`, against servers and proxies that refuse, are full, or keep silent."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from service.cli import remote
from service.cli.exits import Exit
from service.cli.main import main
from service.pipeline import Pipeline
from tests import clips
from tests.service.conftest import DEMO, Serve


@pytest.fixture
def proxy(client: httpx.Client) -> Iterator[str]:
    """Stands before the gateway: a clip that holds a status gets it, with a page as of nginx; others are handed on."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._hand_on(client.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if status := re.search(rb"\r\n\r\nstatus (\d+)", body):
                self.send_error(int(status[1]))
            else:
                kind = {"content-type": self.headers["content-type"]}
                self._hand_on(client.post(self.path, content=body, headers=kind))

        def _hand_on(self, answer: httpx.Response) -> None:
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *said: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


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


@pytest.mark.parametrize(("told", "waited"), [("3", 3), ("86400", remote.LONGEST_TOLD_S), ("Wed, 21 Oct 2026", 0)])
def test_nobody_is_kept_for_a_day(told: str, waited: int) -> None:
    """What a server says of when to come back is heeded within bounds."""
    assert remote._retry_after_s(httpx.Response(503, headers={"retry-after": told})) == waited


def test_clip_over_the_servers_limit_gets_a_row(gateway: Serve, tmp_path: Path, demo: bytes) -> None:
    """The server says so and closes long before it has the whole clip; the clips beside it are answered."""
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(demo)
    os.truncate(tmp_path / "b.mp4", 70_000_000)
    out = tmp_path / "results.jsonl"
    url = str(gateway(max_upload_mb=1).base_url)
    assert main(["predict", str(tmp_path), "--out", str(out), "--url", url]) == Exit.REFUSED
    assert _codes(out) == {"a.mp4": None, "b.mp4": "upload_too_large", "c.mp4": None}


def test_what_fails_for_now_is_left_to_the_next_run(
    gateway: Serve, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline that passed, or a fault of the service, says nothing final of a clip: no row, and a status for it."""

    async def at_fault(*arguments: object, **options: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(remote, "WAITS_S", (0,) * len(remote.WAITS_S))
    out = tmp_path / "results.jsonl"
    command = ["predict", str(DEMO), "--out", str(out), "--url"]
    assert main([*command, str(gateway(deadline_s=0.01).base_url)]) == Exit.UNAVAILABLE
    with monkeypatch.context() as broken:
        broken.setattr(Pipeline, "read_by", at_fault)
        assert main([*command, str(client.base_url)]) == Exit.UNAVAILABLE
    assert _codes(out) == {}
    assert main([*command, str(client.base_url)]) == Exit.FINE
    assert _codes(out) == {DEMO.name: None}


def test_run_outlives_what_a_proxy_says_of_one_clip(
    proxy: str, tmp_path: Path, demo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clip is too large for a proxy, its time runs out on another; the clips beside them are answered."""
    monkeypatch.setattr(remote, "WAITS_S", (0,) * len(remote.WAITS_S))
    for name, clip in (("a.mp4", demo), ("b.mp4", b"status 504"), ("c.mp4", b"status 413"), ("d.mp4", demo)):
        (tmp_path / name).write_bytes(clip)
    out = tmp_path / "results.jsonl"
    assert main(["predict", str(tmp_path), "--out", str(out), "--url", proxy]) == Exit.UNAVAILABLE
    assert _codes(out) == {"a.mp4": None, "c.mp4": "upload_too_large", "d.mp4": None}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)])
def test_interrupt_does_not_wait_for_the_server(number: signal.Signals, status: Exit) -> None:
    """Ctrl-C, or SIGTERM, ends the command at once although the server, which took the request, never answers."""
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "service", "predict", str(DEMO), "--url", url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heeding) as run, server.accept()[0] as asked:
            assert asked.recv(3) == b"GET"
            run.send_signal(number)
            assert run.wait(20) == status
            assert run.stderr and run.stderr.read() == b""
