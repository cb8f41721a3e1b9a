"""SIAM's reading of a stretch of a clip: warped faces -> siam_frames -> siam_sequence."""

import time
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from service.backends.base import Model
from service.executor import Executor
from smile import piecewise
from smile.attention import SiamPicture, most_attended
from smile.frontal import frontal_faces, in_patch, smoothed_points, turned_points
from smile.sequence import Stretch
from smile.tensors import SIAM_FRAMES, SIAM_SEQUENCE, blocks


@dataclass(frozen=True)
class SiamReading:
    """What SIAM says about one clip, for its F frames.

    Attributes:
        age: years.
        times_s: (F,) float64.
        temporal: (F,) float32, how much each frame counts; sum 1. A frame that stands for several instants has the sum
            of theirs.
        spatial: (F, 10, 10) float32, how much each cell of the warped face counts, between 0 and 1.
        align_s: seconds spent on smoothing and warping.
        picture: None unless asked for.
    """

    age: float
    times_s: NDArray[np.float64]
    temporal: NDArray[np.float32]
    spatial: NDArray[np.float32]
    model: Model
    align_s: float
    picture: SiamPicture | None = None


def attend(stretch: Stretch, model: Model, executor: Executor, *, mirrored: bool, picture: bool) -> SiamReading:
    """Read a stretch whose faces have patches; blocks are in the graph while the next faces are warped.

    Args:
        mirrored: turn the warped faces back before the network sees them.
        picture: also keep what figures are drawn from, of patches in colour; its few faces are warped once more, so
            that none is held.
    """
    faces = _Warped(stretch, mirrored)
    appearance, spatial = _look(faces, len(stretch.patches), executor)
    answer = executor.submit(SIAM_SEQUENCE, stretch.siam_inputs(appearance)).result()
    weights = answer["temporal_attention"][0, : stretch.frame_count]
    times_s = stretch.times_s[np.diff(stretch.frame_of, prepend=-1) > 0]
    temporal = np.bincount(stretch.frame_of, weights).astype(np.float32)
    return SiamReading(
        age=float(answer["age"][0, 0]),
        times_s=times_s,
        temporal=temporal,
        spatial=spatial,
        model=model,
        align_s=faces.seconds,
        picture=_picture(stretch, times_s, temporal, spatial, mirrored) if picture else None,
    )


def _picture(
    stretch: Stretch,
    times_s: NDArray[np.float64],
    temporal: NDArray[np.float32],
    spatial: NDArray[np.float32],
    mirrored: bool,
) -> SiamPicture:
    shown = most_attended(times_s, temporal)
    tracks = smoothed_points(stretch.patches)
    patches = [stretch.patches[at] for at in shown]
    points = [in_patch(patch, tracks[at]) for patch, at in zip(patches, shown, strict=True)]
    faces = [piecewise.warp(patch.pixels, landmarks) for patch, landmarks in zip(patches, points, strict=True)]
    return SiamPicture(
        times_s=times_s,
        temporal=temporal,
        shown=shown,
        faces=_turned(np.stack(faces), mirrored),
        frames=_turned(np.stack([patch.rgb for patch in patches if patch.rgb is not None]), mirrored),
        points=np.stack([turned_points(landmarks) if mirrored else landmarks for landmarks in points]),
        spatial=spatial[shown],
    )


def _turned(faces: NDArray[np.uint8], mirrored: bool) -> NDArray[np.uint8]:
    return np.ascontiguousarray(faces[:, :, ::-1]) if mirrored else faces


class _Warped:
    """The warped faces of a stretch; adds up the seconds that they take."""

    def __init__(self, stretch: Stretch, mirrored: bool) -> None:
        self._faces = frontal_faces(stretch.patches)
        self._mirrored = mirrored
        self.seconds = 0.0

    def block(self, size: int) -> NDArray[np.uint8]:
        """The next (size, 114, 114) uint8."""
        started = time.perf_counter()
        faces = _turned(np.stack(list(islice(self._faces, size))), self._mirrored)
        self.seconds += time.perf_counter() - started
        return faces


def _look(faces: _Warped, count: int, executor: Executor) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Appearance and spatial attention of every frame, in order."""
    (name,) = (tensor.name for tensor in SIAM_FRAMES.inputs)
    inputs = ((size, {name: faces.block(size)}) for size in blocks(count, SIAM_FRAMES))
    done = [outputs for _, outputs in executor.stream(SIAM_FRAMES, inputs)]
    appearance, spatial = (np.concatenate([answer[output.name] for answer in done]) for output in SIAM_FRAMES.outputs)
    return appearance, spatial
