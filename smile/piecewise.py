"""The piecewise-affine warp of a face onto the mean frontal shape (SPEC B3): SIAM sees texture alone.

Each Delaunay triangle of the mean shape is filled from the same three landmarks of the face. Which triangle a pixel of
the warped face lies in, and its place between the three corners, never change: they are computed once, and a frame
costs one weighted sum of its landmarks for each pixel and one resampling.
"""

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from smile.frontal_shape import MEAN_SHAPE, SIDE_PX

_NO_MAP = np.empty(0, np.float32)
"""cv2.remap's second map, which it needs only where x and y come apart."""
_OUTSIDE = -2.0
"""Where pixels beside the face are read: beyond the border, so they become 0."""


class _Plan(NamedTuple):
    """For each of the P pixels inside the shape.

    Attributes:
        inside: (P,) index into the flattened warped face.
        corners: (3, P) landmark at each corner of its triangle.
        weights: (3, P) float32 barycentric coordinates of its centre; they add up to 1.
    """

    inside: NDArray[np.intp]
    corners: NDArray[np.intp]
    weights: NDArray[np.float32]


def warp(pixels: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Warp one face onto the mean shape; bilinear.

    Args:
        pixels: (H, W) uint8 grey, or (H, W, 3).
        points: (68, 2) float32 landmarks, (x, y) in pixels of it, continuous coordinates (smile.alignment).

    Returns:
        (114, 114) uint8 as `pixels`; 0 outside the face.
    """
    places = np.full((SIDE_PX * SIDE_PX, 2), _OUTSIDE, np.float32)
    inside, _, _ = plan()
    places[inside] = located(points) - np.float32(0.5)  # cv2 counts from pixel centres
    grid = places.reshape(SIDE_PX, SIDE_PX, 2)
    warped = cv2.remap(pixels, grid, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(warped, np.uint8)


def located(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P, 2) where the centres of the pixels inside the shape lie in a face with these (68, 2) landmarks."""
    _, corners, weights = plan()
    plane = np.ascontiguousarray(points, np.float32).view(np.complex64)[:, 0]  # x + iy: one product for both
    centres = plane[corners[0]] * weights[0]
    for corner, weight in zip(corners[1:], weights[1:], strict=True):
        centres += plane[corner] * weight
    return np.asarray(centres.view(np.float32).reshape(-1, 2))


@cache
def triangles() -> NDArray[np.intp]:
    """(K, 3) Delaunay triangles of the mean shape, as numbers of its landmarks."""
    margin = 1.0
    side = int(SIDE_PX + 2 * margin)
    division = cv2.Subdiv2D((0, 0, side, side))
    shifted = MEAN_SHAPE + np.float32(margin)
    division.insert([(float(x), float(y)) for x, y in shifted])
    corners = np.asarray(division.getTriangleList(), np.float32).reshape(-1, 3, 2)
    distances = np.abs(corners[:, :, None] - shifted).max(axis=-1)  # (K, 3, 68)
    of_the_shape = (distances.min(axis=-1) < 1e-3).all(axis=-1)  # not of the square that OpenCV puts around it
    return np.asarray(distances.argmin(axis=-1)[of_the_shape])


@cache
def plan() -> _Plan:
    """Which triangle owns which pixel of the warped face."""
    y, x = np.divmod(np.arange(SIDE_PX * SIDE_PX), SIDE_PX)
    centres = np.stack([x + 0.5, y + 0.5, np.ones(len(x))])
    owner = np.full(centres.shape[1], -1)
    weights = np.zeros((3, centres.shape[1]))
    for k, triangle in enumerate(triangles()):
        shape = np.vstack([MEAN_SHAPE[triangle].T.astype(np.float64), np.ones(3)])
        barycentric = cv2.invert(shape)[1] @ centres
        owned = (barycentric >= -1e-9).all(axis=0) & (owner < 0)
        owner[owned], weights[:, owned] = k, barycentric[:, owned]
    inside = np.flatnonzero(owner >= 0)
    corners = np.ascontiguousarray(triangles()[owner[inside]].T)
    return _Plan(inside, corners, np.ascontiguousarray(weights[:, inside], dtype=np.float32))
