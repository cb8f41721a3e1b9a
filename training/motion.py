"""How a still face can move: displacement fields around FaceMesh landmarks, one for each region, on a coarse grid.

A frame of a clip is the still displaced by a weighted sum of these fixed fields. They are written in the face frame:
origin between the eyes, x along the eye line to the image right, y down, unit D = distance of the eye centres. "out"
points away from the midline. Shapes and sizes are our choice, set by eye and by the mouth ratio: no paper names any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from smile.alignment import CROP_PX, EYE_DISTANCE_PX, LEFT_EYE_PX
from smile.faces import mouth_ratio
from smile.mesh import Landmarks
from smile.pose import eye_centres
from smile.regions import REGIONS
from training.smile_plan import HEAD_MOVES

Field = NDArray[np.float32]
"""(h, w, 2) float32 displacement (x, y) in pixels of the still, on the coarse grid."""

STEP_PX = 3
"""Spacing of the coarse grid."""

_LIPS_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_LIPS_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
_OUTER_LIPS_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_OUTER_LIPS_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
_LIDS = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
)
_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)


@dataclass(frozen=True)
class Bump:
    """A Gaussian push around a landmark at coefficient 1.

    Attributes:
        landmarks: image-left and image-right landmark of a paired region, or one of the midline.
        out, up: displacement in D.
        width, height: standard deviations in D.
    """

    landmarks: tuple[int, ...]
    out: float
    up: float
    width: float
    height: float


EYE = (
    Bump((145, 374), 0.0, 0.022, 0.18, 0.09),
    Bump((105, 334), 0.0, -0.018, 0.20, 0.10),
    Bump((35, 265), 0.01, 0.012, 0.12, 0.12),
)
FOREHEAD = (Bump((9,), 0.0, 0.025, 0.22, 0.14),)
CHEEK = (Bump((50, 280), 0.015, 0.050, 0.24, 0.18), Bump((205, 425), 0.035, 0.045, 0.17, 0.17))
NOSE = (
    Bump((64, 294), 0.022, 0.012, 0.09, 0.10),
    Bump((1,), 0.0, -0.012, 0.16, 0.14),
)
MOUTH_SIDE = (Bump((61, 291), 0.125, 0.085, 0.21, 0.20), Bump((57, 287), 0.030, 0.020, 0.12, 0.12))
MOUTH = (Bump((0,), 0.0, 0.012, 0.22, 0.10), Bump((17,), 0.0, 0.004, 0.22, 0.10))
BUMPS: tuple[tuple[tuple[Bump, ...], int | None], ...] = (
    (EYE, 0),
    (FOREHEAD, None),
    (EYE, 1),
    (CHEEK, 0),
    (NOSE, None),
    (CHEEK, 1),
    (MOUTH_SIDE, 0),
    (MOUTH, None),
    (MOUTH_SIDE, 1),
)
"""Bumps of each region in id order, and which side of a pair it takes (None: all of them)."""

APERTURES = (0, 2, 7)
"""Regions that also open or close something: the two eyes and the mouth."""
LIP_THINNING = 0.16
"""Relative loss of the lips' height at coefficient 1, as they are drawn out."""
CONFINED_TAPER_PX = 6.0
"""A confined field fades to nothing over this many pixels of the aligned crop outside its region."""
CONFINED_BUMPS = {
    EYE: (Bump((105, 334), 0.0, 0.05, 0.20, 0.10),),
    NOSE: (Bump((5,), 0.0, 0.05, 0.16, 0.12),),
    MOUTH_SIDE: (Bump((57, 287), 0.10, 0.07, 0.14, 0.20),),
    MOUTH: (Bump((0,), 0.0, 0.03, 0.15, 0.10), Bump((17,), 0.0, 0.01, 0.15, 0.10)),
}
"""Confined, eyes move brow and lids only, or the eye corners, by which crops are aligned, would carry it everywhere;
and the others the part that is well inside their window."""
CONFINED_LIPS = 0.35
"""Share of the lips' parting that is left when confined: teeth that appear outshine every other region."""
CONFINED_PEAK = 0.09
"""Largest displacement of a confined region at coefficient 1, in D (4 px of the crop): all are equally visible."""


