"""The pipeline on a backend that is a function: what it feeds, how it stops, what it keeps."""

import asyncio
import gc
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.backends.base import Arrays, BackendUnavailable, Model
from service.executor import BLOCKS_IN_FLIGHT
from service.pipeline import Pipeline
from smile.card import Card
from smile.decoding import Limits
from smile.regions import PAIRS, REGIONS
from smile.sampling import FRAME_RATE_HZ
from smile.tensors import BACKBONE, MASK_COUNTS, REGION_FEATURES, RELATIONS, Graph
from tests.clips import astronaut_frames, clip_bytes


class FunctionBackend:
    """Features are the mean colour of each crop; the age is how many instants the relations were given."""

    def __init__(self, before: Callable[[Graph], None] = lambda graph: None) -> None:
        self.frames: list[NDArray[np.uint8]] = []
        self.calls: list[tuple[str, int]] = []
        self._before = before

    async def run(self, graph: Graph, inputs: Arrays) -> Arrays:
        await asyncio.sleep(0)
        self._before(graph)
        self.calls.append((graph.name, len(next(iter(inputs.values())))))
        if graph is BACKBONE:
            self.frames.extend(inputs["frames"])
            means = inputs["frames"].mean(axis=(1, 2, 3), keepdims=True)[..., 0]
            return {"regions": np.broadcast_to(means, (len(means), len(REGIONS), REGION_FEATURES)).astype(np.float16)}
        masks = inputs["region_mask"].shape[1]
        assert inputs["region_mask"].dtype == np.float32
        return {
            "age": np.full((1, masks), float(inputs["frame_count"][0]), np.float32),
            "gender": np.full((1, masks, 2), 0.5, np.float32),
            "age_importance": np.full((1, masks, len(PAIRS)), 1 / len(PAIRS), np.float32),
            "gender_importance": np.full((1, masks, len(PAIRS)), 1 / len(PAIRS), np.float32),
        }

    async def model(self) -> Model:
        return Model(Card("function", None, "none", FRAME_RATE_HZ), "1", "function")

    async def ready(self) -> None:
        return None

    async def close(self) -> None:
        return None


@pytest.fixture(scope="module")
def swaying() -> list[NDArray[np.uint8]]:
    return astronaut_frames(45)


async def _read(backend: FunctionBackend, clip: bytes, **options: Any) -> Any:
    pipeline = Pipeline(backend, Limits(), concurrency=1)
    try:
        return await pipeline.read(io.BytesIO(clip), **options)
    finally:
        await pipeline.close()


async def test_every_instant_once_in_known_batches(swaying: list[NDArray[np.uint8]]) -> None:
    """45 frames go through the backbone in batches that it is warmed for, and all reach the relations."""
    backend = FunctionBackend()
    reading = await _read(backend, clip_bytes(swaying))
    assert [size for name, size in backend.calls if name == BACKBONE.name] == [16, 16, 8, 4, 1]
    assert reading.age.tolist() == [45.0]
    assert reading.frames_used == 45


async def test_explanation_asks_for_every_mask(swaying: list[NDArray[np.uint8]]) -> None:
    """`explain` sends one relations request with all masks."""
    backend = FunctionBackend()
    reading = await _read(backend, clip_bytes(swaying), explain=True)
    assert [name for name, _ in backend.calls].count(RELATIONS.name) == 1
    assert reading.age.shape == (MASK_COUNTS[-1],)


async def test_mirrored_turns_the_face_back(swaying: list[NDArray[np.uint8]]) -> None:
    """The crops of a mirrored clip, sent as such, are those of the original."""
    original, turned_back, as_it_is = FunctionBackend(), FunctionBackend(), FunctionBackend()
    mirrored = clip_bytes([np.ascontiguousarray(frame[:, ::-1]) for frame in swaying])
    await _read(original, clip_bytes(swaying))
    await _read(turned_back, mirrored, mirrored=True)
    await _read(as_it_is, mirrored)

    def distance(other: FunctionBackend) -> float:
        return float(np.abs(np.subtract(original.frames, other.frames, dtype=np.float32)).mean())

    assert distance(turned_back) < 0.3 * distance(as_it_is)


async def test_cancelling_stops_within_the_blocks_in_flight(swaying: list[NDArray[np.uint8]]) -> None:
    """Once its task is cancelled a long clip sends no more than what was already on its way."""
    backend = FunctionBackend()
    pipeline = Pipeline(backend, Limits(), concurrency=1)
    task = asyncio.create_task(pipeline.read(io.BytesIO(clip_bytes(swaying * 6))))
    while not backend.calls:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    sent = len(backend.calls)
    assert sent <= 1 + BLOCKS_IN_FLIGHT
    await asyncio.sleep(0.1)
    assert len(backend.calls) == sent
    await pipeline.close()


@pytest.mark.parametrize(("asked", "calls"), [(BACKBONE, BLOCKS_IN_FLIGHT), (RELATIONS, 1)], ids=["blocks", "sequence"])
async def test_cancelling_waits_for_no_answer(swaying: list[NDArray[np.uint8]], asked: Graph, calls: int) -> None:
    """A backend that keeps silent holds nobody up: its calls are cancelled, and the thread takes the next clip."""
    waiting, all_wait = 0, asyncio.Event()

    class SilentBackend(FunctionBackend):
        async def run(self, graph: Graph, inputs: Arrays) -> Arrays:
            nonlocal waiting
            if graph is asked and not all_wait.is_set():
                waiting += 1
                if waiting == calls:
                    all_wait.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    waiting -= 1
            return await super().run(graph, inputs)

    pipeline = Pipeline(SilentBackend(), Limits(), concurrency=1)
    clip = clip_bytes(swaying * 3)
    task = asyncio.create_task(pipeline.read(io.BytesIO(clip)))
    await all_wait.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not waiting
    assert (await pipeline.read(io.BytesIO(clip))).frames_used == 135
    await pipeline.close()


async def test_backend_that_breaks_off(swaying: list[NDArray[np.uint8]]) -> None:
    """An error of the backend reaches the caller as it is, and the next clip is read."""
    broken = True

    def before(graph: Graph) -> None:
        if broken:
            raise BackendUnavailable("away")

    backend = FunctionBackend(before)
    pipeline = Pipeline(backend, Limits(), concurrency=1)
    clip = clip_bytes(swaying)
    with pytest.raises(BackendUnavailable):
        await pipeline.read(io.BytesIO(clip))
    broken = False
    assert (await pipeline.read(io.BytesIO(clip))).frames_used == 45
    await pipeline.close()


async def test_crops_are_rgb(swaying: list[NDArray[np.uint8]]) -> None:
    """The backbone gets skin with more red than blue, as the picture shows it."""
    backend = FunctionBackend()
    await _read(backend, clip_bytes(swaying))
    red, _, blue = np.mean(backend.frames, axis=(0, 1, 2))
    assert red > blue + 20


@pytest.mark.parametrize("whole", [True, False])
async def test_leaves_nothing_to_the_garbage_collector(swaying: list[NDArray[np.uint8]], whole: bool) -> None:
    """A clip is gone when it is read: whatever waits for the collector instead adds up, frame by frame."""
    clip = clip_bytes(swaying, container="matroska") if whole else clip_bytes(swaying, container="matroska")[:-20_000]
    backend = FunctionBackend()
    pipeline = Pipeline(backend, Limits(), concurrency=1)
    await pipeline.read(io.BytesIO(clip))
    gc.collect()
    gc.disable()
    try:
        await pipeline.read(io.BytesIO(clip))
        assert gc.collect() < len(swaying)
    finally:
        gc.enable()
        await pipeline.close()
