"""Makes test clips with PyAV: good ones of any shape, and every kind of bad one that people upload.

Pictures come from scikit-image's portrait of an astronaut (public domain) or are flat colours.
"""

import io
import os
import struct
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

Frames = Iterable[NDArray[np.uint8]]

FINE_TIME_BASE = Fraction(1, 12_800)
# B-frames off in x265: with fewer frames than its delay it hands out uninitialised decoding times.
ENCODER_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "18", "x264-params": "log-level=none"},
    "libx265": {"preset": "ultrafast", "crf": "15", "x265-params": "log-level=none:bframes=0"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "2M"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "0"},
    "mjpeg": {"qmin": "2", "qmax": "2"},
}
RGB_FORMATS = ("rgb", "bgr", "gbr", "pal")
DEFAULT_FORMAT = {"mjpeg": "yuvj420p", "gif": "rgb8", "apng": "rgb24", "png": "rgb24", "rawvideo": "bgr24"}


def astronaut_frames(
    count: int, size: tuple[int, int] = (320, 320), amplitude: float = 0.02
) -> list[NDArray[np.uint8]]:
    """A face that sways: `count` frames of (height, width, 3) uint8 RGB for `size` = (width, height)."""
    width, height = size
    portrait = astronaut()[:320, 60:380]
    zoom = max(size) / 320
    frames = []
    for k in range(count):
        shift = amplitude * max(size) * np.sin(2 * np.pi * k / 25)
        matrix = np.array([[zoom, 0, (width - 320 * zoom) / 2 + shift], [0, zoom, (height - 320 * zoom) / 2]])
        frames.append(cv2.warpAffine(portrait, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    return frames


def flat(colour: Sequence[int], size: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    """(height, width, 3) of one RGB colour."""
    return np.full((size[1], size[0], 3), colour, np.uint8)


def numbered(count: int, size: tuple[int, int] = (32, 32), step: int = 2) -> list[NDArray[np.uint8]]:
    """Grey frames whose level tells their number: `step` per frame, from 10, wrapped at 250."""
    return [flat([10 + step * k % 240] * 3, size) for k in range(count)]


def write_clip(
    path: str | Path | io.BytesIO,
    frames: Frames,
    times: Sequence[float] | None = None,
    rate: float = 25.0,
    codec: str = "libx264",
    container: str | None = None,
    pixel_format: str | None = None,
    rotation: int = 0,
    mirror: bool = False,
    pixel_aspect: Fraction | None = None,
    matrix: int = 2,
    full_range: bool = False,
    transfer: int = 2,
    primaries: int = 2,
    audio: bool = False,
    options: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
) -> Path | io.BytesIO:
    """Encode RGB frames, or ready-made `av.VideoFrame`s.

    Args:
        path: file, or BytesIO together with `container`.
        frames: (H, W, 3) uint8 RGB.
        times: presentation times in seconds; None for k / rate.
        rotation: counter-clockwise degrees written into the display matrix (what a player turns it by).
        mirror: whether the display matrix mirrors left and right after turning.
        pixel_aspect: width over height of a pixel.
        matrix, transfer, primaries: code points of ITU-T H.273; matrix and range are applied and tagged, the other two
            are only tagged.
        audio: adds a silent track.

    Returns:
        `path`.
    """
    frames = list(frames)
    exact_rate = Fraction(rate).limit_denominator(1001)
    time_base = 1 / exact_rate if times is None else FINE_TIME_BASE
    output = av.open(path if isinstance(path, io.BytesIO) else str(path), "w", format=container, options=muxer_options)
    with output:
        settings = {**ENCODER_OPTIONS.get(codec, {}), **(options or {})}
        stream = output.add_stream(codec, rate=exact_rate, options=settings)
        height, width = (frames[0].height, frames[0].width) if hasattr(frames[0], "planes") else frames[0].shape[:2]
        stream.width, stream.height = width, height
        stream.pix_fmt = pixel_format or DEFAULT_FORMAT.get(codec, "yuv420p")
        stream.codec_context.time_base = time_base
        if not stream.pix_fmt.startswith(RGB_FORMATS):
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full_range else 1
            stream.codec_context.color_trc, stream.codec_context.color_primaries = transfer, primaries
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation or mirror:
            stream.set_display_rotation(rotation, hflip=mirror)
        sound = output.add_stream("aac", rate=16_000) if audio else None
        for k, picture in enumerate(frames):
            frame = picture if hasattr(picture, "planes") else av.VideoFrame.from_ndarray(picture, format="rgb24")
            if frame.format.name != stream.pix_fmt:
                frame = frame.reformat(
                    format=stream.pix_fmt,
                    dst_colorspace=None if matrix == 2 else 5 if matrix == 6 else matrix,
                    dst_color_range=2 if full_range or codec == "mjpeg" else 1,
                    interpolation=2 | 0x2000 | 0x40000 | 0x80000,  # bilinear, full chroma, accurate, bit exact
                )
            if not stream.pix_fmt.startswith(RGB_FORMATS):
                frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
                frame.color_trc, frame.color_primaries = transfer, primaries
            frame.time_base = time_base
            frame.pts = k if times is None else round(times[k] / time_base)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if sound is not None:
            output.mux(_silence(sound, len(frames) / rate))
    return path


def clip_bytes(frames: Frames, container: str = "mp4", **settings: object) -> bytes:
    """`write_clip` into memory."""
    buffer = io.BytesIO()
    write_clip(buffer, frames, container=container, **settings)
    return buffer.getvalue()


def _silence(stream: av.AudioStream, seconds: float) -> list[av.Packet]:
    packets = []
    for k in range(max(1, int(seconds * 16_000 / 1024))):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, k * 1024
        packets += stream.encode(frame)
    return packets + stream.encode()


# --- bad input ----------------------------------------------------------------------------------------------------


def not_a_video() -> bytes:
    """Text."""
    return b"This is a letter and not a video.\n" * 200


def noise(count: int = 20_000) -> bytes:
    """Random bytes."""
    return np.random.default_rng(0).bytes(count)


def still(extension: str = ".jpg") -> bytes:
    """A portrait as JPEG, PNG or WebP."""
    return cv2.imencode(extension, cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR))[1].tobytes()


def audio_only(container: str = "mp4") -> bytes:
    """Half a second of silence; `container` is mp4, wav or mp3."""
    buffer = io.BytesIO()
    codec = {"mp4": "aac", "wav": "pcm_s16le", "mp3": "libmp3lame"}[container]
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=16_000, layout="mono")
        resampler = av.AudioResampler(stream.format, "mono", 16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8_000), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        for piece in resampler.resample(frame):
            output.mux(stream.encode(piece))
        output.mux(stream.encode())
    return buffer.getvalue()


def cover_art_only() -> bytes:
    """Sound with a cover picture: an mp4 whose only video stream is an attached picture."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        sound = output.add_stream("aac", rate=16_000, layout="mono")
        cover = output.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(flat((200, 100, 50), (64, 64)), format="rgb24").reformat(format="yuvj420p")
        frame.pts = 0
        output.mux(cover.encode(frame))
        output.mux(cover.encode())
        output.mux(_silence(sound, 0.5))
    return buffer.getvalue()


def truncated_mp4(keep: float = 0.6) -> bytes:
    """An upload that broke off: the index is at the end, so nothing of it can be played."""
    whole = clip_bytes(astronaut_frames(25))
    return whole[: int(len(whole) * keep)]


def truncated_faststart_mp4(keep: float = 0.6) -> bytes:
    """The index is there, the last frames are not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, astronaut_frames(25), muxer_options={"movflags": "faststart"})
        whole = path.read_bytes()
    return whole[: int(len(whole) * keep)]


