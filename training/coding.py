"""Pictures through the codecs of films: the last of a few frames, predicted from those before it."""

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

MACROBLOCK_PX = 16
"""Side of the blocks that video codecs predict; those of JPEG are half as large."""
Frame = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB, H and W even."""


def last_in_vp8(frames: Sequence[Frame], quantiser: int) -> Frame:
    """The last of the frames as VP8 has it; quantiser 0-63, from fine to coarse."""
    encoder = av.CodecContext.create("libvpx", "w")
    rate = dict.fromkeys(("crf", "qmin", "qmax"), str(quantiser)) | {"b": "10M"}
    encoder.options = rate | {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    return _last(frames, encoder, av.CodecContext.create("vp8", "r"))


def last_in_mpeg4(frames: Sequence[Frame], quantiser: int) -> Frame:
    """The last of the frames as MPEG-4 Part 2 has it; quantiser 1-31, from fine to coarse."""
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.options = dict.fromkeys(("qmin", "qmax"), str(quantiser)) | {"b": "10M"}
    return _last(frames, encoder, av.CodecContext.create("mpeg4", "r"))


def _last(frames: Sequence[Frame], encoder: VideoCodecContext, decoder: VideoCodecContext) -> Frame:
    """The last of the frames after a codec; the first of them is its key frame."""
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = "yuv420p", Fraction(1, 25), 1
    packets = []
    for at, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = at
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    coded = [found for packet in packets for found in decoder.decode(packet)] + decoder.decode(None)
    return np.asarray(coded[-1].to_ndarray(format="rgb24"), np.uint8)
