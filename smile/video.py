"""Any video -> RGB frames on the uniform grid of `smile.sampling`, streamed.

FFmpeg (PyAV) demuxes packet by packet; what is damaged is skipped and counted. Times come from presentation timestamps,
never from a frame index. Memory does not grow with the length of the clip.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from smile.boxes import check_claims
from smile.colour import Converter, is_hdr, working_size
from smile.container import (
    READABLE,
    declared_duration,
    open_container,
    picture_stream,
    set_threads,
)
from smile.decoding import DEFAULT_LIMITS, DecodeReport, Limits, timed_frames
from smile.errors import UnreadableVideo
from smile.geometry import Geometry
from smile.sampling import FRAME_RATE_HZ, stride_at

TIME_TOLERANCE_S = 1e-3
"""Resolution of timestamps in Matroska and WebM."""
TIE_S = 1e-6

Item = TypeVar("Item")
Watch = Callable[[float, av.VideoFrame, Geometry], None]
"""Is shown every decoded frame: its presentation time (the first is 0), the frame, and how it is to be turned."""


@dataclass(frozen=True)
class VideoInfo:
    """What the clip says about itself.

    Attributes:
        container, codec: FFmpeg's names.
        width, height: as shown, upright with square pixels, in pixels.
        rotation_deg: clockwise turn that was applied to make it upright: 0, 90, 180 or 270.
        mirrored: whether the display matrix also mirrors the picture.
        declared_duration_s: from the container's header; None where there is none.
        declared_rate_hz: mean frame rate by the header; None where there is none.
        scale: size of `Sample.rgb` over `width` x `height`; below 1 only for HDR and wide-gamut frames.
        hdr: tagged PQ or HLG.
        bit_depth: of the first component.
    """

    container: str
    codec: str
    width: int
    height: int
    rotation_deg: int
    mirrored: bool
    declared_duration_s: float | None
    declared_rate_hz: float | None
    scale: float
    hdr: bool
    bit_depth: int


@dataclass(frozen=True)
class Sample:
    """One converted frame and the grid instants that it stands for.

    Attributes:
        instants: ascending, never empty: kept instants of the uniform grid for which this is the nearest frame in time.
        time_s: the frame's own presentation time; the first frame of the clip is 0.
        rgb: (H, W, 3) uint8 RGB, upright, square pixels, sRGB.
    """

    instants: tuple[int, ...]
    time_s: float
    rgb: NDArray[np.uint8]


class Video:
    """An opened clip. Use as a context manager; not shared between threads.

    Args:
        source: path, or a seekable binary file, which is left open.
        limits: what to refuse.
        frame_rate_hz: rate of the sampling grid.

    Raises:
        UnreadableVideo, VideoTooLong, FrameTooLarge: on construction, or while streaming.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        limits: Limits = DEFAULT_LIMITS,
        frame_rate_hz: float = FRAME_RATE_HZ,
    ) -> None:
        self.report = DecodeReport()
        self._limits = limits
        self._grid = frame_rate_hz
        self._converter = Converter()
        with ExitStack() as resources:
            if isinstance(source, (str, os.PathLike)):
                source = resources.enter_context(open(source, "rb"))
            self._check_header(source)
            self._container = resources.enter_context(open_container(source, {"max_pixels": str(limits.max_pixels)}))
            self._stream = picture_stream(self._container)
            limits.check_pixels(self._stream.width, self._stream.height)
            set_threads(self._stream)
            self._frames = timed_frames(self._container, self._stream, limits, self.report)
            resources.callback(self._frames.close)
            self._first = next(self._frames, None)
            if self._first is None:
                raise UnreadableVideo(f"No picture in this file can be decoded. {READABLE}")
            self._seen: tuple[object, Geometry] | None = None
            self._geometry = self._geometry_of(self._first[1])
            self._size = working_size(self._first[1], *self._geometry.shown)
            self.info = self._describe(self._first[1])
            self._resources = resources.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release decoder and file. May be called twice."""
        self._first = None
        self._resources.close()

    def samples(self, watch: Watch | None = None) -> Iterator[Sample]:
        """Stream the clip once, on the grid. Only frames that are used are converted.

        Args:
            watch: called with all frames, also those that are not used.

        Raises:
            VideoTooLong, FrameTooLarge: when the clip turns out to be larger than its header said.
        """
        frames = self._counted() if watch is None else self._watched(watch)
        for instants, time_s, frame in resample(frames, self._grid):
            self.report.last_instant = instants[-1]
            kept = tuple(k for k in instants if k % stride_at(k) == 0)
            if kept:
                yield Sample(kept, time_s, self._rgb(frame))

    def _check_header(self, file: BinaryIO) -> None:
        """Refuse by the header alone, before any decoder exists."""
        check_claims(file, self._limits)
        with open_container(file, {"codec_whitelist": "none"}) as header:
            stream = picture_stream(header)
            self._limits.check_pixels(stream.width, stream.height)
            self._declared_s = declared_duration(header, stream)
            self._limits.check_duration(self._declared_s or 0.0)

    def _geometry_of(self, frame: av.VideoFrame) -> Geometry:
        """Read anew only where what is cheap to see of it has changed.

        The pixel aspect is that of the stream, as FFmpeg had it when it had opened the file: PyAV does not tell that of
        a frame. Where it changes within the clip, a part of it is shown too wide or too narrow.
        """
        pixel_aspect = float(self._stream.sample_aspect_ratio or 1)
        signs = (frame.width, frame.height, frame.rotation, pixel_aspect)
        if self._seen is None or signs != self._seen[0]:
            geometry = Geometry.of(frame, pixel_aspect)
            self._limits.check_pixels(*geometry.shown)
            self._seen = signs, geometry
        return self._seen[1]

    def _describe(self, frame: av.VideoFrame) -> VideoInfo:
        width, height = self._geometry.shown
        rate = self._stream.average_rate
        return VideoInfo(
            container=self._container.format.name,
            codec=self._stream.codec_context.name,
            width=width,
            height=height,
            rotation_deg=self._geometry.rotation_deg,
            mirrored=self._geometry.mirrored,
            declared_duration_s=self._declared_s,
            declared_rate_hz=float(rate) if rate else None,
            scale=max(self._size) / max(width, height),
            hdr=is_hdr(frame),
            bit_depth=frame.format.components[0].bits,
        )

    def _counted(self) -> Iterator[tuple[float, av.VideoFrame]]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        del first
        yield from self._frames

    def _watched(self, watch: Watch) -> Iterator[tuple[float, av.VideoFrame]]:
        for time_s, frame in self._counted():
            watch(time_s, frame, self._geometry_of(frame))
            yield time_s, frame

    def _rgb(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Convert, make square, turn upright; a frame of another size is fitted into the size of the first."""
        geometry = self._geometry_of(frame)
        width, height = working_size(frame, *geometry.shown)
        stored = (height, width) if geometry.transpose else (width, height)
        pixels = geometry.upright(self._converter.rgb(frame, *stored))
        return pixels if (width, height) == self._size else _fit(pixels, *self._size)


def resample(timed: Iterable[tuple[float, Item]], rate_hz: float) -> Iterator[tuple[range, float, Item]]:
    """Nearest neighbour in time, with one item of look-ahead.

    Args:
        timed: (time in seconds, item), strictly increasing, the first at 0.
        rate_hz: of the grid; instant k lies at k / rate_hz.

    Returns:
        (instants, time, item) of the items that are the nearest to any instant (the earlier one of two equally near),
        in order. The grid ends where the last item does, which lasts as long as the mean before it; a single one
        stands for instant 0 alone.
    """
    done, count, held = 0, 0, None
    for time_s, item in timed:
        if held is not None:
            end = int(((held[0] + time_s) / 2 + TIE_S) * rate_hz) + 1
            if end > done:
                yield range(done, end), *held
                done = end
        held = time_s, item
        count += 1
    if held is not None:
        end_s = held[0] * count / max(count - 1, 1)
        end = max(1, ceil((end_s - TIME_TOLERANCE_S) * rate_hz))
        if end > done:
            yield range(done, end), *held


def _fit(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale (H, W, 3) pixels into (height, width, 3), keeping their shape, on black."""
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    fitted = np.zeros((height, width, 3), np.uint8)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    fitted[y : y + size[1], x : x + size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return fitted
