"""Packets -> decoded frames with repaired times, within limits, one at a time."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from smile.container import nominal_interval
from smile.errors import FrameTooLarge, VideoTooLong

MAX_READ_FAILURES = 16
"""Consecutive errors of the demuxer after which the rest of a file is given up."""


@dataclass(frozen=True)
class Limits:
    """What is refused. Declared values are checked before anything is decoded, real ones while streaming.

    The checks raise FrameTooLarge and VideoTooLong.
    """

    max_pixels: int = 4096 * 2304
    max_duration_s: float = 120.0
    max_frames: int = 15_000

    def check_pixels(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise FrameTooLarge(
                f"The picture has {width} x {height} pixels; at most {self.max_pixels} in all are accepted. "
                "Send a smaller resolution."
            )

    def check_duration(self, duration_s: float) -> None:
        if duration_s > self.max_duration_s:
            raise VideoTooLong(
                f"The clip lasts at least {duration_s:.1f} s; at most {self.max_duration_s:g} s are accepted. "
                "Cut it down to the smile."
            )

    def check_frames(self, count: int) -> None:
        if count > self.max_frames:
            raise VideoTooLong(f"The clip has more than {self.max_frames} frames. Cut it down to the smile.")


DEFAULT_LIMITS = Limits()


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


def timed_frames(
    container: InputContainer, stream: VideoStream, limits: Limits, report: DecodeReport
) -> Generator[tuple[float, av.VideoFrame], None, None]:
    """Decode a stream to its end.

    Args:
        report: kept up to date.

    Returns:
        (presentation time in seconds, frame), the first at 0, strictly increasing. A timestamp that is missing, or not
        later than the one before, is replaced by the one before plus the nominal interval.
    """
    nominal_s = nominal_interval(stream)
    time_base = stream.time_base or Fraction(1, av.time_base)
    start_s, previous_s = 0.0, -nominal_s
    for frame in _decoded(container, stream, limits, report):
        limits.check_pixels(frame.width, frame.height)
        stamp_s = None if frame.pts is None else float(frame.pts * time_base)
        if report.frames_decoded == 0:
            start_s = stamp_s or 0.0
        time_s = previous_s + nominal_s
        if stamp_s is not None and stamp_s - start_s > previous_s:
            time_s = stamp_s - start_s
        else:
            report.timestamps_repaired += 1
        report.frames_decoded += 1
        mean_s = time_s / (report.frames_decoded - 1) if report.frames_decoded > 1 else nominal_s
        report.duration_s, report.source_rate_hz = time_s + mean_s, 1 / mean_s
        limits.check_duration(time_s)
        limits.check_frames(report.frames_decoded)
        yield time_s, frame
        previous_s = time_s


def _decoded(
    container: InputContainer, stream: VideoStream, limits: Limits, report: DecodeReport
) -> Iterator[av.VideoFrame]:
    """Every frame that decodes. Packets go in one by one: an empty or a damaged one costs only itself."""
    failures = 0
    while failures < MAX_READ_FAILURES:
        try:
            for packet in container.demux(stream):
                failures = 0
                if packet.size:
                    yield from _decode(stream, packet, limits, report)
                elif packet.dts is not None or packet.pos is not None:  # neither: the end, flushed below
                    report.packets_damaged += 1
            break
        except av.FFmpegError:
            failures += 1
            report.packets_damaged += 1
    yield from _decode(stream, None, limits, report)


def _decode(
    stream: VideoStream, packet: "av.Packet[VideoStream] | None", limits: Limits, report: DecodeReport
) -> list[av.VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError:
        limits.check_pixels(stream.codec_context.width, stream.codec_context.height)
        report.packets_damaged += 1
        return []
