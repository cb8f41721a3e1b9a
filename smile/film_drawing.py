"""What is laid over the pictures of a film: relations that follow the face, and the course of the smile below.

Both are drawn once, as SVG, in the colours of the figures. For every picture the first is moved onto the face by its
similarity and the second copied; only the cursor is drawn anew. Pictures are planes of yuv420p, BT.709, limited range.
"""

from collections.abc import Iterator
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray

from smile.alignment import CROP_PX
from smile.colour import Pixels
from smile.figures import Importance, link_path, top_of_scale
from smile.ranking import Relation
from smile.regions import GRID, REGIONS
from smile.svg import colour, element, transparency

MARGIN = 0.12
"""Room for the glow around the aligned square, in widths of it."""
STROKE_UNIT = 1 / 220
MIN_STROKE_UNIT_PX = 0.7
"""Width of a stroke of 1, in widths of the aligned square, and at least so many pixels."""
MIN_SQUARE_PX, MAX_SQUARE_PX = 48, 960
"""Sizes at which the relations are drawn, before they are moved onto the face."""
YUV = np.array([[0.2126, 0.7152, 0.0722], [-0.1146, -0.3854, 0.5], [0.5, -0.4542, -0.0458]]) * [[219], [224], [224]]
YUV_ZERO = np.array([16.0, 128.0, 128.0])
"""RGB in 0..1 -> Y, U, V of BT.709 in limited range."""


def yuv(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) RGB in 0..1 -> (..., 3) Y, U, V."""
    return np.asarray(rgb @ YUV.T + YUV_ZERO)


class Overlay:
    """A drawing on the aligned square that can be laid onto the face in any picture.

    Args:
        body: SVG elements on a square from (0, 0) to (side, side), `MARGIN` more on every side.
        side: in pixels, about as large as the square is in the pictures.
        mirrored: the face is shown as in a mirror, the regions change sides.
    """

    def __init__(self, body: str, side: int, *, mirrored: bool) -> None:
        margin = round(MARGIN * side)
        whole = side + 2 * margin
        turn = f"translate({margin + side} {margin}) scale(-1 1)" if mirrored else f"translate({margin} {margin})"
        drawn = transparency(element("g", body, transform=turn), whole, whole).astype(np.float64) / 255
        alpha = drawn[:, :, 3:]
        layer = np.dstack([yuv(drawn[:, :, 2::-1]) * alpha, 255 * (1 - alpha)])  # Y, U, V to add; what shines through
        self._layer = np.rint(layer).astype(np.uint8)
        scale = CROP_PX / side
        self._to_crop = np.array([[scale, 0, -margin * scale], [0, scale, -margin * scale], [0, 0, 1]])
        self._corners = np.array([[0, whole, 0, whole], [0, 0, whole, whole], [1, 1, 1, 1]], np.float64)

    def lay(self, picture: list[Pixels], matrix: NDArray[np.float64]) -> None:
        """Blend the drawing in; `matrix` is (2, 3), aligned crop -> pixels of the picture."""
        moved = matrix @ self._to_crop
        corners = moved @ self._corners
        height, width = picture[0].shape
        left, top = (max(0, 2 * floor(low / 2)) for low in corners.min(axis=1))
        right, bottom = (
            min(size, 2 * ceil(high / 2)) for high, size in zip(corners.max(axis=1), (width, height), strict=True)
        )
        if right <= left or bottom <= top:
            return
        moved[:, 2] += moved[:, :2] @ (0.5, 0.5) - 0.5 - (left, top)  # cv2 counts from pixel centres
        size = (right - left, bottom - top)
        half = (size[0] // 2, size[1] // 2)
        *light, through = cv2.split(cv2.warpAffine(self._layer, moved, size, borderValue=(0, 0, 0, 255)))
        half_through = cv2.resize(through, half, interpolation=cv2.INTER_AREA)
        for plane, added, factor in zip(picture, light, (1, 2, 2), strict=True):
            window = plane[top // factor : bottom // factor, left // factor : right // factor]
            if factor == 1:
                window[:] = cv2.add(cv2.multiply(window, through, scale=1 / 255), added)
            else:
                added = cv2.resize(added, half, interpolation=cv2.INTER_AREA)
                window[:] = cv2.add(cv2.multiply(window, half_through, scale=1 / 255), added)


def regions(side: float) -> str:
    """The nine regions as boxes on the aligned square."""
    cell, unit = side / GRID, _stroke_unit(side)
    gap = 1.6 * unit
    boxes = []
    for stroke, width, opacity in (("#000", 2.8 * unit, 0.3), ("#fff", 1.3 * unit, 0.75)):
        boxes += [
            element(
                "rect", x=r.column * cell + gap, y=r.row * cell + gap, width=cell - 2 * gap, height=cell - 2 * gap,
                rx=5 * unit, fill="none", stroke=stroke, stroke_width=width, stroke_opacity=opacity,
            )
            for r in REGIONS
        ]  # fmt: skip
    return "".join(boxes)


def links(importance: Importance, pairs: list[Relation], side: float) -> str:
    """Pairs of regions as glowing links between their centres, the most important on top."""
    unit, scale = _stroke_unit(side), top_of_scale(importance)
    paths = [(link_path((p.regions[0], p.regions[1]), side), p.importance / scale) for p in reversed(pairs)]
    room = MARGIN * side
    area = {"x": -room, "y": -room, "width": side + 2 * room, "height": side + 2 * room}
    blur = element("feGaussianBlur", stdDeviation=3.5 * unit)
    nodes = sorted({region for pair in pairs for region in pair.regions})
    return "".join(
        (
            element("filter", blur, id="glow", filterUnits="userSpaceOnUse", **area),
            element("g", "".join(_strokes(paths, unit, 2.0, "#000")), filter="url(#glow)", opacity=0.45),
            element("g", "".join(_strokes(paths, unit, 2.6)), filter="url(#glow)"),
            *_strokes(paths, unit, 1.0),
            element("g", "".join(_strokes(paths, unit, 0.3, "#fff")), opacity=0.65),
            *(_node(REGIONS[i].centre, side, unit) for i in nodes),
        )
    )


def _stroke_unit(side: float) -> float:
    return max(side * STROKE_UNIT, MIN_STROKE_UNIT_PX)


def _strokes(paths: list[tuple[str, float]], unit: float, width: float, ink: str | None = None) -> Iterator[str]:
    """(path, share of the scale) as lines, wider and brighter with the share."""
    for path, share in paths:
        yield element(
            "path", d=path, fill="none", stroke=ink or colour(share), stroke_linecap="round",
            stroke_width=width * (1.6 + 4.4 * share) * unit,
        )  # fmt: skip


def _node(centre: tuple[float, float], side: float, unit: float) -> str:
    x, y = centre
    return element("circle", cx=x * side, cy=y * side, r=4 * unit, fill="#fff", stroke="#000", stroke_width=1.4 * unit)
