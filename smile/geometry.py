"""How a decoded picture is shown: turned and mirrored by its display matrix, its pixels made square."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, cast

import cv2
import numpy as np
from av import VideoFrame
from av.sidedata.sidedata import SideData, Type
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

MAX_PIXEL_ASPECT = 4.0
"""A pixel said to be more oblong than this is a broken header, and taken as square."""


@dataclass(frozen=True)
class Geometry:
    """What makes a stored picture the one that is shown: first transpose, then mirror.

    Attributes:
        stored: (width, height) in pixels as decoded.
        pixel_aspect: width over height of one stored pixel.
        transpose: rows become columns.
        mirror_x, mirror_y: left and right, top and bottom change places.
    """

    stored: tuple[int, int]
    pixel_aspect: float = 1.0
    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame, pixel_aspect: float) -> Self:
        """Read the display matrix of a frame (ISO/IEC 14496-12, 8.3.2); turns are rounded to quarter turns."""
        if not 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT:
            pixel_aspect = 1.0
        stored = (frame.width, frame.height)
        side_data = cast(Iterable[SideData], _stamp(frame).side_data)
        data = next((bytes(side) for side in side_data if side.type is Type.DISPLAYMATRIX), None)
        if data is None:
            return cls(stored, pixel_aspect)
        a, b, _, c, d = struct.unpack("=5i", data[:20])  # x' = a x + c y, y' = b x + d y
        transpose = abs(b) + abs(c) > abs(a) + abs(d)
        return cls(stored, pixel_aspect, transpose, *((c < 0, b < 0) if transpose else (a < 0, d < 0)))

    @property
    def square(self) -> tuple[int, int]:
        """(width, height) of the stored picture when its pixels are made square by enlarging the shorter side."""
        width, height = self.stored
        if self.pixel_aspect >= 1:
            return max(1, round(width * self.pixel_aspect)), height
        return width, max(1, round(height / self.pixel_aspect))

    @property
    def shown(self) -> tuple[int, int]:
        """(width, height) upright, with square pixels."""
        width, height = self.square
        return (height, width) if self.transpose else (width, height)

    @property
    def mirrored(self) -> bool:
        """Whether what is shown is a mirror image of what is stored."""
        return self.transpose ^ self.mirror_x ^ self.mirror_y

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn to make it upright, before a left-right mirroring where `mirrored`."""
        if self.transpose:
            return 90 if not self.mirror_y else 270
        return 180 if self.mirror_y else 0

    def upright(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn and mirror (H, W, 3) pixels as stored into pixels as shown."""
        if self.transpose:
            pixels = cast(NDArray[np.uint8], cv2.transpose(pixels))
        if self.mirror_x or self.mirror_y:
            axes = -1 if self.mirror_x and self.mirror_y else int(self.mirror_x)
            pixels = cast(NDArray[np.uint8], cv2.flip(pixels, axes))
        return pixels


def _stamp(frame: VideoFrame) -> VideoFrame:
    """The frame in tiny. A frame whose side data were asked for refers to itself, so that the garbage collector has to
    find it: that must not be one of megabytes."""
    return frame.reformat(width=16, height=16, format="gray", interpolation=Interpolation.POINT)
