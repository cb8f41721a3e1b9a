"""What the in-process backend refuses to start with, a device that fails, and that batches do not change answers."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

from service.backends.base import BackendError, ContractMismatch, blank
from service.backends.inprocess import InProcessBackend
from service.backends.watched import Watched
from service.settings import Settings
from smile.card import METADATA_CARD, METADATA_FINGERPRINT, Card
from smile.tensors import BACKBONE, RELATIONS, Graph


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return Path(shutil.copytree(Settings().model_repository, tmp_path / "repository"))


def test_nothing_to_load(tmp_path: Path) -> None:
    """An empty repository says what to run."""
    with pytest.raises(BackendError, match="python -m export"):
        InProcessBackend(tmp_path)


def test_gpu_that_is_not_there(repository: Path) -> None:
    """Asking for a GPU and getting a CPU is an error at start, not a slow service."""
    with pytest.raises(BackendError, match="CUDAExecutionProvider"):
        InProcessBackend(repository, "cuda")


def test_other_contract(repository: Path) -> None:
    """A graph made for another contract is not served."""
    path = repository / RELATIONS.name / "1/model.onnx"
    graph = onnx.load(path)
    for entry in graph.metadata_props:
        if entry.key == METADATA_FINGERPRINT:
            entry.value = "0" * 16
    onnx.save(graph, path)
    with pytest.raises(ContractMismatch, match="0000000000000000"):
        InProcessBackend(repository)


def test_graphs_of_two_releases(repository: Path) -> None:
    """A backbone that was published without its relations is not served under their name."""
    newer = Path(shutil.copytree(repository / BACKBONE.name / "1", repository / BACKBONE.name / "2"))
    graph = onnx.load(newer / "model.onnx")
    for entry in graph.metadata_props:
        if entry.key == METADATA_CARD:
            entry.value = replace(Card.from_json(entry.value), name="another").to_json()
    onnx.save(graph, newer / "model.onnx")
    with pytest.raises(ContractMismatch, match="backbone is of the release another"):
        InProcessBackend(repository)


def test_damaged_file(repository: Path) -> None:
    """A file that is cut short is named."""
    path = repository / BACKBONE.name / "1/model.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BackendError, match=r"model\.onnx of backbone"):
        InProcessBackend(repository)


async def test_features_do_not_depend_on_the_batch() -> None:
    """A face has the same features, to the bit, alone and in every batch that the pipeline makes."""
    backend = InProcessBackend(Settings().model_repository)
    frames = np.random.default_rng(0).integers(0, 256, (BACKBONE.max_batch, 96, 96, 3), np.uint8)
    whole = (await backend.run(BACKBONE, {"frames": frames}))["regions"]
    for size in BACKBONE.batches:
        part = (await backend.run(BACKBONE, {"frames": frames[:size]}))["regions"]
        assert np.array_equal(part, whole[:size])
    await backend.close()


class _Device:
    """Stands in for onnxruntime's own session on a device that fails for as long as it is told to."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.fails = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *asked: object) -> Any:
        if self.fails:
            raise EPFail("the device was lost")
        return self._session.run(*asked)


@pytest.mark.parametrize("graph", [BACKBONE, RELATIONS])
async def test_device_that_fails(graph: Graph, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody takes the CPU in its place unasked: a call is refused, and a probe too until the graph executes."""
    inside = InProcessBackend(Settings().model_repository)
    backend = Watched(inside)
    session = inside._sessions[graph.name]
    session._sess = device = _Device(session._sess)
    await backend.ready()
    with pytest.raises(BackendError):
        await backend.run(graph, blank(graph))
    with pytest.raises(BackendError, match=graph.name):
        await backend.ready()
    device.fails = False
    await backend.ready()
    assert session._sess is device and capsys.readouterr().out == ""
    await backend.close()
