"""Where SIAM looked, as heat over a face, and which frames show it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from smile import piecewise
from smile.frontal_shape import MEAN_SHAPE, SIDE_PX

CELL_STEP_PX, FIRST_CELL_PX = 8.0, 17.5
"""The cells of the map after the second convolution look at 35x35 pixels each, this far apart."""
CELLS = {26: (5.5, 4.0), 10: (FIRST_CELL_PX, CELL_STEP_PX), 8: (25.5, 8.0)}
"""Side of the map after each convolution -> centre of its first cell and step, in pixels of the warped face."""
STRENGTH = 0.55
"""Share of the colours in the blend."""
SHOWN = 4
"""Frames that stand for a clip."""
APART_S = 0.2
"""Least time between two of them: neighbours look alike."""


@dataclass(frozen=True)
class SiamPicture:
    """What figures are drawn from: of the F frames, the weights; of K that stand for them, face and attention.

    Attributes:
        times_s: (F,) float64.
        temporal: (F,) float32, how much each frame counts; sum 1.
        shown: (K,) which frames, in order: see most_attended.
        faces: (K, 114, 114) uint8 grey, warped; turned back where the clip is mirrored, as are frames and points.
        frames: (K, 160, 160, 3) uint8 RGB, the frame around the face, upright.
        points: (K, 68, 2) float32, the smoothed landmarks in it (smile.frontal).
        spatial: (K, 10, 10) float32.
    """

    times_s: NDArray[np.float64]
    temporal: NDArray[np.float32]
    shown: NDArray[np.intp]
    faces: NDArray[np.uint8]
    frames: NDArray[np.uint8]
    points: NDArray[np.float32]
    spatial: NDArray[np.float32]

    def heated(self) -> "Iterator[Heated]":
        """Each of the K frames under its heat."""
        for face, frame, points, spatial in zip(self.faces, self.frames, self.points, self.spatial, strict=True):
            warmth = heat(spatial)
            yield Heated(over_frame(frame, points, warmth), over_face(face, warmth))


class Heated(NamedTuple):
    """A frame under its heat.

    Attributes:
        frame: (160, 160, 3) uint8 RGB, the heat unwarped.
        face: (114, 114, 3) uint8 RGB, warped.
    """

    frame: NDArray[np.uint8]
    face: NDArray[np.uint8]


def most_attended(times_s: NDArray[np.float64], weights: NDArray[np.float32]) -> NDArray[np.intp]:
    """The frames with the largest weights, at most SHOWN and each APART_S from the others, in the order of time.

    Args:
        times_s, weights: (F,) of every frame.
    """
    chosen: list[int] = []
    for at in np.argsort(-weights, kind="stable").tolist():
        if len(chosen) < SHOWN and all(abs(times_s[at] - times_s[other]) >= APART_S for other in chosen):
            chosen.append(at)
    return np.array(sorted(chosen), np.intp)


def heat(attention: NDArray[np.float32], sigma_px: float = CELL_STEP_PX) -> NDArray[np.float32]:
    """(10, 10) attention, or of another side of CELLS, -> (114, 114) float32 on the scale 0-1 of its own range."""
    wide = spread(attention, sigma_px)
    return np.asarray((wide - wide.min()) / max(float(np.ptp(wide)), 1e-9), np.float32)


def spread(attention: NDArray[np.float32], sigma_px: float = CELL_STEP_PX) -> NDArray[np.float32]:
    """(10, 10) attention -> (114, 114) float32: each pixel the mean of the cells, by Gaussians around their centres."""
    first, step = CELLS[attention.shape[0]]
    cells = first + step * np.arange(attention.shape[0])
    pixels = np.arange(SIDE_PX) + 0.5
    near = np.exp(-0.5 * np.square((pixels[:, None] - cells) / sigma_px))
    near /= near.sum(axis=1, keepdims=True)
    return np.asarray(near @ attention @ near.T, np.float32)


def over_face(face: NDArray[np.uint8], warmth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(114, 114) grey and heat -> (114, 114, 3) uint8 RGB; black beside the face stays black."""
    inside = np.zeros(SIDE_PX * SIDE_PX, np.float32)
    inside[piecewise.plan().inside] = 1
    return blend(np.repeat(face[..., None], 3, axis=2), warmth, inside.reshape(SIDE_PX, SIDE_PX))


def over_frame(rgb: NDArray[np.uint8], points: NDArray[np.float32], warmth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The heat unwarped, triangle by triangle, onto the face of the original frame.

    Args:
        rgb: (H, W, 3) uint8, the frame or an upright part of it.
        points: (68, 2) landmarks in it, continuous coordinates (smile.alignment).
        warmth: (114, 114) heat.
    """
    size = rgb.shape[1::-1]
    unwarped, inside = np.zeros(rgb.shape[:2], np.float32), np.zeros(rgb.shape[:2], np.float32)
    for triangle in piecewise.triangles():
        corners = np.asarray(points[triangle], np.float32)
        corners -= np.float32(0.5)
        left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, size)
        right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, size)
        if left == right or top == bottom:
            continue
        corners -= np.array((left, top), np.float32)
        box = int(right - left), int(bottom - top)
        matrix = cv2.getAffineTransform(MEAN_SHAPE[triangle] - np.float32(0.5), corners)
        mask = np.zeros(box[::-1], np.uint8)
        cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), (1,))
        moved = cv2.warpAffine(warmth, matrix, box, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        places = np.s_[top:bottom, left:right]
        unwarped[places][mask > 0], inside[places][mask > 0] = moved[mask > 0], 1
    return blend(rgb, unwarped, inside)


def blend(rgb: NDArray[np.uint8], warmth: NDArray[np.float32], inside: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB under the colours of (H, W) heat, dark to bright, where `inside`, (H, W), is 1."""
    colours = cv2.applyColorMap(np.round(255 * warmth).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    share = (STRENGTH * inside)[..., None]
    return np.asarray((1 - share) * rgb + share * colours, np.uint8)
