"""Any video -> RGB frames on the uniform grid of `smile.sampling`, streamed.

FFmpeg (PyAV) demuxes packet by packet; what is damaged is skipped and counted. Times come from presentation timestamps,
never from a frame index. Memory does not grow with the length of the clip.
"""

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from smile.colour import Converter, is_hdr, working_size
from smile.container import (
    READABLE,
    declared_duration,
    nominal_interval,
    open_container,
    picture_stream,
    set_threads,
)
from smile.errors import FrameTooLarge, UnreadableVideo, VideoTooLong
from smile.geometry import Geometry
from smile.sampling import FRAME_RATE_HZ, stride_at

TIME_TOLERANCE_S = 1e-3
"""Resolution of timestamps in Matroska and WebM."""
TIE_S = 1e-6
MAX_READ_FAILURES = 16
"""Consecutive errors of the demuxer after which the rest of a file is given up."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Limits:
    """What is refused. Declared values are checked before anything is decoded, real ones while streaming."""

    max_pixels: int = 4096 * 2304
    max_duration_s: float = 120.0
    max_frames: int = 15_000


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


@dataclass
class DecodeReport:
    """What decoding met; live while streaming, final after.

    Attributes:
        frames_decoded: frames that came out of the decoder.
        packets_damaged: empty packets and packets that the decoder rejected.
        timestamps_repaired: frames whose timestamp was missing, or not later than the one before.
        duration_s: presentation time of the last frame plus one mean interval.
        source_rate_hz: measured mean rate.
        last_instant: last instant of the grid that was reached; -1 before the first. `smile.sampling.is_kept` says
            with it which of the instants that were delivered belong to the final sequence.
    """

    frames_decoded: int = 0
    packets_damaged: int = 0
    timestamps_repaired: int = 0
    duration_s: float = 0.0
    source_rate_hz: float = 0.0
    last_instant: int = -1


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
        limits: Limits = Limits(),
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
            set_threads(self._stream)
            self._time_base = self._stream.time_base or Fraction(1, av.time_base)
            self._nominal_s = nominal_interval(self._stream)
            self._frames = self._timed_frames()
            resources.callback(self._frames.close)
            self._first = next(self._frames, None)
            if self._first is None:
                raise UnreadableVideo(f"No picture in this file can be decoded. {READABLE}")
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

    def samples(self) -> Iterator[Sample]:
        """Stream the clip once, on the grid. Only frames that are used are converted.

        Raises:
            VideoTooLong, FrameTooLarge: when the clip turns out to be larger than its header said.
        """
        for instants, time_s, frame in resample(self._counted(), self._grid):
            self.report.last_instant = instants[-1]
            kept = tuple(k for k in instants if k % stride_at(k) == 0)
            if kept:
                yield Sample(kept, time_s, self._rgb(frame))

    def _check_header(self, file: BinaryIO) -> None:
        """Refuse by the header alone, before any decoder exists."""
        with open_container(file, {"codec_whitelist": "none"}) as header:
            stream = picture_stream(header)
            self._check_pixels(stream.width, stream.height)
            self._declared_s = declared_duration(header, stream)
            if self._declared_s is not None and self._declared_s > self._limits.max_duration_s:
                self._refuse_duration(self._declared_s)

    def _check_pixels(self, width: int, height: int) -> None:
        if width * height > self._limits.max_pixels:
            raise FrameTooLarge(
                f"The picture has {width} x {height} pixels; at most {self._limits.max_pixels} in all are accepted. "
                "Send a smaller resolution."
            )

    def _refuse_duration(self, duration_s: float) -> None:
        raise VideoTooLong(
            f"The clip lasts at least {duration_s:.1f} s; at most {self._limits.max_duration_s:g} s are accepted. "
            "Cut it down to the smile."
        )

    def _geometry_of(self, frame: av.VideoFrame) -> Geometry:
        return Geometry.of(frame, float(self._stream.sample_aspect_ratio or 1))

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

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Every frame that decodes. Packets are decoded one by one: an empty or a damaged one costs only itself."""
        failures = 0
        while failures < MAX_READ_FAILURES:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    if packet.size:
                        yield from self._decode(packet)
                    elif packet.pos is not None:
                        self.report.packets_damaged += 1
                break
            except av.FFmpegError:
                failures += 1
                self.report.packets_damaged += 1
        yield from self._decode(None)

    def _decode(self, packet: "av.Packet[VideoStream] | None") -> list[av.VideoFrame]:
        try:
            return self._stream.codec_context.decode(packet)
        except av.FFmpegError:
            self._check_pixels(self._stream.codec_context.width, self._stream.codec_context.height)
            self.report.packets_damaged += 1
            return []

    def _timed_frames(self) -> Generator[tuple[float, av.VideoFrame], None, None]:
        """(presentation time, frame), the first at 0, strictly increasing; within the limits."""
        start_s = previous_s = -self._nominal_s
        for frame in self._decoded():
            self._check_pixels(frame.width, frame.height)
            stamp_s = None if frame.pts is None else float(frame.pts * self._time_base)
            if self.report.frames_decoded == 0:
                start_s = stamp_s or 0.0
            time_s = previous_s + self._nominal_s
            if stamp_s is not None and stamp_s - start_s > previous_s:
                time_s = stamp_s - start_s
            else:
                self.report.timestamps_repaired += 1
            self._count(time_s)
            yield time_s, frame
            previous_s = time_s

    def _count(self, time_s: float) -> None:
        report = self.report
        report.frames_decoded += 1
        mean_s = time_s / (report.frames_decoded - 1) if report.frames_decoded > 1 else self._nominal_s
        report.duration_s, report.source_rate_hz = time_s + mean_s, 1 / mean_s
        if time_s > self._limits.max_duration_s:
            self._refuse_duration(time_s)
        if report.frames_decoded > self._limits.max_frames:
            raise VideoTooLong(f"The clip has more than {self._limits.max_frames} frames. Cut it down to the smile.")

    def _counted(self) -> Iterator[tuple[float, av.VideoFrame]]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        del first
        yield from self._frames

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
