"""The whole path through the real Triton server, on the model repository that ships."""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from service.backends.triton import executing_device
from service.settings import Settings
from smile.card import METADATA_FINGERPRINT
from smile.tensors import GRAPHS, RELATIONS
from tests.service.conftest import Serve, post
from tests.service.triton_server import TritonServer


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
    assert through.get("/model").json()["provider"] == "triton, CPU"


def test_server_without_the_gpu_that_is_asked_for(
    triton: TritonServer, gateway: Serve, demo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts as unavailable, and the log says why; with any device it serves."""
    through = gateway(backend="triton", triton_url=triton.url, triton_device="gpu")
    for answer in (through.get("/health/ready"), through.get("/model"), post(through, demo)):
        assert (answer.status_code, answer.json()["code"]) == (503, "backend_unavailable")
    assert "asked for a GPU, but Triton executes fdin on the CPU" in _reasons(caplog)
    assert gateway(backend="triton", triton_url=triton.url).get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("kinds", "device"), [(["KIND_GPU", "KIND_GPU"], "GPU"), (["KIND_GPU", "KIND_CPU"], "CPU"), ([], "CPU")]
)
def test_device_of_all_instances(kinds: list[str], device: str) -> None:
    """The GPU is told where all have it."""
    configs = [ModelConfig(instance_group=[ModelInstanceGroup(kind=kind)]) for kind in kinds]
    assert executing_device(configs) == device


def test_proxy_of_the_environment_is_not_for_triton(
    triton: TritonServer, gateway: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker hands a proxy to every container; the model server is not behind it."""
    for name in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:1")
    assert gateway(backend="triton", triton_url=triton.url).get("/health/ready").status_code == 200


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
            while "smile_clips_inside 0.0" in through.get("/metrics").text:
                assert not all(future.done() for future in under_way)
                time.sleep(0.01)
            server.stop()
            answers = [future.result() for future in under_way]
        outcomes = {(answer.status_code, answer.json().get("code")) for answer in answers}
        assert (503, "backend_unavailable") in outcomes <= {(200, None), (503, "backend_unavailable")}
        refused = post(through, demo)
        assert (refused.status_code, refused.json()["code"]) == (503, "backend_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        _start(server, through)
        assert post(through, demo).status_code == 200
    finally:
        server.kill()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The first network alone."""
    for graph in GRAPHS:
        shutil.copytree(Settings().model_repository / graph.name, tmp_path / "repository" / graph.name)
    return tmp_path / "repository"


def _replaced(repository: Path, old: str, new: str) -> None:
    """Another text in config.pbtxt, as a release of another one has it."""
    for graph in GRAPHS:
        config = repository / graph.name / "config.pbtxt"
        config.write_text(config.read_text().replace(old, new))


def test_server_that_is_replaced_between_two_calls(
    repository: Path, tmp_path: Path, gateway: Serve, demo: bytes
) -> None:
    """Answers and card are of the release that is served now, although the gateway never saw the server away.

    SIAM, which no release of it holds, is not asked for again later.
    """
    with TritonServer(repository, tmp_path / "log.txt") as server:
        through = gateway(backend="triton", triton_url=server.url)
        card = through.get("/model").json()
        name = card["name"]
        refused = post(through, demo, network="siam")
        assert (card["siam"], refused.status_code, refused.json()["code"]) == (None, 422, "invalid_parameter")
        server.stop()
        _replaced(repository, name, "the-next-one")
        _start(server, through)
        assert post(through, demo).json()["model"]["name"] == "the-next-one"
        assert through.get("/model").json()["name"] == "the-next-one"


def test_why_it_is_not_ready_is_for_the_log(
    repository: Path, tmp_path: Path, gateway: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Once for each reason, however often it is asked, without a trace; clients are told no more than that."""
    caplog.set_level(logging.INFO, "service")
    server = TritonServer(repository, tmp_path / "log.txt")
    through = gateway(backend="triton", triton_url=server.url)
    for _ in range(2):
        assert through.get("/health/ready").status_code == 503
    config = repository / RELATIONS.name / "config.pbtxt"
    ours = config.read_text()
    config.write_text(ours.replace(_fingerprint(ours), "0" * 16))
    with server:
        while "0" * 16 not in _reasons(caplog)[-1]:
            refused = through.get("/health/ready")
            assert (refused.status_code, refused.json()["code"]) == (503, "backend_unavailable")
            assert "0" * 16 not in refused.text and "contract" not in refused.text
        through.get("/health/ready")
        server.stop()
        config.write_text(ours)
        _start(server, through)
    assert not any(record.exc_info for record in caplog.records)
    reasons = _reasons(caplog)
    assert "Triton cannot be reached" in reasons[0]
    assert [reason for reason in reasons if "relations was made for contract" in reason] == reasons[1:2]
    assert reasons[-1] == "ready again"
    assert all(reason != after for reason, after in zip(reasons, reasons[1:], strict=False))


def _reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record for record in caplog.records if record.name == "service.readiness"]
    return [getattr(record, "reason", record.getMessage()) for record in said]


def _fingerprint(config: str) -> str:
    return config.split(f'key: "{METADATA_FINGERPRINT}" value {{ string_value: "')[1].split('"')[0]
