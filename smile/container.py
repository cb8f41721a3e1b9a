"""Opening a file of unknown origin: which containers are read, what a header may claim, how it is decoded."""

import io
import re
from typing import BinaryIO, cast

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.format import Flags
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from smile.errors import UnreadableVideo

CONTAINERS = (
    "3g2,3gp,apng,asf,asf_o,av1,avi,dv,flv,gif,h261,h263,h264,hevc,ivf,live_flv,m4v,matroska,mjpeg,mov,mp4,mpeg,"
    "mpegts,mpegvideo,mxf,nut,obu,ogg,rm,swf,vc1,vvc,webm,wtv,yuv4mpegpipe"
)
"""Demuxers that may be used. Stills, sound, text, devices and every playlist that opens other files stay out."""
STILL_BRANDS = frozenset({"avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"})
"""Major brands of HEIF pictures, which the demuxer of MP4 also opens."""
READABLE = "Send a video such as MP4, MOV, WebM, MKV, AVI or an animated GIF."
NOT_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
NOMINAL_RATE_HZ = 25.0
NOMINAL_RATE_RANGE_HZ = (1.0, 240.0)
IO_BYTES = 1 << 18
DURATION_TAG = re.compile(r"(\d\d):(\d\d):(\d\d(?:\.\d*)?)", re.ASCII)
NO_TIMESTAMPS = cast(int, Flags.no_timestamps.value)
"""Of a format: bare streams of a codec."""
FRAME_THREADS_ABOVE_PX = 1920 * 1088
"""Frame threads cost an eighth more CPU for each frame, so they are used only where decoding is the slowest stage."""


def open_container(file: BinaryIO, options: dict[str, str]) -> InputContainer:
    """Open a container that can reach nothing but `file`: known formats only, no protocol, no nested file."""
    if not file.seek(0, io.SEEK_END):
        raise UnreadableVideo(f"This file is empty. {READABLE}")
    file.seek(0)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none", **options}
    try:
        return av.open(file, mode="r", options=options, buffer_size=IO_BYTES, metadata_errors="replace")
    except av.FFmpegError as error:
        raise UnreadableVideo(
            f"This is no video that can be read: a still, sound, text, or a file cut off. {READABLE}"
        ) from error


def picture_stream(container: InputContainer) -> VideoStream:
    """The first stream of moving pictures; packets of all others are dropped by the demuxer."""
    pictures = [stream for stream in container.streams.video if not stream.disposition & NOT_PICTURES]
    if pictures and pictures[0].codec_context is None:
        raise UnreadableVideo(f"There is no decoder for the pictures in this file. {READABLE}")
    if not pictures or container.metadata.get("major_brand") in STILL_BRANDS:
        raise UnreadableVideo(f"There are no moving pictures in this file. {READABLE}")
    for stream in container.streams:
        if stream is not pictures[0]:
            stream.discard = Discard.all
    return pictures[0]


def declared_duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds by the header of the stream, else of the container, whose sound may last longer.

    Matroska has the stream's as a text, beside which FFmpeg takes the container's where it has not decoded.
    """
    if told := DURATION_TAG.fullmatch(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, told.groups())
        return 3600 * hours + 60 * minutes + seconds
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def nominal_interval(stream: VideoStream) -> float:
    """Seconds from frame to frame by the header, where that is credible; by the codec's own where the format has no
    times, because FFmpeg assumes an average of 25 a second then."""
    rates = stream.average_rate, stream.guessed_rate
    if stream.container.format.flags & NO_TIMESTAMPS:
        rates = rates[::-1]
    rate_hz = float(rates[0] or rates[1] or NOMINAL_RATE_HZ)
    low, high = NOMINAL_RATE_RANGE_HZ
    return 1 / (rate_hz if low <= rate_hz <= high else NOMINAL_RATE_HZ)


def set_threads(stream: VideoStream) -> None:
    """One thread for a decoder, two for large frames."""
    large = stream.width * stream.height > FRAME_THREADS_ABOVE_PX
    stream.codec_context.thread_type = ThreadType.FRAME if large else ThreadType.NONE
    stream.codec_context.thread_count = 2 if large else 1