@dataclass(frozen=True)
class Still:
    """A face at rest or smiling, to be moved.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        landmarks: (468, 2) float32 pixels.
        name: where it comes from.
    """

    image: NDArray[np.uint8]
    landmarks: Landmarks
    name: str

    @cached_property
    def ratio(self) -> float:
        """Mouth-corner distance / outer-eye-corner distance as it is on the still."""
        return mouth_ratio(self.landmarks)


@dataclass(frozen=True)
class Fields:
    """What a still can do.

    Attributes:
        regions: (9, h, w, 2) float32, displacement of each region at coefficient 1.
        apertures: (3, h, w, 2) float32, displacement per unit of relative opening of APERTURES.
        head: (len(HEAD_MOVES), h, w, 2) float32, displacement per unit of each head move (D, radians, relative scale).
    """

    regions: NDArray[np.float32]
    apertures: NDArray[np.float32]
    head: NDArray[np.float32]


def fields(still: Still, *, confined: bool = False) -> Fields:
    """Build the fields of a still.

    Args:
        confined: keep the motion of each region within its own window of the aligned crop (and a taper of
            CONFINED_TAPER_PX), as planted relations need.
    """
    height, width = still.image.shape[:2]
    ys, xs = (((np.arange(-(-n // STEP_PX)) + 0.5) * STEP_PX - 0.5).astype(np.float64) for n in (height, width))
    pixels = np.stack(np.meshgrid(xs, ys), axis=-1)
    left, right = eye_centres(still.landmarks)
    d = float(np.hypot(*(right - left)))
    axis = (right - left) / d
    to_face = np.array([axis, (-axis[1], axis[0])]) / d
    centre = (left + right) / 2
    grid = (pixels - centre) @ to_face.T
    marks = (still.landmarks.astype(np.float64) - centre) @ to_face.T

    def in_pixels(face_field: NDArray[np.float64]) -> Field:
        return (face_field @ to_face * d * d).astype(np.float32)

    inside = _inside_face(grid, marks)[..., None]
    windows = [_window(grid, k) if confined else 1.0 for k in range(len(REGIONS))]
    regions = []
    for k, (bumps, side) in enumerate(BUMPS):
        region = _push(grid, marks, CONFINED_BUMPS.get(bumps, bumps) if confined else bumps, side)
        if bumps is MOUTH and not confined:
            region -= LIP_THINNING * _aperture(
                grid, marks[list(_OUTER_LIPS_UPPER)], marks[list(_OUTER_LIPS_LOWER)], reach=0.12
            )
        region *= inside * windows[k]
        regions.append(region * (CONFINED_PEAK / np.hypot(*np.moveaxis(region, -1, 0)).max()) if confined else region)
    lips = _aperture(grid, marks[list(_LIPS_UPPER)], marks[list(_LIPS_LOWER)], reach=0.30)
    if confined:
        lips *= CONFINED_LIPS
    lids = [_aperture(grid, marks[list(upper)], marks[list(lower)], reach=0.10) for upper, lower in _LIDS]
    apertures = [f * inside * windows[k] for k, f in zip(APERTURES, (*lids, lips), strict=True)]
    return Fields(
        regions=np.stack([in_pixels(f) for f in regions]),
        apertures=np.stack([in_pixels(f) for f in apertures]),
        head=np.stack([in_pixels(f) for f in _head(grid)]),
    )


def cells(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Positions in pixels -> positions on the coarse grid, in cells."""
    return (points + np.float32(0.5)) / np.float32(STEP_PX) - np.float32(0.5)


def _push(
    grid: NDArray[np.float64], marks: NDArray[np.float64], bumps: Sequence[Bump], side: int | None
) -> NDArray[np.float64]:
    total = np.zeros_like(grid)
    for bump in bumps:
        for which, landmark in enumerate(bump.landmarks):
            if side is not None and which != side:
                continue
            outward = 0.0 if len(bump.landmarks) == 1 else (-1.0, 1.0)[which]
            offset = (grid - marks[landmark]) / (bump.width, bump.height)
            total += np.exp(-0.5 * (offset**2).sum(-1))[..., None] * (outward * bump.out, -bump.up)
    return total


def _aperture(
    grid: NDArray[np.float64], upper: NDArray[np.float64], lower: NDArray[np.float64], reach: float
) -> NDArray[np.float64]:
    """Opening of a slit: between its rims the field grows linearly; beyond, skin moves along and fades in `reach`."""
    x, y = grid[..., 0], grid[..., 1]
    rims = [np.interp(x, rim[:, 0], rim[:, 1]) for rim in (upper, lower)]
    half = np.maximum((rims[1] - rims[0]) / 2, 0.0)
    from_middle = y - (rims[0] + rims[1]) / 2
    outside = np.maximum(np.abs(from_middle) - half, 0.0)
    beside = np.maximum(np.maximum(upper[0, 0] - x, x - upper[-1, 0]), 0.0)
    fade = np.exp(-0.5 * (outside**2 + beside**2) / reach**2)
    opening = np.clip(from_middle, -half, half) * fade
    return np.stack([np.zeros_like(opening), opening], axis=-1)


def _inside_face(grid: NDArray[np.float64], marks: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 well inside the face contour, falling smoothly to 0 on it, so that the contour never tears."""
    polygon = marks[list(_OVAL)].astype(np.float32)
    scale = 1.0 / np.hypot(*(grid[0, 1] - grid[0, 0]))
    origin, right, down = grid[0, 0], (grid[0, 1] - grid[0, 0]) * scale, (grid[1, 0] - grid[0, 0]) * scale
    corners = ((polygon - origin) @ np.stack([right, down], axis=1)) * scale
    mask = np.zeros(grid.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], (1,))
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5) / scale
    ramp = np.clip(depth / 0.22, 0.0, 1.0)
    return ramp * ramp * (3 - 2 * ramp)


def _window(grid: NDArray[np.float64], region: int) -> NDArray[np.float64]:
    """(h, w, 1) weight: 1 in the region's 32x32 px window of the aligned crop, 0 beyond the taper."""
    crop = grid * EYE_DISTANCE_PX + (LEFT_EYE_PX[0] + EYE_DISTANCE_PX / 2, LEFT_EYE_PX[1])
    middle = np.array(REGIONS[region].centre) * CROP_PX
    beyond = np.abs(crop - middle) - CROP_PX / 6
    ramp = np.clip(1 - beyond / CONFINED_TAPER_PX, 0.0, 1.0)
    return (ramp * ramp * (3 - 2 * ramp)).prod(-1)[..., None]


def relief(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far a generic head comes forward at points of the face frame: a skull and a nose, in D."""
    skull = np.sqrt(np.clip(1 - (x / 1.6) ** 2 - ((y - 0.4) / 2.0) ** 2, 0.0, 1.0)) * 0.9
    nose: NDArray[np.float64] = 0.32 * np.exp(-0.5 * ((x / 0.16) ** 2 + ((y - 0.5) / 0.25) ** 2))
    return skull + nose


def _head(grid: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """One field for each head move: rigid on the head, fading around it; yaw and pitch by a generic depth."""
    x, y = grid[..., 0], grid[..., 1]
    radius = np.hypot(x / 1.7, (y - 0.35) / 2.1)
    ramp = np.clip((1.9 - radius) / 0.9, 0.0, 1.0)
    mask = ramp * ramp * (3 - 2 * ramp)
    depth = relief(x, y)
    zero, neck_y = np.zeros_like(x), y - 1.9
    moves = {
        "x": (mask, zero),
        "y": (zero, mask),
        "roll": (-neck_y * mask, x * mask),
        "scale": (x * mask, (y - 0.4) * mask),
        "yaw": (depth * mask, zero),
        "pitch": (zero, depth * mask),
    }
    return [np.stack(moves[name], axis=-1) for name in HEAD_MOVES]