def huge_claim(side: int = 60_000) -> bytes:
    """A small real mp4 whose moov says `side` x `side`."""
    data = bytearray(clip_bytes(numbered(10, (160, 120))))
    entry = data.index(struct.pack(">HH", 160, 120), data.index(b"stsd"))
    data[entry : entry + 4] = struct.pack(">HH", side, side)
    header = data.index(struct.pack(">II", 160 << 16, 120 << 16), data.index(b"tkhd"))
    data[header : header + 8] = struct.pack(">II", side << 16, side << 16)
    return bytes(data)


def zero_duration(frames: Frames | None = None) -> bytes:
    """An mp4 whose headers give every duration as zero, each frame's included: all timestamps are equal."""
    data = bytearray(clip_bytes(frames or astronaut_frames(25), options={"bf": "0"}))
    for name, offset, size in ((b"mvhd", 20, 4), (b"tkhd", 24, 4), (b"mdhd", 20, 4)):
        start = data.index(name) + offset
        data[start : start + size] = bytes(size)
    table = data.index(b"stts") + 8
    (count,) = struct.unpack(">I", data[table : table + 4])
    for k in range(count):
        delta = table + 8 + 8 * k
        data[delta : delta + 4] = bytes(4)
    edits = data.find(b"elst")
    if edits >= 0:
        data[edits - 12 : edits - 8] = b"free"  # the box around it, edts
    return bytes(data)


def retimed(ticks: Sequence[int], frames: Frames | None = None) -> bytes:
    """An IVF file (VP8, 25 frames a second, 1 tick = 40 ms) with these timestamps, one for each frame, in any order."""
    data = bytearray(clip_bytes(frames or numbered(len(ticks)), container="ivf", codec="libvpx"))
    position = 32
    for tick in ticks:
        (size,) = struct.unpack_from("<I", data, position)
        struct.pack_into("<q", data, position + 4, tick)
        position += 12 + size
    struct.pack_into("<II", data, 16, 25, 1)
    return bytes(data)


