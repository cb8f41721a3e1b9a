"""Clips long enough to be caught at work, jobs as their users see them, and Debian's Redis, started and stopped."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
import redis

from tests.service.conftest import DEMO
from tests.service.ports import free_ports

ROOT = DEMO.parents[1]
PATIENCE_S = 120


def submit(client: httpx.Client, clip: bytes, key: str | None = None, **params: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post("/jobs", files={"video": ("clip.mp4", clip)}, params=params, headers=headers)


def until(client: httpx.Client, path: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job, as soon as it is as `reached` wants it; answers that say that the queue is away are waited through."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        job = client.get(path).json()
        if "state" in job and reached(job):
            return dict(job)
        time.sleep(0.02)
    raise AssertionError(f"not reached: {job}")


def ended(job: dict[str, Any]) -> bool:
    return job["state"] in ("done", "failed")


def at_work(job: dict[str, Any]) -> bool:
    return job["state"] == "running" and job["frames_decoded"] > 0


def followed(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """The events of a stream, as they come. Comments keep it alive, so that only a clock ends what brings no more."""
    name, ends = "", time.monotonic() + PATIENCE_S
    for line in lines:
        assert time.monotonic() < ends, "the stream goes on"
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield name, json.loads(line.removeprefix("data:"))


@pytest.fixture(scope="session")
def long_clip() -> bytes:
    """The demo clip four times over, without decoding it."""
    joined = io.BytesIO()
    with av.open(joined, "w", format="mp4") as output:
        with av.open(str(DEMO)) as source:
            stream = output.add_stream_from_template(source.streams.video[0])
        start = 0
        for _ in range(4):
            with av.open(str(DEMO)) as source:
                picture = source.streams.video[0]
                for packet in source.demux(picture):
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + start, packet.dts + start
                    packet.stream = stream
                    output.mux(packet)
                start += picture.duration or 0
    return joined.getvalue()


class Redis:
    """A redis-server of the test's own, that loses nothing when it is stopped."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._folder, "appendonly": "yes", "save": ""}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        ends = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < ends and self._process.poll() is None, "redis-server did not start"
            time.sleep(0.05)

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.client().ping())
        return False

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    """A running Redis."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    server = Redis(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Worker:
    """A process of `python -m service worker`, and what it logged."""

    def __init__(self, redis_url: str, log: Path, **settings: Any) -> None:
        given = {"jobs": redis_url, "job_lease_s": 2, **settings}
        environment = {f"SMILE_{name.upper()}": str(value) for name, value in given.items()}
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service", "worker"], cwd=ROOT, env={**os.environ, **environment}, stderr=file
            )

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        return self._process.wait(30)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def logged(self) -> str:
        return self._log.read_text()

    def count(self, event: str) -> int:
        return self.logged().count(f'"event": "{event}"')

    def until(self, event: str) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not self.count(event):
            assert time.monotonic() < ends and self._process.poll() is None, self.logged()
            time.sleep(0.02)


@pytest.fixture
def start_worker(redis_server: Redis, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Factory: a worker on the test's Redis; all are killed after the test."""
    workers: list[Worker] = []

    def start(**settings: Any) -> Worker:
        workers.append(Worker(redis_server.url, tmp_path / f"worker{len(workers)}.log", **settings))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()
