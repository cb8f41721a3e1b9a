"""CPU milliseconds of every stage of one clip, each by itself with one thread."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from service.backends.base import Arrays
from service.backends.inprocess import InProcessBackend
from service.reading import MASKS
from smile import frontal
from smile.faces import FaceReport, align
from smile.sequence import Sequence
from smile.tensors import BACKBONE, RELATIONS, SIAM_FRAMES, SIAM_SEQUENCE, Graph, blocks
from smile.video import Video

Turn = tuple[dict[str, float], int, int]
"""Seconds of each stage, frames decoded, instants used."""


def of_first(clip: Path, backend: InProcessBackend) -> Turn:
    """Decode, align, backbone, relations."""
    (frames,), (regions,) = BACKBONE.inputs, BACKBONE.outputs
    clock = _CpuClock()
    sequence = Sequence()
    with Video(clip) as video:
        faces = list(clock.stage("align", align(clock.stage("decode", video.samples()), FaceReport())))
    for start in range(0, len(faces), BACKBONE.max_batch):
        block = faces[start : start + BACKBONE.max_batch]
        feed = {frames.name: np.stack([face.crop for face in block])}
        sequence.add(block, clock.run("backbone", backend, BACKBONE, feed)[regions.name])
    clock.run("relations", backend, RELATIONS, sequence.longest_stretch().inputs(MASKS[:1]))
    clock.seconds["align"] -= clock.seconds["decode"]
    return clock.seconds, video.report.frames_decoded, len(faces)


def of_siam(clip: Path, backend: InProcessBackend) -> Turn:
    """What SIAM adds to the stages of the first network: cutting a patch out of each frame and warping it ("align"),
    and its graphs."""
    (pixels,), (appearance, _) = SIAM_FRAMES.inputs, SIAM_FRAMES.outputs
    clock = _CpuClock()
    sequence = Sequence()
    cut, held = (
        mock.patch.object(frontal, name, clock.timed("align", getattr(frontal, name))) for name in ("cut", "held")
    )
    with Video(clip) as video, cut, held:
        sequence.add(list(align(video.samples(), FaceReport(), patches="grey")))
    stretch = sequence.longest_stretch()
    faces = clock.stage("align", frontal.frontal_faces(stretch.patches))
    feeds = ({pixels.name: np.stack(list(islice(faces, size)))} for size in blocks(len(stretch.patches), SIAM_FRAMES))
    seen = np.concatenate([clock.run(SIAM_FRAMES.name, backend, SIAM_FRAMES, feed)[appearance.name] for feed in feeds])
    clock.run(SIAM_SEQUENCE.name, backend, SIAM_SEQUENCE, stretch.siam_inputs(seen))
    return clock.seconds, video.report.frames_decoded, len(stretch.patches)


class _CpuClock:
    """Process time, all threads counted, by stage; a stage that pulls from another includes it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def stage(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        while True:
            started = time.process_time()
            item = next(items, None)
            self.seconds[name] += time.process_time() - started
            if item is None:
                return
            yield item

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            started = time.process_time()
            done = work(*given)
            self.seconds[name] += time.process_time() - started
            return done

        return run

    def run(self, name: str, backend: InProcessBackend, graph: Graph, inputs: Arrays) -> Arrays:
        started = time.process_time()
        outputs = asyncio.run(backend.run(graph, inputs))
        self.seconds[name] += time.process_time() - started
        return outputs