def equal_timestamps(count: int = 30) -> bytes:
    return retimed([7] * count, astronaut_frames(count))


def decreasing_timestamps(count: int = 30) -> bytes:
    return retimed(list(range(count, 0, -1)), astronaut_frames(count))


def theora(packets: Sequence[str]) -> bytes:
    """OGG/Theora, 64 x 48 grey at 25 fps, from scratch: FFmpeg has no encoder for it.

    Args:
        packets: "key" for an intra frame, "empty" for a packet of size zero, which means "as before".
    """
    info = b"\x80theora\3\2\1" + struct.pack(">HH", 4, 3) + b"\0\0\x40\0\0\x30" + bytes(2)
    info += struct.pack(">II", 25, 1) + bytes(6 + 1 + 3) + _bits("000000 00110 00 000")
    comment = b"\x81theora" + struct.pack("<II", 0, 0)
    scales = f"{15:04b}" + f"{100:016b}" * 64  # one for AC, one for DC
    quantisers = "000000001" + f"{16:08b}" * 128 + "0" + "111110" + "0" + "0" * 2 + "00" * 3
    trees = ("0" + "1" + f"{6:05b}" + "1" + f"{9:05b}") * 80  # token 6: a run of blocks that end here
    setup = b"\x82theora" + _bits("000" + scales * 2 + quantisers + trees)
    key = _bits("0 0 000000 0 000" + "0000 0000" + "0 000000000000" + "0000 0000")
    pages = [_ogg_page(0, 0, 2, [info]), _ogg_page(1, 0, 0, [comment, setup])]
    for k, kind in enumerate(packets):
        pages.append(_ogg_page(k + 2, (k + 1) << 6, 0, [key if kind == "key" else b""]))
    return b"".join(pages)


def _bits(text: str) -> bytes:
    text = text.replace(" ", "")
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _ogg_page(number: int, granule: int, flags: int, packets: list[bytes]) -> bytes:
    table = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = b"OggS" + struct.pack("<BBqII", 0, flags, granule, 1, number)
    tail = bytes([len(table)]) + table + b"".join(packets)
    return head + struct.pack("<I", _ogg_checksum(head + bytes(4) + tail)) + tail


def _ogg_checksum(page: bytes) -> int:
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


def long_clip(minutes: float = 20.0) -> bytes:
    """Lasts that long with one tiny frame every ten seconds."""
    count = int(minutes * 6) + 1
    return clip_bytes(numbered(count, (32, 32)), rate=0.1)


def slow_clip(seconds: float = 3.0) -> bytes:
    """A face at 8 frames per second."""
    return clip_bytes(astronaut_frames(int(8 * seconds)), rate=8.0)


def one_frame() -> bytes:
    return clip_bytes(astronaut_frames(1))


def heif_still() -> bytes:
    """A picture as AVIF, whose container is that of MP4.

    Where it may, as root, SVT-AV1 makes the thread that calls it a real-time one, first in, first out. Every thread
    begun from it would be one too, and those that wait in a loop, as of OpenMP, could keep all cores from the others.
    """
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        return clip_bytes([flat((200, 100, 50), (64, 64))], container="avif", codec="libsvtav1")
    finally:
        os.sched_setscheduler(0, policy, priority)


def playlist(style: str, target: str) -> str:
    """A text file that asks the reader to open `target`; `style` is ffconcat or m3u8."""
    return {
        "ffconcat": f"ffconcat version 1.0\nfile {target}\n",
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
    }[style]


def empty_packets(count: int = 30, size: tuple[int, int] = (320, 320)) -> bytes:
    """A face as MJPEG in QuickTime, in which the index gives every third frame a size of zero."""
    data = bytearray(clip_bytes(astronaut_frames(count, size), container="mov", codec="mjpeg"))
    table = data.index(b"stsz") + 16
    for k in range(2, count, 3):
        data[table + 4 * k : table + 4 * k + 4] = bytes(4)
    return bytes(data)


def damaged(every: int, count: int) -> bytes:
    """A Matroska clip of independent frames (MJPEG) in which each `every`-th is overwritten with rubbish."""
    whole = bytearray(clip_bytes(astronaut_frames(count, (96, 96)), container="matroska", codec="mjpeg"))
    starts, position = [], 0
    while (position := whole.find(b"\xff\xd8\xff", position)) >= 0:
        starts.append(position)
        position += 3
    assert len(starts) == count
    for k in range(every - 1, count, every):
        end = whole.index(b"\xff\xd9", starts[k])
        whole[starts[k] : end] = b"\x55" * (end - starts[k])
    return bytes(whole)
