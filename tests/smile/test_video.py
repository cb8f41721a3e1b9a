"""The decoder: times, pixels, colours, limits, hostile and broken files, resources."""

import gc
import io
import os
import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smile.decoding import LEAST_STEP_S, MAX_PAUSE_S, Clock
from smile.errors import FrameTooLarge, UnreadableVideo, VideoTooLong
from smile.sampling import MAX_SAMPLES, is_kept, stride_at
from smile.video import Limits, Video, resample
from tests import clips

VIDEOS = Path(__file__).resolve().parents[2] / "../shared/data/videos"
needs_videos = pytest.mark.skipif(not VIDEOS.is_dir(), reason="needs the real clips beside the checkout")


def read(data, **settings):
    """Everything of a clip: instants -> picture, the info, the report."""
    with Video(io.BytesIO(data) if isinstance(data, bytes) else data, **settings) as video:
        pictures = {instant: sample.rgb for sample in video.samples() for instant in sample.instants}
        return pictures, video.info, video.report


def middle(data):
    """The colour in the middle of the first picture."""
    picture = read(data)[0][0]
    return picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)


def difference(one, other):
    """Mean absolute difference of two pictures, in levels."""
    return float(np.abs(one.astype(int) - other).mean())


# --- the grid -----------------------------------------------------------------------------------------------------

increasing = st.lists(st.integers(1, 3_000), max_size=60).map(lambda steps: [t / 1000 for t in np.cumsum([0, *steps])])


@given(times=increasing, rate_hz=st.sampled_from([5.0, 12.5, 25.0, 29.97, 50.0]))
def test_every_instant_gets_the_nearest_frame_once_and_in_order(times, rate_hz):
    """Whatever the times, the grid is covered without gap or repetition, each instant by a nearest frame."""
    instants = []
    for span, time_s, frame in resample(zip(times, range(len(times)), strict=True), rate_hz):
        assert times[frame] == time_s and len(span) > 0
        instants += span
        for instant in span:
            nearest = min(abs(other - instant / rate_hz) for other in times)
            assert abs(time_s - instant / rate_hz) <= nearest + 1e-5
    assert instants == list(range(len(instants)))
    if len(times) > 1:
        end_s = times[-1] * len(times) / (len(times) - 1)
        assert abs(len(instants) - end_s * rate_hz) <= 1


@pytest.mark.parametrize(
    ("rate", "count", "spans"),
    [(12.5, 3, [(0, 1), (2, 3), (4, 5)]), (50.0, 6, [(0,), (1,), (2,)]), (25.0, 3, [(0,), (1,), (2,)])],
)
def test_rates_meet_the_grid(rate, count, spans):
    """12.5 fps gives each frame two instants, 50 fps every second frame, 25 fps each its own."""
    with Video(io.BytesIO(clips.clip_bytes(clips.numbered(count), rate=rate))) as video:
        assert [sample.instants for sample in video.samples()] == spans
        assert video.report.source_rate_hz == pytest.approx(rate)


def test_uneven_times_pick_the_right_pictures():
    """In a clip of variable rate the picture at an instant is the one shown nearest to it, not the one of its index."""
    times = [0.0, 0.042, 0.075, 0.2, 0.233, 0.275, 0.5, 0.51, 0.6]
    pictures, _, report = read(clips.clip_bytes(clips.numbered(len(times), step=20), times=times, container="matroska"))
    for instant, picture in pictures.items():
        distance = [abs(t - instant / 25) for t in times]
        shown = round((picture.mean() - 10) / 20)
        assert distance[shown] <= min(distance) + 2e-3
    assert report.timestamps_repaired == 0 and report.duration_s == pytest.approx(0.675, abs=0.01)


def test_long_clips_are_thinned_as_they_stream():
    """Of a clip of 40 s few instants are delivered, and exactly the uniform ones remain at the end."""
    pictures, _, report = read(clips.clip_bytes(clips.numbered(1000)))
    assert report.last_instant == 999 and all(k % stride_at(k) == 0 for k in pictures)
    kept = [k for k in pictures if is_kept(k, report.last_instant)]
    assert kept == list(range(0, 1000, 4)) and len(kept) <= MAX_SAMPLES
    assert report.frames_decoded == 1000


