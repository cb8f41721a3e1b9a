"""What the film of a clip is drawn from, gathered while the clip is read: its pictures in small, and where the face is.

What is drawn is known only at the clip's end, so the pictures are stored: reduced, almost without loss, by a codec
that is a third of the cost of H.264 to write and to read. They lie in a temporary file without a name, which is gone
when the recording is closed or the process ends.
"""

import tempfile
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from struct import Struct
from types import TracebackType
from typing import Self, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from smile.colour import Converter, Pixels, planes
from smile.geometry import Geometry
from smile.track import Track

LONG_SIDE_PX = (480, 640)
"""The longer side of the pictures: a clip within these limits keeps its size, others are reduced or enlarged."""
MIN_INTERVAL_S = 1 / 45
"""A frame sooner after the last one that was stored is left out: 50 and 60 frames a second become 25 and 30."""
CODEC = "mpeg1video"
"""FFmpeg's decoder of MPEG-4 (part 2) does not give the same pixels every time; this one does."""
QUANTISER = "2"
KEY_FRAME_EVERY = "12"
FRAME_TIME = Fraction(1, 25)
"""What the codec is told; the real times are kept beside the pictures."""
LENGTH = Struct("=I")
"""Precedes each packet in the file."""
WAITING = 3
"""Decoded frames, each of megabytes, that may wait to be stored."""
BLACK = (16, 128, 128)
"""Y, U, V in limited range."""


def recorded_size(width: int, height: int) -> tuple[int, int]:
    """(width, height), even, at which a clip that is shown at `width` x `height` is stored."""
    low, high = LONG_SIDE_PX
    scale = min(max(max(width, height), low), high) / max(width, height)
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


class Recording:
    """The pictures of one clip. A context manager; `watch` and then `pictures`, each by one thread at a time.

    Attributes:
        track: to be filled by whoever aligns the clip.
        size: (width, height) of the pictures; (0, 0) before the first.
        times_s: presentation time of each picture.
    """

    def __init__(self) -> None:
        self.track = Track()
        self.size = (0, 0)
        self.times_s = array("d")
        self._file = tempfile.TemporaryFile()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._waiting: deque[Future[None]] = deque()
        self._converter = Converter()
        self._encoder: VideoCodecContext | None = None
        self._stored = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
        with suppress(OSError):  # of a full disk, about which `watch` or `finish` has complained
            self._file.close()

    def watch(self, time_s: float, frame: av.VideoFrame, geometry: Geometry) -> None:
        """Take one decoded frame (`smile.video.Watch`). Raises what went wrong with an earlier one, such as OSError."""
        if self.times_s and time_s - self.times_s[-1] < MIN_INTERVAL_S:
            return
        self.times_s.append(time_s)
        self._waiting.append(self._thread.submit(self._store, frame, geometry))
        if len(self._waiting) > WAITING:
            self._waiting.popleft().result()

    def finish(self) -> None:
        """To be called when the clip has been read to its end, before `pictures`. Raises as `watch`."""
        for stored in self._waiting:
            stored.result()
        self._waiting.clear()
        if self._encoder is not None:
            self._keep(self._encoder.encode(None))
        self._file.flush()

    def pictures(self) -> Iterator[tuple[float, list[Pixels]]]:
        """The recorded (presentation time, picture), upright, in order; yuv420p, BT.709, limited range."""
        for time_s, frame in zip(self.times_s, self._frames(), strict=True):
            yield time_s, planes(frame)

    def _frames(self) -> Iterator[av.VideoFrame]:
        self._file.seek(0)
        decoder = cast(VideoCodecContext, av.CodecContext.create(CODEC, "r"))
        decoder.thread_count = 1
        while length := self._file.read(LENGTH.size):
            yield from decoder.decode(av.Packet(self._file.read(*LENGTH.unpack(length))))
        yield from decoder.decode(None)

    def _store(self, frame: av.VideoFrame, geometry: Geometry) -> None:
        if self._encoder is None:
            self.size = recorded_size(*geometry.shown)
            self._encoder = _encoder(*self.size)
        picture = self._picture(frame, geometry)
        picture.pts, picture.time_base = self._stored, FRAME_TIME
        self._stored += 1
        self._keep(self._encoder.encode(picture))

    def _keep(self, packets: "Iterable[av.Packet[VideoStream]]") -> None:
        for packet in packets:
            self._file.write(LENGTH.pack(packet.size))
            self._file.write(bytes(packet))

    def _picture(self, frame: av.VideoFrame, geometry: Geometry) -> av.VideoFrame:
        """Reduced and upright; a frame of another shape is fitted into the size of the first, on black."""
        width, height = _fitted(geometry.shown, self.size)
        stored = (height, width) if geometry.transpose else (width, height)
        small = self._converter.video(frame, *stored)
        upright = not (geometry.transpose or geometry.mirror_x or geometry.mirror_y)
        if upright and (width, height) == self.size:
            return small
        picture = av.VideoFrame(*self.size, "yuv420p")
        left, top = (self.size[0] - width) // 4 * 2, (self.size[1] - height) // 4 * 2
        for target, source, black, factor in zip(planes(picture), planes(small), BLACK, (1, 2, 2), strict=True):
            target[:] = black
            rows = slice(top // factor, (top + height) // factor)
            target[rows, left // factor : (left + width) // factor] = geometry.upright(source)
        return picture


def _encoder(width: int, height: int) -> VideoCodecContext:
    encoder = cast(VideoCodecContext, av.CodecContext.create(CODEC, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = FRAME_TIME
    encoder.options = {"qmin": QUANTISER, "qmax": QUANTISER, "g": KEY_FRAME_EVERY}
    encoder.thread_count = 1
    return encoder


def _fitted(shown: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest even size of the shape of `shown` within `size`; `size` itself where the shapes agree."""
    if recorded_size(*shown) == size:
        return size
    scale = min(size[0] / shown[0], size[1] / shown[1])
    width, height = (max(2, 2 * int(length * scale / 2)) for length in shown)
    return width, height
