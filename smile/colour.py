"""From a decoded frame to 8-bit sRGB: the stream's own matrix and range, wide gamut, HDR, alpha.

SDR frames take one pass of swscale. PQ, HLG and wide-gamut frames go on through tables: to linear light with SDR white
(203 cd/m², ITU-R BT.2408) at 1.0, to BT.709 primaries, and through a highlight knee to the sRGB curve. The tables cost
ten times as much per pixel as swscale, so these frames are reduced to TABLE_FRAME_PX. SDR frames keep their size:
reducing one costs more than converting it whole.
"""

from functools import cache
from typing import cast

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

SDR_WHITE_NITS = 203.0
"""Luminance of SDR white in an HDR signal (ITU-R BT.2408)."""
HLG_PEAK_NITS = 1000.0
HLG_SYSTEM_GAMMA = 1.2
"""HLG's OOTF for a display of HLG_PEAK_NITS (ITU-R BT.2100 table 5)."""
KNEE = 0.8
"""Linear light above this (1.0 = SDR white) is compressed towards 1.0 instead of being clipped."""
LINEAR_RANGE = 2.0
"""Linear light at the end of the output table, where the knee has reached 255."""
TABLE_FRAME_PX = 1280
"""Frames that go through the tables are first reduced to this longer side."""
LUMINANCE_2020 = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
TO_BT709 = {
    ColorPrimaries.BT2020: np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
    ),
    ColorPrimaries.SMPTE432: np.array(
        [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], np.float32
    ),
}
"""Linear RGB of wide primaries (BT.2020, Display P3) -> linear RGB of BT.709."""
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""Code point of the matrix in the stream (ITU-T H.273 table 4) -> swscale's name for it."""
VIDEO_COLOUR = (Colorspace.ITU709, ColorRange.MPEG)
"""Matrix and range of what `Converter.video` returns."""
HDR_TRANSFERS = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
HD_HEIGHT = 720
"""An untagged stream of at least this height is BT.709, a smaller one BT.601 (what players assume)."""


class Converter:
    """Turns decoded frames into RGB arrays. Keeps its swscale context: one per clip, not shared between threads."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame, width: int, height: int) -> Pixels:
        """Convert and resize one frame.

        Args:
            frame: as decoded, any pixel format that swscale reads.
            width, height: of the result, in pixels.

        Returns:
            (height, width, 3) uint8 sRGB, alpha composited on black.
        """
        alpha = any(component.is_alpha for component in frame.format.components)
        filtering = Interpolation.AREA if width < frame.width else Interpolation.BILINEAR
        if needs_tables(frame):
            filtering |= Interpolation.FULL_CHR_H_INT  # the steep HDR curves would enlarge swscale's fast rounding
        converted = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgba" if alpha else "rgb24",
            src_colorspace=_matrix(frame),
            src_color_range=_range(frame),
            interpolation=filtering,
            threads=1,
        )
        pixels = cast(Pixels, converted.to_ndarray())
        if alpha:
            pixels = _on_black(pixels)
        return _through_tables(pixels, frame.color_trc, frame.color_primaries) if needs_tables(frame) else pixels

    def video(self, frame: VideoFrame, width: int, height: int) -> VideoFrame:
        """Convert and resize one frame for an encoder.

        Args: as of `rgb`; even numbers.

        Returns:
            yuv420p, BT.709 in limited range. What `rgb` treats specially (HDR, wide gamut, alpha) looks as there.
        """
        plain = not needs_tables(frame) and not any(component.is_alpha for component in frame.format.components)
        same = plain and frame.format.name == "yuv420p" and (_matrix(frame), _range(frame)) == VIDEO_COLOUR
        if same and frame.width % width == 0 and frame.height % height == 0:
            return _reduced(frame, width, height)
        source = frame if plain else VideoFrame.from_ndarray(self.rgb(frame, width, height), "rgb24")
        colours = (
            {}
            if same
            else {
                "src_colorspace": _matrix(frame) if plain else None,
                "src_color_range": _range(frame) if plain else ColorRange.JPEG,
                "dst_colorspace": VIDEO_COLOUR[0],
                "dst_color_range": VIDEO_COLOUR[1],
            }
        )
        filtering = Interpolation.AREA if width < source.width else Interpolation.BILINEAR
        return self._reformatter.reformat(
            source, width, height, "yuv420p", interpolation=filtering, threads=1, **colours
        )


def planes(frame: VideoFrame) -> list[Pixels]:
    """Y (H, W), U and V (H/2, W/2) of a yuv420p frame; what is written to them is written to the frame."""
    return [
        np.frombuffer(cast(bytes, plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]


def _reduced(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """By whole factors, yuv420p to yuv420p: half the time that swscale takes."""
    small = VideoFrame(width, height, "yuv420p")
    for source, target in zip(planes(frame), planes(small), strict=True):
        cv2.resize(source, target.shape[::-1], dst=target, interpolation=cv2.INTER_AREA)
    return small


def working_size(frame: VideoFrame, width: int, height: int) -> tuple[int, int]:
    """The (width, height) at which a frame that is shown at `width` x `height` is best converted."""
    longer = max(width, height)
    if longer <= TABLE_FRAME_PX or not needs_tables(frame):
        return width, height
    return max(1, round(width * TABLE_FRAME_PX / longer)), max(1, round(height * TABLE_FRAME_PX / longer))


def needs_tables(frame: VideoFrame) -> bool:
    return is_hdr(frame) or frame.color_primaries in TO_BT709


def is_hdr(frame: VideoFrame) -> bool:
    """Whether the frame is tagged with an HDR transfer function (PQ or HLG)."""
    return frame.color_trc in HDR_TRANSFERS


def _matrix(frame: VideoFrame) -> int:
    """swscale's number of the YUV matrix; ignored for RGB frames."""
    untagged = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
    return MATRICES.get(frame.colorspace, untagged)


