"""The whole path through the real Triton server, on the model repository that ships."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.settings import Settings
from tests.service.conftest import Serve, post
from tests.service.triton_server import TritonServer


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    log = tmp_path_factory.mktemp("triton") / "log.txt"
    with TritonServer(Settings().model_repository, log) as server:
        yield server


def _numbers(body: Any) -> Iterator[float]:
    """Every number of an answer, in order."""
    if isinstance(body, dict):
        for value in body.values():
            yield from _numbers(value)
    elif isinstance(body, list):
        for value in body:
            yield from _numbers(value)
    elif isinstance(body, (int, float)):
        yield float(body)


def test_same_answer_as_in_process(triton: TritonServer, gateway: Serve, client: httpx.Client, demo: bytes) -> None:
    """Every number agrees within 1e-4, and so do ranks and words; the card is the same."""
    through = gateway(backend="triton", triton_url=triton.url)
    answers = [post(each, demo, top="all", explain=True).json() for each in (through, client)]
    for answer in answers:
        del answer["request_id"], answer["timings_ms"]
    ours, theirs = (np.fromiter(_numbers(answer), np.float64) for answer in answers)
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)
    assert json.dumps(through.get("/model").json()["report"]) == json.dumps(client.get("/model").json()["report"])
    assert through.get("/model").json()["provider"] == "triton"


def test_clips_of_different_people_share_batches(triton: TritonServer, gateway: Serve, demo: bytes) -> None:
    """Requests at the same time are joined by the dynamic batcher: fewer executions than requests."""
    through = gateway(backend="triton", triton_url=triton.url, concurrency=6)
    before = triton.counters("backbone")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(through, demo).json()["age"], range(6)))
    after = triton.counters("backbone")
    executions, requests = (after[name] - before[name] for name in ("exec_count", "request_success"))
    assert 0 < executions < requests
    assert all(answer["years"] == pytest.approx(answers[0]["years"], abs=0.01) for answer in answers)


def _start(server: TritonServer, through: httpx.Client) -> None:
    """Start the server and wait until the gateway has seen it."""
    server.start()
    while through.get("/health/ready").status_code != 200:
        time.sleep(0.05)


def test_server_away_and_back(tmp_path: Path, gateway: Serve, demo: bytes) -> None:
    """Before the server is there, and after it is stopped, 503 with a code; then the same gateway answers again."""
    server = TritonServer(Settings().model_repository, tmp_path / "log.txt")
    through = gateway(backend="triton", triton_url=server.url)
    assert through.get("/health/live").status_code == 200
    assert through.get("/health/ready").status_code == 503
    try:
        _start(server, through)
        assert post(through, demo).status_code == 200
        with ThreadPoolExecutor(4) as pool:
            under_way = [pool.submit(post, through, demo) for _ in range(8)]
            time.sleep(0.2)
            server.stop()
            for future in under_way:
                answer = future.result()
                assert answer.status_code == 200 or answer.json()["code"] == "backend_unavailable"
        refused = post(through, demo)
        assert (refused.status_code, refused.json()["code"]) == (503, "backend_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        _start(server, through)
        assert post(through, demo).status_code == 200
    finally:
        server.kill()
