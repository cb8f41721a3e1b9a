"""SIAM's alignment of its own (SPEC B3): smoothed landmarks, every frame warped onto the mean frontal shape.

The tracks can be smoothed only when the clip has been read, and frames are gone by then. So each sampled frame leaves a
small upright patch around the face with its landmarks, 27 KB (104 KB in colour); as many patches are kept as samples
(at most smile.sampling.MAX_SAMPLES), and when the stretch is known its tracks are smoothed and the patches are warped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from smile import alignment, piecewise
from smile.frontal_shape import FACEMESH_POINTS, OPPOSITE
from smile.mesh import EYE_LINE, Landmarks
from smile.smoothing import smoothed

PATCH_PX = 160
"""Side of the patch; the face fills about 1 / MARGIN of it, a little more pixels than it gets in the warp."""
MARGIN = 1.15
"""Side of the patch / longer side of the landmarks' box: smoothing moves landmarks."""
_POINTS = list(FACEMESH_POINTS)
Colours = Literal["grey", "colour"]
"""What is kept of a frame: what the warp reads, 27 KB, or also what a picture shows, 104 KB."""


@dataclass(frozen=True)
class FacePatch:
    """What is kept of one frame for the warp.

    Attributes:
        pixels: (160, 160) uint8 grey, upright, the border of the frame repeated beyond it.
        matrix: (2, 3) float64 similarity, frame -> patch.
        points: (68, 2) float32 landmarks as found, (x, y) in pixels of the frame; those last found where bridged.
        rgb: (160, 160, 3) uint8, the same in colour, where it was asked for.
    """

    pixels: NDArray[np.uint8]
    matrix: NDArray[np.float64]
    points: NDArray[np.float32]
    rgb: NDArray[np.uint8] | None = None


def cut(rgb: NDArray[np.uint8], landmarks: Landmarks, colours: Colours = "grey") -> FacePatch:
    """The patch of a frame, (H, W, 3) uint8 RGB, in which the face was found."""
    points = landmarks[_POINTS]
    return _patch(rgb, _upright_square(points, landmarks), points, colours)


def held(rgb: NDArray[np.uint8], last: FacePatch) -> FacePatch:
    """The patch of a frame in which the face was not found, where it was last."""
    return _patch(rgb, last.matrix, last.points, "grey" if last.rgb is None else "colour")


def frontal_faces(patches: Sequence[FacePatch]) -> Iterator[NDArray[np.uint8]]:
    """(114, 114) uint8 grey, one for each patch: the warped faces of one unbroken stretch.

    Args:
        patches: in order, evenly spaced in time.
    """
    for patch, points in zip(patches, smoothed_points(patches), strict=True):
        yield piecewise.warp(patch.pixels, in_patch(patch, points))


def smoothed_points(patches: Sequence[FacePatch]) -> NDArray[np.float64]:
    """(T, 68, 2) landmarks in pixels of the frames, each track smoothed by 4253H, twice."""
    return smoothed(np.stack([patch.points for patch in patches]).astype(np.float64))


def in_patch(patch: FacePatch, points: NDArray[np.float64]) -> NDArray[np.float32]:
    """(68, 2) points of the frame -> of the patch."""
    turned = points @ patch.matrix[:, :2].T + patch.matrix[:, 2]
    return np.asarray(turned, np.float32)


def turned_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(68, 2) landmarks in a patch -> in the mirror image of it: each is that of the other side."""
    return np.asarray((PATCH_PX, 0) + points[OPPOSITE] * (-1, 1), np.float32)


def _patch(
    rgb: NDArray[np.uint8], matrix: NDArray[np.float64], points: NDArray[np.float32], colours: Colours
) -> FacePatch:
    colour = alignment.warp(rgb, matrix, PATCH_PX)
    grey = np.asarray(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY), np.uint8)
    return FacePatch(grey, matrix, points, colour if colours == "colour" else None)


def _upright_square(points: NDArray[np.float32], landmarks: Landmarks) -> NDArray[np.float64]:
    """(2, 3) similarity that turns the eye line level and fits the points into the patch."""
    dx, dy = (landmarks[EYE_LINE[1]] - landmarks[EYE_LINE[0]]).astype(np.float64)
    turn = np.array(((dx, dy), (-dy, dx))) / np.hypot(dx, dy)
    upright = points @ turn.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    scale = PATCH_PX / (MARGIN * float((high - low).max()))
    shift = PATCH_PX / 2 - scale * (low + high) / 2
    return np.column_stack([scale * turn, shift])
