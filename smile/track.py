"""Where the followed face is at any time of a clip, from its alignment in the frames that were looked at."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smile.alignment import CROP_PX
from smile.faces import AlignedFace
from smile.sampling import FRAME_RATE_HZ


@dataclass(frozen=True)
class Place:
    """Where the face is.

    Attributes:
        matrix: (2, 3) float64, aligned crop -> frame.
        stretch: number of the unbroken stretch of the clip, as in `smile.faces.AlignedFace`.
    """

    matrix: NDArray[np.float64]
    stretch: int


class Track:
    """The similarities of one clip, by presentation time. Grows with the samples that were looked at, not with frames.

    A similarity is kept as the complex numbers of frame = scale_turn * crop + shift, with x + iy for a point: every
    point of the face then moves in a straight line from sample to sample. Frames are those that the aligner saw.
    """

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._stretches: list[int] = []
        self._similarities: list[tuple[complex, complex]] = []

    def add(self, faces: Iterable[AlignedFace]) -> None:
        """Append faces in the order of the clip; bridged ones are left to the interpolation."""
        for face in faces:
            if not face.bridged:
                (c, s, tx), (_, _, ty) = face.matrix.tolist()
                turn = complex(c, -s)
                self._times_s.append(face.time_s)
                self._stretches.append(face.stretch)
                self._similarities.append((1 / turn, -complex(tx, ty) / turn))

    @property
    def median_side_px(self) -> float:
        """Side of the aligned square in pixels of the frame; nan where no face was seen."""
        return float(np.median([abs(turn) for turn, _ in self._similarities] or [np.nan])) * CROP_PX

    def at(self, time_s: float) -> Place | None:
        """The place at a time; None where the face is not followed.

        Between two samples of one stretch it is interpolated. Beyond the ends of a stretch the face is held for one
        step of the grid, as long as the sample stands for.
        """
        after = bisect_right(self._times_s, time_s)
        before = after - 1
        if before >= 0 and after < len(self._times_s) and self._stretches[before] == self._stretches[after]:
            share = (time_s - self._times_s[before]) / (self._times_s[after] - self._times_s[before])
            (turn, shift), (turn_after, shift_after) = self._similarities[before], self._similarities[after]
            turn, shift = turn + share * (turn_after - turn), shift + share * (shift_after - shift)
            return Place(_matrix(turn, shift), self._stretches[before])
        for near in (before, after):
            if 0 <= near < len(self._times_s) and abs(time_s - self._times_s[near]) < self._step_s(near):
                return Place(_matrix(*self._similarities[near]), self._stretches[near])
        return None

    def _step_s(self, i: int) -> float:
        """Seconds that sample `i` stands for: those between it and its neighbour in the same stretch."""
        for a, b in ((i - 1, i), (i, i + 1)):
            if a >= 0 and b < len(self._times_s) and self._stretches[a] == self._stretches[b]:
                return self._times_s[b] - self._times_s[a]
        return 1 / FRAME_RATE_HZ


def _matrix(turn: complex, shift: complex) -> NDArray[np.float64]:
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