stamps = st.lists(st.none() | st.integers(-20, 1500).map(lambda tick: tick / 25), max_size=40)


@given(stamps=stamps)
def test_times_increase_whatever_the_timestamps(stamps):
    """The first is 0; a frame comes no later than the longest pause after the one before, and no more than three in a
    row at once after it."""
    clock = Clock(0.04)
    times = [clock.time_of(stamp) for stamp in stamps]
    assert times[:1] in ([], [0.0])
    steps = np.diff(times)
    assert all(0 < step <= MAX_PAUSE_S + 1e-9 for step in steps)
    assert all(sum(steps[k : k + 4]) > 0.02 for k in range(len(steps) - 3))
    assert clock.repaired >= stamps.count(None)


@given(start=st.integers(0, 9_000), steps=st.lists(st.integers(1, 249), max_size=40))
def test_good_timestamps_are_kept(start, steps):
    clock, ticks = Clock(0.04), np.cumsum([start, *steps])
    assert [clock.time_of(tick / 25) for tick in ticks] == pytest.approx((ticks - start) / 25)
    assert clock.repaired == 0


recording = st.tuples(st.integers(0, 500), st.lists(st.integers(1, 249), min_size=3, max_size=20))


@given(first=recording, second=recording)
def test_a_second_recording_keeps_its_own_steps(first, second):
    """Wherever its clock begins; only the frames where the two meet may be shown at other times."""
    clock = Clock(0.04)
    ticks = [np.cumsum([start, *steps]) for start, steps in (first, second)]
    times = [clock.time_of(tick / 25) for tick in np.concatenate(ticks)]
    assert np.diff(times[: len(ticks[0])]) == pytest.approx(np.diff(ticks[0]) / 25)
    assert np.diff(times[len(ticks[0]) + 1 :]) == pytest.approx(np.diff(ticks[1])[1:] / 25, abs=LEAST_STEP_S)
    assert clock.repaired <= 2


@pytest.mark.parametrize("counts", [(25, 75), (75, 25), (40, 40)])
def test_joined_transport_streams_are_shown_to_their_ends(counts):
    """The clock of the second starts again: none of its frames is passed over."""
    data = b"".join(clips.clip_bytes(clips.numbered(count), container="mpegts") for count in counts)
    pictures, _, report = read(data)
    assert report.timestamps_repaired == 1 and report.duration_s == pytest.approx(sum(counts) / 25, abs=0.01)
    assert sorted(pictures) == list(range(sum(counts)))


@pytest.mark.parametrize(
    ("ticks", "repaired", "end_s"),
    [
        ([*range(30), 29, *range(30, 60)], 1, 2.4),
        ([*range(30), *range(1530, 1560)], 1, 2.4),
        ([*range(30), 280, *range(31, 60)], 2, 2.4),
        ([*range(30), 5, *range(31, 60)], 1, 2.4),
        ([*range(30), *[29] * 20, *range(30, 60)], 21, 3.2),
    ],
    ids=["one frame more", "joined recordings", "one stamp ahead", "one stamp behind", "a clock that stood"],
)
def test_one_bad_timestamp_costs_little(ticks, repaired, end_s):
    """The frames behind it keep their own times, or follow each other at the nominal rate."""
    report = read(clips.retimed(ticks))[2]
    assert report.timestamps_repaired == repaired
    assert report.duration_s == pytest.approx(end_s, abs=0.05)


def test_a_first_frame_without_a_timestamp_is_no_pause():
    """The stream's own start is that of the first timestamp there is."""
    clock = Clock(0.04)
    assert [clock.time_of(stamp) for stamp in (None, 1000.04, 1000.08)] == pytest.approx([0, 0.04, 0.08])


@pytest.mark.parametrize("rate", [24.0, 50.0])
def test_a_bare_stream_has_the_rate_of_its_codec(rate):
    """Raw H.264 has no times."""
    report = read(clips.clip_bytes(clips.numbered(48), container="h264", rate=rate))[2]
    assert report.duration_s == pytest.approx(48 / rate)


# --- pixels -------------------------------------------------------------------------------------------------------

WHERE = {"red": (0, 0), "green": (0, 1), "blue": (1, 0), "grey": (1, 1)}


