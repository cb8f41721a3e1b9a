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
MAX_SIDE_PX = 16_384
"""mediapipe ends the process where a side has 32,767 pixels or more."""
RECORDS_PER_FRAME, RECORDS_PER_S = 4, 5000
"""Of an index, allowed for each frame and for each second of sound and all else: 16 tracks of plain sound fit."""
MAX_PAUSE_S = 10.0
"""A later timestamp than this after the last is a jump: of two recordings that were joined, or of a broken clock."""
MAX_LAG_S = 0.1
"""A frame whose timestamp lies further than this behind the time given to the one before has no place there."""
LEAST_STEP_S = 1e-3
"""From one frame to the next, where the timestamp of the second lies behind the time given to the first."""


@dataclass(frozen=True)
class Limits:
    """What is refused. Declared values are checked before anything is decoded, real ones while streaming.

    The checks raise FrameTooLarge and VideoTooLong.
    """

    max_pixels: int = 4096 * 2304
    max_duration_s: float = 120.0
    max_frames: int = 15_000

    def check_pixels(self, width: int, height: int) -> None:
        """Of a picture as stored, and as it is shown."""
        if width * height > self.max_pixels or max(width, height) > MAX_SIDE_PX:
            raise FrameTooLarge(
                f"The picture has {width} x {height} pixels; at most {self.max_pixels} in all and {MAX_SIDE_PX} on a "
                "side are accepted. Send a smaller resolution."
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

    def check_records(self, count: int) -> None:
        """Of the index of a file."""
        if count > RECORDS_PER_FRAME * self.max_frames + RECORDS_PER_S * self.max_duration_s:
            raise VideoTooLong(
                f"The header speaks of {count} frames and pieces of sound, more than {self.max_duration_s:g} s have. "
                "Cut it down to the smile."
            )


DEFAULT_LIMITS = Limits()


@dataclass
class DecodeReport:
    """What decoding met; live while streaming, final after.

    Attributes:
        frames_decoded: frames that came out of the decoder.
        packets_damaged: empty packets and packets that the decoder rejected.
        timestamps_repaired: frames whose timestamp was missing, not later than those before, or a jump; those that
            only wait LEAST_STEP_S for the one before are not among them.
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
        (presentation time in seconds, frame), the first at 0, strictly increasing: see `Clock`.
    """
    nominal_s = nominal_interval(stream)
    time_base = stream.time_base or Fraction(1, av.time_base)
    clock = Clock(nominal_s)
    for frame in _decoded(container, stream, limits, report):
        limits.check_pixels(frame.width, frame.height)
        time_s = clock.time_of(None if frame.pts is None else float(frame.pts * time_base))
        report.timestamps_repaired = clock.repaired
        report.frames_decoded += 1
        mean_s = time_s / (report.frames_decoded - 1) if report.frames_decoded > 1 else nominal_s
        report.duration_s, report.source_rate_hz = time_s + mean_s, 1 / mean_s
        limits.check_duration(time_s)
        limits.check_frames(report.frames_decoded)
        yield time_s, frame


class Clock:
    """Times that increase, from timestamps of which some are missing, repeated or wrong.

    A frame without a usable timestamp comes the nominal interval after the one before. Two in a row that lie behind
    others, but go on one from the other, are of a recording that was joined, and follow its clock.

    Attributes:
        repaired: frames whose own timestamp was of no use.
    """

    def __init__(self, nominal_s: float) -> None:
        self.repaired = 0
        self._nominal_s = nominal_s
        self._stamp_s: float | None = None
        self._unused_s: float | None = None
        self._start_s = 0.0
        self._time_s = -nominal_s

    def time_of(self, stamp_s: float | None) -> float:
        """Seconds since the first frame at which the next one is shown."""
        expected_s = self._time_s + self._nominal_s
        if stamp_s is None or not self._is_usable(stamp_s):
            self.repaired += 1
            self._unused_s, self._time_s = stamp_s, expected_s
            return expected_s
        if self._stamp_s is None:
            self._start_s = stamp_s - expected_s
        elif not -MAX_LAG_S <= stamp_s - self._start_s - self._time_s <= MAX_PAUSE_S:
            self._start_s = stamp_s - expected_s
            self.repaired += 1
        self._stamp_s, self._unused_s = stamp_s, None
        self._time_s = max(stamp_s - self._start_s, self._time_s + LEAST_STEP_S)
        return self._time_s

    def _is_usable(self, stamp_s: float) -> bool:
        """Whether it is later than the last one in use, or than one behind that, from which time goes on then."""
        if self._stamp_s is None or stamp_s > self._stamp_s:
            return True
        if self._unused_s is None or not 0 < stamp_s - self._unused_s <= MAX_PAUSE_S:
            return False
        self._start_s = self._unused_s - self._time_s
        return True


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
