"""Faces on which one area tells the written age, wholly, and nothing else does: for the attention of SIAM.

A grating, `PERIOD_PX` wide, is laid over one area of a warped face; its strength grows with the written age, which is
drawn without regard to the person. It looks like no wrinkle: where the age is to be seen is what counts.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from smile.frontal_shape import MEAN_SHAPE, SIDE_PX
from training.planted import AGES

AREAS: dict[str, tuple[int, ...]] = {
    "left_eye": (*range(17, 22), *range(36, 42)),
    "right_eye": (*range(22, 27), *range(42, 48)),
    "nose": tuple(range(27, 36)),
    "left_cheek": (1, 2, 3, 4, 31, 41, 48),
    "right_cheek": (12, 13, 14, 15, 35, 46, 54),
    "mouth": tuple(range(48, 60)),
}
"""Area -> those of the 68 landmarks whose hull it is; left and right as in the picture."""
PERIOD_PX, ANGLE = 7.0, np.pi / 3
STRONGEST = 60.0
"""Amplitude in grey levels at the oldest written age; 0 at the youngest."""
FEATHER_PX = 1.5
SENSOR_NOISE = 2.0
"""Grey levels, anew in each frame."""


@cache
def inside(area: str) -> NDArray[np.bool_]:
    """(114, 114) pixels of the warped face that lie in an area."""
    hull = cv2.convexHull(MEAN_SHAPE[list(AREAS[area])])
    drawn = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.fillConvexPoly(drawn, np.round(hull).astype(np.int32), (1,))
    return drawn.astype(bool)


def strength(age: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """0-1 of a written age."""
    return (np.asarray(age, np.float64) - AGES[0]) / (AGES[1] - AGES[0])


def plant(
    faces: NDArray[np.uint8], strengths: dict[str, NDArray[np.float64]], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Lay the grating over areas.

    Args:
        faces: (T, 114, 114) uint8 grey.
        strengths: area -> (T,) 0-1, in each frame.
    """
    made = faces.astype(np.float32)
    for area, values in strengths.items():
        made += STRONGEST * values.astype(np.float32)[:, None, None] * (_feathered(area) * _grating())
    made += SENSOR_NOISE * rng.standard_normal(made.shape, dtype=np.float32)
    return np.asarray(np.where(faces > 0, made, 0).round().clip(0, 255), np.uint8)


@cache
def _feathered(area: str) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(inside(area).astype(np.float32), (0, 0), FEATHER_PX), np.float32)


@cache
def _grating() -> NDArray[np.float32]:
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    along = (x * np.cos(ANGLE) + y * np.sin(ANGLE)) / PERIOD_PX
    return np.cos(2 * np.pi * along).astype(np.float32)