def quadrants(size=(96, 64)):
    """Red | green over blue | grey."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    half = size[1] // 2, size[0] // 2
    for colour, rows, columns in (
        ((200, 40, 40), slice(None, half[0]), slice(None, half[1])),
        ((40, 200, 40), slice(None, half[0]), slice(half[1], None)),
        ((40, 40, 200), slice(half[0], None), slice(None, half[1])),
        ((120, 120, 120), slice(half[0], None), slice(half[1], None)),
    ):
        picture[rows, columns] = colour
    return picture


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_display_matrix_is_applied(degrees, mirror):
    """A picture stored turned or mirrored comes out as a player shows it, for all eight display matrices."""
    upright = quadrants()
    stored = np.rot90(upright[:, ::-1] if mirror else upright, -degrees // 90)
    pictures, info, _ = read(clips.clip_bytes([np.ascontiguousarray(stored)] * 2, rotation=degrees, mirror=mirror))
    assert pictures[0].shape == upright.shape and (info.width, info.height) == (96, 64)
    assert info.mirrored == mirror
    assert difference(pictures[0], upright) < 4


def test_pixels_are_made_square():
    """Pixels twice as wide as high double the width shown; nothing is cropped."""
    pictures, info, _ = read(clips.clip_bytes([quadrants((48, 64))] * 2, pixel_aspect=Fraction(2, 1)))
    assert pictures[0].shape == (64, 96, 3) and (info.width, info.height) == (96, 64)
    assert difference(pictures[0], quadrants()) < 5


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_matrix_and_range_of_the_stream_are_honoured(matrix, full_range):
    """A skin colour comes out right by BT.709, BT.601 and BT.2020, limited and full range."""
    data = clips.clip_bytes([clips.flat((198, 134, 106))] * 2, matrix=matrix, full_range=full_range)
    assert np.abs(middle(data) - (198, 134, 106)).max() <= 4


@pytest.mark.parametrize(("size", "matrix"), [((1280, 720), 1), ((640, 360), 6)])
def test_untagged_colours_follow_the_size(size, matrix):
    """Without a tag an HD picture is BT.709 and a smaller one BT.601."""
    colour = (190, 60, 90)
    tagged = av.VideoFrame.from_ndarray(clips.flat(colour, size), format="rgb24")
    frame = tagged.reformat(format="yuv420p", dst_colorspace=5 if matrix == 6 else 1, dst_color_range=1)
    assert np.abs(middle(clips.clip_bytes([frame] * 2)) - colour).max() <= 4


@pytest.mark.parametrize(
    ("codec", "container", "pixel_format", "bits"),
    [
        ("libx265", "matroska", "yuv420p10le", 10),
        ("libx264", "mp4", "yuv444p", 8),
        ("mjpeg", "avi", "yuvj420p", 8),
        ("libvpx-vp9", "webm", "yuv420p", 8),
        ("prores_ks", "mov", "yuv422p10le", 10),
        ("ffv1", "matroska", "gbrp10le", 10),
        ("apng", "apng", "rgb24", 8),
        ("gif", "gif", "rgb8", 8),
    ],
)
def test_codecs_and_depths_agree(codec, container, pixel_format, bits):
    """The same face through 8 and 10 bit, every chroma subsampling, YUV and RGB, differs by a few levels at most."""
    face = clips.astronaut_frames(2, (160, 160))
    pictures, info, _ = read(clips.clip_bytes(face, codec=codec, container=container, pixel_format=pixel_format))
    assert difference(pictures[0], face[0]) < (16 if codec == "gif" else 4)
    assert info.bit_depth == bits


def hdr_twin(picture, transfer):
    """The same picture as PQ or HLG in BT.2020 with SDR white at 203 cd/m2 (forward formulae of ITU-R BT.2100)."""
    code = picture / 255.0
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    nits = 203 * linear @ to_2020.T
    if transfer == 16:
        power = (nits / 10_000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        luminance = nits @ (0.2627, 0.6780, 0.0593) / 1000
        scene = nits / 1000 * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
        log = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), log)
    wide = av.VideoFrame.from_ndarray(np.rint(signal * 65535).astype(np.uint16), format="rgb48le")
    return wide.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1, interpolation=2 | 0x40000 | 0x2000)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_twin_of_a_clip_looks_like_the_clip(transfer):
    """PQ and HLG versions of an SDR face come out within a few levels of it."""
    face = clips.astronaut_frames(1, (320, 320))[0]
    data = clips.clip_bytes(
        [hdr_twin(face, transfer)] * 2,
        container="matroska",
        codec="libx265",
        pixel_format="yuv420p10le",
        matrix=9,
        transfer=transfer,
        primaries=9,
    )
    pictures, info, _ = read(data)
    assert info.hdr and info.bit_depth == 10
    assert difference(pictures[0], face) < 4


def test_large_hdr_frames_are_reduced_and_say_so():
    """Only frames that need the slow tables shrink; the info keeps the size of the source."""
    wide = [hdr_twin(clips.flat((198, 134, 106), (1920, 1080)), 18)] * 2
    pictures, info, _ = read(
        clips.clip_bytes(
            wide, container="matroska", codec="libx265", pixel_format="yuv420p10le", matrix=9, transfer=18, primaries=9
        )
    )
    assert pictures[0].shape == (720, 1280, 3)
    assert (info.width, info.height) == (1920, 1080) and info.scale == pytest.approx(2 / 3)


def test_transparency_becomes_black():
    """What is transparent is black, what is half transparent is half as bright, what is opaque is untouched."""
    rgba = np.zeros((48, 48, 4), np.uint8)
    rgba[..., :3] = 200
    rgba[:, 16:32, 3], rgba[:, 32:, 3] = 128, 255
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
    picture = read(clips.clip_bytes([frame] * 2, codec="png", container="mov", pixel_format="rgba"))[0][0]
    assert [int(picture[20, x, 1]) for x in (5, 24, 40)] == [0, pytest.approx(100, abs=1), 200]


def test_resolution_may_change_in_the_stream():
    """Every picture comes in the size of the first: larger ones fitted, none distorted."""
    small, large = (clips.clip_bytes([quadrants(size)] * 5, container="h264") for size in ((96, 64), (192, 128)))
    pictures, _, report = read(small + large)
    assert report.frames_decoded == 10 and {p.shape for p in pictures.values()} == {(64, 96, 3)}
    assert difference(pictures[9], quadrants()) < 5


# --- limits -------------------------------------------------------------------------------------------------------


def test_claimed_size_is_refused_before_decoding():
    """A header that claims 60,000 x 60,000 is refused."""
    with pytest.raises(FrameTooLarge, match="60000 x 60000"):
        Video(io.BytesIO(clips.huge_claim()))


def test_real_size_is_refused_when_the_header_says_less():
    """Frames larger than their header are refused, also in the middle of the stream."""
    small, large = (clips.clip_bytes([quadrants(size)] * 5, container="h264") for size in ((96, 64), (192, 128)))
    with pytest.raises(FrameTooLarge, match="192 x 128"):
        read(small + large, limits=Limits(max_pixels=100 * 100))


@pytest.mark.parametrize(
    ("size", "aspect"), [((17_000, 2), None), ((500, 400), Fraction(4)), ((400, 500), Fraction(1, 4))]
)
def test_a_shown_size_that_is_too_large_is_refused(size, aspect):
    """A long side, where mediapipe would end the process, and pixels that are enlarged to be square."""
    width, height = size
    picture = np.full((height, width, 3), 90, np.uint8)
    settings = {"codec": "libx264", "pixel_aspect": aspect} if aspect else {"codec": "ffv1"}
    data = clips.clip_bytes([picture] * 3, container="matroska", **settings)
    with pytest.raises(FrameTooLarge):
        read(data, limits=Limits(max_pixels=500 * 500))


def test_declared_duration_is_refused_before_decoding():
    """Twenty minutes by the header are refused on opening."""
    with pytest.raises(VideoTooLong):
        Video(io.BytesIO(clips.long_clip()))


@pytest.mark.parametrize(("container", "codec"), [("matroska", "libx264"), ("webm", "libvpx")])
def test_sound_may_outlast_the_pictures(container, codec):
    """Of two streams the pictures count, also where only a text says how long they last."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        pictures, sound = output.add_stream(codec, rate=25), output.add_stream("libopus", rate=48_000, layout="mono")
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
        for k, picture in enumerate(clips.numbered(25)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts = k
            output.mux(pictures.encode(frame))
        for k in range(150):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
            silence.sample_rate, silence.pts = 48_000, 960 * k
            output.mux(sound.encode(silence))
        output.mux(pictures.encode())
        output.mux(sound.encode())
    with av.open(io.BytesIO(buffer.getvalue())) as unguarded:
        assert unguarded.duration / av.time_base == pytest.approx(3.0, abs=0.1)
    assert read(buffer.getvalue(), limits=Limits(max_duration_s=2.0))[1].declared_duration_s == pytest.approx(1.0)


def test_real_duration_and_frame_count_are_enforced():
    """A clip without a declared duration is stopped where it exceeds the limit."""
    data = clips.clip_bytes(clips.numbered(100), container="h264")
    with Video(io.BytesIO(data), Limits(max_duration_s=2.0)) as video:
        assert video.info.declared_duration_s is None
        with pytest.raises(VideoTooLong):
            list(video.samples())
        assert video.report.frames_decoded <= 52
    with pytest.raises(VideoTooLong):
        read(data, limits=Limits(max_frames=99))
    read(data, limits=Limits(max_frames=100))


# --- broken and hostile files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        clips.not_a_video,
        clips.noise,
        clips.still,
        lambda: clips.still(".png"),
        lambda: clips.still(".webp"),
        clips.heif_still,
        clips.audio_only,
        lambda: clips.audio_only("wav"),
        lambda: clips.audio_only("mp3"),
        clips.cover_art_only,
        clips.truncated_mp4,
    ],
    ids="empty text noise jpeg png webp avif m4a wav mp3 cover truncated".split(),
)
def test_what_is_no_video_is_unreadable(make):
    """Nothing, text, noise, stills, sound, sound with a cover, and a file without its index: one error that helps."""
    with pytest.raises(UnreadableVideo, match="Send a video such as MP4"):
        read(make())


