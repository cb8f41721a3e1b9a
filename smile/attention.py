"""Where SIAM looked, as heat over a face, and which frames show it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from smile import piecewise
from smile.frontal_shape import SIDE_PX

CELL_STEP_PX, FIRST_CELL_PX = 8.0, 17.5
"""The cells of the map after the second convolution look at 35x35 pixels each, this far apart."""
STRENGTH = 0.55
"""Share of the colours in the blend."""
SHOWN = 4
"""Frames that stand for a clip."""
APART_S = 0.2
"""Least time between two of them: neighbours look alike."""


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
    """(10, 10) attention -> (114, 114) float32 on the scale 0-1 of its own range."""
    wide = spread(attention, sigma_px)
    return np.asarray((wide - wide.min()) / max(float(np.ptp(wide)), 1e-9), np.float32)


def spread(attention: NDArray[np.float32], sigma_px: float = CELL_STEP_PX) -> NDArray[np.float32]:
    """(10, 10) attention -> (114, 114) float32: each pixel the mean of the cells, by Gaussians around their centres."""
    cells = FIRST_CELL_PX + CELL_STEP_PX * np.arange(attention.shape[0])
    pixels = np.arange(SIDE_PX) + 0.5
    near = np.exp(-0.5 * np.square((pixels[:, None] - cells) / sigma_px))
    near /= near.sum(axis=1, keepdims=True)
    return np.asarray(near @ attention @ near.T, np.float32)


def over_face(face: NDArray[np.uint8], warmth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(114, 114) grey and heat -> (114, 114, 3) uint8 RGB; black beside the face stays black."""
    inside = np.zeros(SIDE_PX * SIDE_PX, np.float32)
    inside[piecewise.plan().inside] = 1
    return blend(np.repeat(face[..., None], 3, axis=2), warmth, inside.reshape(SIDE_PX, SIDE_PX))


def blend(rgb: NDArray[np.uint8], warmth: NDArray[np.float32], inside: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB under the colours of (H, W) heat, dark to bright, where `inside`, (H, W), is 1."""
    colours = cv2.applyColorMap(np.round(255 * warmth).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    share = (STRENGTH * inside)[..., None]
    return np.asarray((1 - share) * rgb + share * colours, np.uint8)