def _range(frame: VideoFrame) -> int:
    if frame.format.name.startswith("yuvj"):
        return ColorRange.JPEG
    return frame.color_range or ColorRange.MPEG


@cache
def _to_linear(transfer: int) -> NDArray[np.float32]:
    """(256,) linear light of an 8-bit code value: SDR and PQ relative to SDR white, HLG scene light in 0..1."""
    code = np.linspace(0.0, 1.0, 256)
    if transfer == ColorTrc.SMPTE2084:  # SMPTE ST 2084, eq. 4.1
        root = code ** (1 / 78.84375)
        nits = 10_000.0 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        linear = nits / SDR_WHITE_NITS
    elif transfer == ColorTrc.ARIB_STD_B67:  # ITU-R BT.2100 table 5, inverse OETF
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        linear = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:
        linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear, np.float32)


@cache
def _to_srgb(hdr: bool) -> Pixels:
    """(256,) sRGB code value of the square root of linear light over LINEAR_RANGE; HDR goes through the knee."""
    linear = np.linspace(0.0, 1.0, 256) ** 2 * LINEAR_RANGE
    if hdr:
        linear = np.where(linear <= KNEE, linear, 1 - (1 - KNEE) * np.exp(-(linear - KNEE) / (1 - KNEE)))
    linear = np.minimum(linear, 1.0)
    code = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(code * 255), np.uint8)


def _through_tables(pixels: Pixels, transfer: int, primaries: int) -> Pixels:
    """(H, W, 3) uint8 R'G'B' in the stream's transfer and primaries -> uint8 sRGB."""
    linear = cv2.LUT(pixels, _to_linear(transfer))
    if transfer == ColorTrc.ARIB_STD_B67:
        gain = cv2.pow(cv2.transform(linear, LUMINANCE_2020), HLG_SYSTEM_GAMMA - 1) * (HLG_PEAK_NITS / SDR_WHITE_NITS)
        linear = cv2.multiply(linear, cv2.merge([gain, gain, gain]))
    if primaries in TO_BT709:
        linear = cv2.transform(linear, TO_BT709[ColorPrimaries(primaries)])
    root = cv2.sqrt(cv2.threshold(linear, 0.0, 0.0, cv2.THRESH_TOZERO)[1])
    index = cv2.convertScaleAbs(root, alpha=255 / LINEAR_RANGE**0.5)
    return cast(Pixels, cv2.LUT(index, _to_srgb(transfer in HDR_TRANSFERS)))


def _on_black(pixels: Pixels) -> Pixels:
    """(H, W, 4) RGBA with straight alpha -> (H, W, 3)."""
    alpha = pixels[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    return np.asarray(pixels[..., :3] * (alpha / np.float32(255)) + 0.5, np.uint8)