def test_an_empty_file_on_disk_is_unreadable(tmp_path):
    """FFmpeg's own seek fails on it with an error of the system."""
    path = tmp_path / "0.mp4"
    path.touch()
    with pytest.raises(UnreadableVideo, match="is empty"), Video(path):
        pass


@pytest.mark.parametrize("style", ["ffconcat", "m3u8"])
def test_playlists_open_nothing(style, tmp_path):
    """A playlist that points to a clip beside it, which FFmpeg left to itself would play, is refused."""
    clips.write_clip(tmp_path / "clip.ts", clips.numbered(5))
    playlist = tmp_path / f"list.{style}"
    playlist.write_text(clips.playlist(style, "clip.ts"))
    with av.open(str(playlist)) as unguarded:
        assert len(list(unguarded.decode(video=0))) == 5
    with open(playlist, "rb") as file:
        for source in (playlist, file, io.BytesIO(playlist.read_bytes())):
            with pytest.raises(UnreadableVideo):
                Video(source)


def test_broken_end_keeps_the_frames_before_it():
    """An upload that broke off after its index gives what arrived."""
    _, _, report = read(clips.truncated_faststart_mp4())
    assert 8 <= report.frames_decoded < 25 and report.packets_damaged >= 1


def test_damaged_packets_are_skipped_and_counted():
    """Packets of rubbish in the middle cost themselves, not the clip."""
    pictures, _, report = read(clips.damaged(every=5, count=30))
    assert report.packets_damaged == 6 and report.frames_decoded == 24
    assert max(pictures) >= 28


