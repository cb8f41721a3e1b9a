"""SIAM behind the API: asked for alone, beside the interpreter, not asked for, not there."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest

from export.steps import publish_all
from export.tracing import with_metadata
from service.settings import Settings
from smile.card import METADATA_CARD, Card
from smile.tensors import GRAPHS, SIAM_GRAPHS, SIAM_SEQUENCE, SPATIAL_CELLS, siam_fingerprint
from tests.clips import astronaut_frames, clip_bytes
from tests.service.conftest import Serve, post
from tests.service.triton_server import TritonServer


@pytest.fixture(scope="module")
def answers(client: httpx.Client, demo: bytes) -> dict[str, Any]:
    """What each choice of network answers to the demo clip."""
    found = {network: post(client, demo, network=network) for network in ("fdin", "siam", "both")}
    assert all(answer.status_code == 200 for answer in found.values()), found["siam"].text
    return {network: answer.json() for network, answer in found.items()}


def test_it_answers_alone(answers: dict[str, Any]) -> None:
    """An age with what each frame and each cell counted; nothing of the first network was run."""
    body = answers["siam"]
    siam = body["siam"]
    assert body["age"] is None and body["gender"] is None and body["disagreement"] is None
    assert body["model"] == siam["model"] and siam["model"]["fingerprint"] == siam_fingerprint()
    assert body["timings_ms"]["backbone"] == body["timings_ms"]["relations"] == 0
    assert body["timings_ms"]["siam_frames"] > 0 and body["timings_ms"]["siam_align"] > 0
    times = [frame["time_s"] for frame in siam["frames"]]
    assert len(times) == body["clip"]["frames_used"] and times == sorted(set(times))
    assert sum(frame["weight"] for frame in siam["frames"]) == pytest.approx(1, abs=1e-4)
    strongest = siam["spatial"]["most_attended"]
    assert [frame["weight"] for frame in strongest] == sorted((f["weight"] for f in siam["frames"]), reverse=True)[:5]
    for grid in (siam["spatial"]["mean"], *(frame["attention"] for frame in strongest)):
        assert np.shape(grid) == (SPATIAL_CELLS, SPATIAL_CELLS)


def test_both_are_the_two_alone_and_how_far_they_are_apart(answers: dict[str, Any]) -> None:
    """Asked for together they answer as each does alone; the difference of the ages is given."""
    both = answers["both"]
    assert both["siam"] == answers["siam"]["siam"]
    assert both["age"] == answers["fdin"]["age"] and both["gender"] == answers["fdin"]["gender"]
    apart = both["age"]["years"] - both["siam"]["age"]["years"]
    assert both["disagreement"]["years"] == pytest.approx(apart, abs=0.011)


def test_the_default_is_the_interpreter_alone(client: httpx.Client, answers: dict[str, Any], demo: bytes) -> None:
    """Without `network` nothing of SIAM is run or told."""
    plain = post(client, demo).json()
    assert plain["siam"] is None and plain["timings_ms"]["siam_align"] is None
    for body in (plain, answers["fdin"]):
        del body["request_id"], body["timings_ms"]
    assert plain == answers["fdin"]


def test_mirrored_clips_and_frames_that_stand_for_several_instants(client: httpx.Client) -> None:
    """A clip of 10 frames a second: one weight for each frame. Sent mirrored and called so, it is seen the same."""
    frames = astronaut_frames(20)
    original = post(client, clip_bytes(frames, rate=10), network="siam").json()
    mirrored = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]
    turned, untold = (
        post(client, clip_bytes(mirrored, rate=10), network="siam", mirrored=told).json() for told in (True, False)
    )
    assert len(original["siam"]["frames"]) == 20 < original["clip"]["frames_used"]
    assert turned["siam"]["age"]["years"] == pytest.approx(original["siam"]["age"]["years"], abs=3)
    seen, same, other = (np.array(answer["siam"]["spatial"]["mean"]) for answer in (original, turned, untold))
    assert np.abs(same - seen).mean() < np.abs(other - seen).mean() / 2


@pytest.mark.parametrize(("name", "value", "other"), [("traits", "gender", "age"), ("explain", True, False)])
def test_siam_alone_is_not_asked_for_what_it_does_not_answer(
    client: httpx.Client, demo: bytes, name: str, value: object, other: object
) -> None:
    """It would answer something else than what was asked for, or nothing."""
    refused = post(client, demo, network="siam", **{name: value})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
    assert refused.json()["detail"].startswith(f"{name}: ")
    assert post(client, demo, network="siam", **{name: other}).status_code == 200


def test_a_repository_without_it_says_so(gateway: Serve, model_repository: Path, demo: bytes) -> None:
    """The first network is served; asking for the other is refused before the clip is read."""
    client = gateway(model_repository=model_repository)
    assert post(client, demo, network="fdin").status_code == 200
    refused = post(client, demo, network="both")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
    assert refused.json()["detail"] == "network: not offered here: no graphs of siam in the model repository"
    assert client.get("/model").json()["siam"] is None
    assert post(client, demo, network="other").json()["code"] == "invalid_parameter"


def test_networks_of_different_frame_rates_are_not_asked_together(
    tmp_path: Path, gateway: Serve, model_repository: Path, demo: bytes
) -> None:
    """Each answers alone; both at once are refused before the clip is read, not told to come again."""
    shutil.copytree(model_repository, tmp_path, dirs_exist_ok=True)
    shipped = Settings().model_repository
    metadata = onnx.load(shipped / SIAM_SEQUENCE.name / "1/model.onnx").metadata_props
    card = Card.from_json({entry.key: entry.value for entry in metadata}[METADATA_CARD])
    other = replace(card, frame_rate_hz=2 * card.frame_rate_hz)
    contents = {
        graph: {"model.onnx": with_metadata(onnx.load(shipped / graph.name / "1/model.onnx"), graph, other)}
        for graph in SIAM_GRAPHS
    }
    publish_all(tmp_path, 1, contents, other)
    client = gateway(model_repository=tmp_path)
    for network in ("fdin", "siam"):
        assert post(client, demo, network=network).status_code == 200
    refused = post(client, demo, network="both")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
    assert "different frame rates" in refused.json()["detail"]


def test_graphs_of_another_contract_are_refused(tmp_path: Path) -> None:
    """SIAM's graphs in the places of the first network's do not start."""
    from service.backends.base import BackendError
    from service.backends.inprocess import InProcessBackend

    shipped = Settings().model_repository
    for graph, other in zip(GRAPHS, SIAM_GRAPHS, strict=True):
        shutil.copytree(shipped / other.name, tmp_path / graph.name)
    with pytest.raises(BackendError, match="was made for contract"):
        InProcessBackend(tmp_path)


def _numbers(body: Any) -> Iterator[float]:
    for value in body.values() if isinstance(body, dict) else body if isinstance(body, list) else ():
        yield from _numbers(value)
    if isinstance(body, int | float):
        yield float(body)


def test_the_real_triton_answers_the_same(
    triton: TritonServer, gateway: Serve, answers: dict[str, Any], demo: bytes
) -> None:
    """Through the server attention is within 1e-3 and the age within 0.02 years of what is said in process."""
    through = gateway(backend="triton", triton_url=triton.url)
    body = post(through, demo, network="both").json()
    card = through.get("/model").json()["siam"]
    ours, theirs = body["siam"], answers["both"]["siam"]
    assert json.dumps(ours["model"]) == json.dumps(theirs["model"]) and card["name"] == ours["model"]["name"]
    np.testing.assert_allclose(list(_numbers(ours["frames"])), list(_numbers(theirs["frames"])), atol=1e-3)
    np.testing.assert_allclose(ours["spatial"]["mean"], theirs["spatial"]["mean"], atol=1e-3)
    assert ours["age"]["years"] == pytest.approx(theirs["age"]["years"], abs=0.02)
