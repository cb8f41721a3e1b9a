"""What tables of an MP4 may claim before it is opened."""

import io
import struct
import zlib
from collections.abc import Callable

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smile.boxes import check_claims
from smile.decoding import DEFAULT_LIMITS
from smile.errors import SmileError, UnreadableVideo, VideoTooLong
from smile.video import Video
from tests import clips

MANY = 20_000_000
INNER = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf"}


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def edited(data: bytes, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """Each box made anew from what `change` makes of its type and its content, inner ones first."""
    made, at = b"", 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + size]
        made += change(kind, edited(content, change) if kind in INNER else content)
        at += size
    return made


def claiming(kind: bytes, fields: bytes, data: bytes) -> bytes:
    """The same file, with other fields behind version and flags in each box of a type."""
    found: list[bytes] = []
    changed = edited(data, lambda k, old: box(k, old[:4] + fields if k == kind and not found.append(k) else old))
    assert kind in found
    return changed


def clip(**settings: object) -> bytes:
    return clips.clip_bytes(clips.numbered(4, (64, 64)), **settings)


def samples() -> bytes:
    """Constant sizes: nothing of the file stands for a sample."""
    return claiming(b"stsz", struct.pack(">II", 1, MANY), clip())


def fragments() -> bytes:
    fragmented = clip(muxer_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    return claiming(b"trun", struct.pack(">I", MANY), fragmented)


def edits() -> bytes:
    """A thousand, each of which shows ten thousand samples: FFmpeg alone works on them for a minute."""
    data = claiming(b"stsz", struct.pack(">II", 1, 10_000), clip())
    return claiming(b"elst", struct.pack(">I", 1000) + struct.pack(">IiI", 1000, 1024, 1 << 16) * 1000, data)


def plain_sound(seconds: float = 1.0, rate: int = 48_000) -> bytes:
    """QuickTime with PCM: each sample of the sound counts as one."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as output:
        pictures, sound = output.add_stream("libx264", rate=25), output.add_stream("pcm_s16le", rate=rate)
        pictures.width, pictures.height, pictures.pix_fmt, sound.layout = 64, 64, "yuv420p", "mono"
        for k in range(int(25 * seconds)):
            frame = av.VideoFrame.from_ndarray(clips.flat((90, 90, 90), (64, 64)), format="rgb24")
            frame.pts = k
            output.mux(pictures.encode(frame.reformat(format="yuv420p")))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, int(rate * seconds)), np.int16), format="s16", layout="mono")
        silence.sample_rate, silence.pts = rate, 0
        output.mux(sound.encode(silence))
        output.mux(pictures.encode())
        output.mux(sound.encode())
    return buffer.getvalue()


def sound() -> bytes:
    """Blocks of plain sound of any length; the demuxer makes records of them whatever the number of samples."""
    fields = struct.pack(">IIII", 1, 1, 4_000_000_000, 1)
    return claiming(b"stsc", fields, plain_sound())


def within(outer: bytes, data: bytes) -> bytes:
    """The header in another box."""
    return edited(data, lambda kind, content: box(outer if kind == b"moov" else kind, content))


def out_of_place() -> bytes:
    """The claim stands where no table belongs."""
    claim = box(b"stsz", struct.pack(">III", 0, 1, MANY))
    return edited(clip(), lambda kind, content: box(kind, content + claim if kind == b"stsd" else content))


def called_sound() -> bytes:
    """A track of pictures, with a handler of sound where none is looked for."""
    fake = box(b"skip", box(b"hdlr", bytes(8) + b"soun") + box(b"stts", struct.pack(">4I", 0, 1, MANY, 1)))
    return edited(samples(), lambda kind, content: box(kind, fake + content if kind == b"mdia" else content))


@pytest.mark.parametrize(
    "make", [samples, fragments, edits, sound, lambda: within(b"free", samples()), out_of_place, called_sound]
)
def test_more_samples_than_a_clip_has_are_refused_unopened(make: Callable[[], bytes]) -> None:
    """A few KB that would have become gigabytes, or a minute of work, in all places where FFmpeg looks."""
    data = make()
    assert len(data) < 200_000
    with pytest.raises(VideoTooLong, match="header speaks of"):
        check_claims(io.BytesIO(data), DEFAULT_LIMITS)
    with pytest.raises(VideoTooLong, match="header speaks of"):
        Video(io.BytesIO(data))


def test_a_compressed_header_is_refused() -> None:
    """It could unfold to any size."""

    def compressed(kind: bytes, content: bytes) -> bytes:
        if kind != b"moov":
            return box(kind, content)
        packed = struct.pack(">I", 8 + len(content)) + zlib.compress(box(kind, content))
        return box(kind, box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", packed)))

    data = edited(clip(), compressed)
    with av.open(io.BytesIO(data)) as unguarded:
        assert len(list(unguarded.decode(video=0))) == 4
    with pytest.raises(UnreadableVideo, match="header of this file is compressed"):
        Video(io.BytesIO(data))


def test_plain_sound_is_no_claim() -> None:
    """A minute and a half of PCM, 4.3 million samples, is as long as a clip may be."""
    check_claims(io.BytesIO(plain_sound(90.0)), DEFAULT_LIMITS)


def test_a_header_of_any_size_is_not_read() -> None:
    """Beyond 8 MB it is refused."""
    data = clip() + box(b"moov", bytes(1 << 23))
    with pytest.raises(UnreadableVideo, match="too large"):
        Video(io.BytesIO(data))


@given(
    parts=st.lists(
        st.binary(max_size=24) | st.sampled_from([b"moov", b"trak", b"stsz", b"stsc", b"stts", b"mdia", b"\0\0\0\1"])
    )
)
def test_rubbish_ends(parts: list[bytes]) -> None:
    """Whatever stands there, it is read to its end or refused."""
    for data in (b"".join(parts), box(b"moov", b"".join(parts))):
        try:
            check_claims(io.BytesIO(data), DEFAULT_LIMITS)
        except SmileError:
            pass