def test_empty_packets_of_theora_are_skipped_and_counted():
    """OGG/Theora with zero-size packets decodes to its end."""
    _, info, report = read(clips.theora(["key", "empty", "key", "empty", "empty", "key"] * 3))
    assert info.codec == "theora" and report.frames_decoded >= 9 and report.packets_damaged == 9


def test_empty_packets_leave_the_rest_in_time():
    """Where every third packet is empty the others keep their times and fill the gaps."""
    pictures, _, report = read(clips.empty_packets(30, (96, 96)))
    assert (report.frames_decoded, report.packets_damaged) == (20, 10)
    assert sorted(pictures) == list(range(report.last_instant + 1)) and 28 <= report.last_instant <= 30


@pytest.mark.parametrize("make", [clips.equal_timestamps, clips.decreasing_timestamps, clips.zero_duration])
def test_useless_timestamps_are_replaced_by_the_nominal_rate(make):
    """Equal, decreasing and zero-length timestamps: the frames come in order at 25 a second, each but one repaired."""
    with Video(io.BytesIO(make())) as video:
        samples = list(video.samples())
    assert [sample.instants for sample in samples] == [(k,) for k in range(len(samples))]
    assert video.report.timestamps_repaired == video.report.frames_decoded - 1 >= 24


def test_fuzzed_files_raise_only_our_errors():
    """Flipped bytes anywhere in a file lead to frames or to an error of ours, never to another exception."""
    rng = random.Random(7)
    originals = [
        clips.clip_bytes(clips.numbered(10, (64, 64)), **kind)
        for kind in ({}, {"container": "webm", "codec": "libvpx"}, {"container": "gif", "codec": "gif"})
    ]
    for k in range(90):
        data = bytearray(originals[k % 3])
        for _ in range(rng.randint(1, 40)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            read(bytes(data))
        except (UnreadableVideo, VideoTooLong, FrameTooLarge):
            pass


# --- resources ----------------------------------------------------------------------------------------------------


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_nothing_is_left_behind(tmp_path):
    """200 clips, good, broken, and left in the middle: no descriptor stays open and memory stays flat."""
    good, broken, cut = tmp_path / "good.mp4", tmp_path / "broken.mp4", tmp_path / "cut.mp4"
    clips.write_clip(good, clips.astronaut_frames(12, (640, 360)))
    broken.write_bytes(clips.noise())
    cut.write_bytes(clips.truncated_faststart_mp4())

    def work(count):
        for k in range(count):
            try:
                with Video((good, broken, cut, good)[k % 4]) as video:
                    for sample in video.samples():
                        if k % 4 == 3 and sample.time_s > 0.1:
                            break  # a generator that is not exhausted
            except UnreadableVideo:
                pass

    work(20)
    descriptors, memory = [], []
    for _ in range(8):
        work(25)
        gc.collect()
        descriptors.append(len(os.listdir("/proc/self/fd")))
        memory.append(resident_mb())
    assert len(set(descriptors)) == 1
    assert min(memory[4:]) - min(memory[:4]) < 5  # 50 kB a clip; single readings move with the allocator


def test_the_callers_file_stays_open():
    """A file object belongs to its caller."""
    source = io.BytesIO(clips.clip_bytes(clips.numbered(3)))
    with Video(source) as video:
        list(video.samples())
    video.close()
    assert not source.closed


# --- real clips ---------------------------------------------------------------------------------------------------


@needs_videos
@pytest.mark.parametrize(
    ("variant", "limit"),
    [("single_face_rot90flag.mp4", 2.5), ("single_face_mjpeg.avi", 4.0), ("single_face_live_vfr_vp8.webm", 4.0)],
)
def test_variants_of_a_clip_give_nearly_equal_pictures(variant, limit):
    """Rotated, MJPEG and live VP8 versions of one smile show the same pictures at the same instants."""
    original, variant_pictures = read(VIDEOS / "pyfeat_single_face.mp4")[0], read(VIDEOS / variant)[0]
    common = sorted(original.keys() & variant_pictures.keys())
    assert len(common) >= 59
    assert np.mean([difference(original[k], variant_pictures[k]) for k in common]) < limit


@needs_videos
@pytest.mark.parametrize(
    ("name", "size", "frames", "duration_s"),
    [
        ("lp_d9.mp4", (512, 512), 587, 19.57),
        ("pyfeat_face_noface.mov", (960, 540), 169, 6.40),
        ("pyfeat_no_face.mp4", (960, 540), 95, 3.96),
        ("tc_nasa_13013_hdr.mp4", (320, 180), 325, 13.0),
        ("intel_head-pose-face-detection-male.gif", (480, 270), 62, 5.16),
        ("single_face_live_vfr_vp8.webm", (640, 360), 69, 2.40),
    ],
)
def test_real_clips(name, size, frames, duration_s):
    """Non-square pixels, variable rate, a header that over-counts, HDR, GIF, no duration: measured by other tools."""
    _, info, report = read(VIDEOS / name)
    assert (info.width, info.height) == size and report.frames_decoded == frames
    assert report.duration_s == pytest.approx(duration_s, abs=0.02)
    assert report.packets_damaged == report.timestamps_repaired == 0
