"""Copies of a clip that should be answered as the clip itself: mirrored, or at a share of its bit rate."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FAITHFUL = {"crf": "12", "preset": "fast"}
"""Of the mirrored copy: what the encoder changes shall not be what is measured."""
TOLERANCE = 0.05
"""By which a copy's share of the bits may be off, relative to it."""
ATTEMPTS = 5


def mirrored(video: Path) -> io.BytesIO:
    """The clip in H.264, turned over left to right, with its times. Its display matrix is lost."""
    return io.BytesIO(_encoded(video, dict(FAITHFUL), None, mirror=True))


def at_share(video: Path, share: float) -> io.BytesIO:
    """The clip in H.264 at a share of its bit rate, with its times. Its display matrix is lost.

    The encoder spends less than asked for in a short clip (7 % instead of 10 in seventy frames), so what is asked for
    is corrected by what came out, ATTEMPTS times at most. Sound is not counted.
    """
    frames_only, duration = _picture(str(video))
    asked, copy = share * frames_only, b""
    for _ in range(ATTEMPTS):
        copy = _encoded(video, {"preset": "medium"}, round(8 * asked / duration), mirror=False)
        got, _ = _picture(io.BytesIO(copy))
        if abs(got / (share * frames_only) - 1) < TOLERANCE:
            break
        asked *= share * frames_only / got
    return io.BytesIO(copy)


def _encoded(video: Path, options: dict[str, str], bits_per_s: int | None, *, mirror: bool) -> bytes:
    target = io.BytesIO()
    with av.open(str(video)) as source, av.open(target, "w", format="matroska") as container:
        origin = source.streams.video[0]
        stream = container.add_stream("libx264", rate=Fraction(origin.average_rate or 25), options=options)
        stream.width, stream.height = origin.width // 2 * 2, origin.height // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = origin.sample_aspect_ratio or Fraction(1)
        stream.codec_context.time_base = Fraction(1, 1000)
        if bits_per_s is not None:
            stream.bit_rate = bits_per_s
        for frame in source.decode(origin):
            pixels = frame.to_ndarray(format="rgb24")[: stream.height, : stream.width]
            again = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:, ::-1] if mirror else pixels), "rgb24")
            again.pts = round(float(frame.time or 0.0) * 1000)
            again.time_base = Fraction(1, 1000)
            container.mux(stream.encode(again))
        container.mux(stream.encode(None))
    return target.getvalue()


def _picture(video: str | io.BytesIO) -> tuple[int, float]:
    """Of the picture alone: bytes of its packets, and seconds to the last of them."""
    size, last = 0, 0.0
    with av.open(video, "r") as container:
        for packet in container.demux(container.streams.video[0]):
            size += packet.size
            last = max(last, float((packet.pts or 0) * packet.time_base) if packet.time_base else 0.0)
    return size, max(last, 0.1)
