"""The film: what is drawn is where the face is, when it is, in the clip's own colours."""

import io
from collections.abc import Iterable

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from smile.colour import planes
from smile.course import SmileCourse
from smile.faces import AlignedFace
from smile.film import Scene, write
from smile.geometry import Geometry
from smile.recording import Recording, recorded_size
from smile.regions import PAIRS, REGIONS
from smile.track import Track
from smile.video import Video
from tests import clips

NO_SMILE = SmileCourse(False, None, None, None, 0.5, 0.0)
GREY = 110
STRONG = (0, 8)


def face(time_s: float, x: float = 0.0, turn_deg: float = 0.0, stretch: int = 0, bridged: bool = False) -> AlignedFace:
    """A face whose aligned square has its corner at (x, 40) in the frame, at its own size."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    turn = np.array([[c, s], [-s, c]])
    matrix = np.column_stack([turn, -turn @ (x, 40)])
    crop = np.zeros((96, 96, 3), np.uint8)
    return AlignedFace((round(25 * time_s),), time_s, crop, matrix, 0.5, bridged, stretch)


def corner(track: Track, time_s: float) -> tuple[float, float] | None:
    place = track.at(time_s)
    return None if place is None else (place.matrix[0, 2], place.matrix[1, 2])


def test_place_between_samples_and_beyond() -> None:
    """Points move straight from sample to sample, also over bridged ones; no stretch reaches into the next."""
    track = Track()
    track.add([face(0.4, 100), face(0.44, 104), face(0.48, 104, bridged=True), face(0.52, 112)])
    track.add([face(1.0, 300, stretch=1)])
    assert corner(track, 0.42) == pytest.approx((102, 40))
    assert corner(track, 0.5) == pytest.approx((110, 40))
    assert corner(track, 0.39) == pytest.approx((100, 40))
    assert corner(track, 0.55) == pytest.approx((112, 40))
    assert [corner(track, time_s) for time_s in (0.3, 0.7, 0.95, 1.05)] == [None] * 4
    place = track.at(1.0)
    assert place is not None and place.stretch == 1


def filmed(
    frames: Iterable[NDArray[np.uint8]], faces: list[AlignedFace], mirrored: bool = False, **clip: object
) -> list[NDArray[np.uint8]]:
    """The pictures of a film, RGB, of a clip in which the aligner saw `faces` and STRONG is the only relation."""
    importance = np.zeros(len(PAIRS), np.float32)
    importance[PAIRS.index(STRONG)] = 1.0
    times_s = np.array([seen.time_s for seen in faces if seen.stretch == 0])
    scene = Scene("age", importance, 1, mirrored, NO_SMILE, times_s, np.full(len(times_s), 0.5))
    out = io.BytesIO()
    source = io.BytesIO(clips.clip_bytes(frames, **clip))
    with Recording() as recording, Video(source) as video:
        for _ in video.samples(recording.watch):
            pass
        recording.track.add(faces)
        write(recording, scene, out, "mp4", frame_width=video.info.width * video.info.scale)
    out.seek(0)
    with av.open(out) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def drawn(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Where the clip's flat grey was drawn over, strip left out."""
    return np.abs(picture[: size[1]].astype(int) - GREY).max(axis=2) > 24


def test_drawing_follows_the_face() -> None:
    """Regions and links are around the square of the moving face, links only in the stretch that was read."""
    size = (480, 320)
    faces = [face(k / 25, 40 + 8 * k) for k in range(20)]
    faces += [face(k / 25, 200, stretch=1) for k in range(30, 40)]
    pictures = filmed([clips.flat([GREY] * 3, size)] * 40, faces)
    assert len(pictures) == 40
    for k in (2, 10, 18):
        y, x = np.nonzero(drawn(pictures[k], size))
        assert (x.min(), x.max()) == pytest.approx((40 + 8 * k, 136 + 8 * k), abs=4)
        assert (y.min(), y.max()) == pytest.approx((40, 136), abs=4)
    for k in range(22, 29):
        assert not drawn(pictures[k], size).any()
    middle = round(96 * REGIONS[4].centre[0])
    coloured = [np.ptp(pictures[k][40 + middle - 30 : 40 + middle + 30, x : x + 96].astype(int), axis=2).max()
                for k, x in ((10, 120), (35, 200))]  # fmt: skip
    assert coloured[0] > 80 and coloured[1] < 40


def test_drawing_turns_with_the_face() -> None:
    """A face turned by an eighth has its square on its corner."""
    size = (480, 320)
    faces = [face(k / 25, 200, turn_deg=45) for k in range(12)]
    y, x = np.nonzero(drawn(filmed([clips.flat([GREY] * 3, size)] * 12, faces)[6], size))
    reach = 96 / np.sqrt(2)
    assert (x.min(), x.max()) == pytest.approx((200 - reach, 200 + reach), abs=5)
    assert (y.min(), y.max()) == pytest.approx((40, 40 + 2 * reach), abs=5)


@pytest.mark.parametrize("mirrored", [False, True])
def test_drawing_changes_sides_in_a_mirrored_clip(mirrored: bool) -> None:
    """A link from the upper left to the lower right goes from the upper right to the lower left."""
    size = (480, 320)
    faces = [face(k / 25, 200) for k in range(12)]
    upper = filmed([clips.flat([GREY] * 3, size)] * 12, faces, mirrored)[6][40 : 40 + 48, 200 : 200 + 96]
    left, right = (np.ptp(half.astype(int), axis=2).mean() for half in np.hsplit(upper, 2))
    strong, weak = (right, left) if mirrored else (left, right)
    assert strong > 3 * weak


@pytest.mark.parametrize("settings", [{}, {"matrix": 6}, {"full_range": True}, {"codec": "mjpeg", "container": "avi"}])
def test_colours_are_those_of_the_clip(settings: dict[str, object]) -> None:
    """Whatever matrix and range the clip is in."""
    picture = filmed([clips.flat((200, 90, 40), (480, 320))] * 12, [face(0.0)], **settings)[8]
    assert picture[160:300, 150:400].reshape(-1, 3).mean(axis=0) == pytest.approx((200, 90, 40), abs=6)


def test_recording_keeps_the_pictures() -> None:
    """What comes back of a clip that moves fast is what went in, time by time, but for a grain of noise."""
    frames = clips.astronaut_frames(40, (480, 480), amplitude=0.2)
    shown: list[NDArray[np.int64]] = []
    with Recording() as recording, Video(io.BytesIO(clips.clip_bytes(frames, matrix=1))) as video:

        def watch(time_s: float, frame: av.VideoFrame, geometry: Geometry) -> None:
            shown.append(planes(frame)[0].astype(int))
            recording.watch(time_s, frame, geometry)

        for _ in video.samples(watch):
            pass
        recording.finish()
        errors = [np.abs(y - before).mean() for (_, (y, *_)), before in zip(recording.pictures(), shown, strict=True)]
        assert recording.times_s.tolist() == pytest.approx([k / 25 for k in range(40)])
    assert max(errors) < 2


def test_cursor_moves_with_time() -> None:
    """The brightest column of the strip runs evenly, at the times of the clip."""
    times = [0.0, 0.1, 0.4, 0.5, 0.9]
    pictures = filmed([clips.flat([GREY] * 3, (480, 320))] * 5, [face(0.0)], times=times)
    columns = [int(picture[345:-30].mean(axis=(0, 2)).argmax()) for picture in pictures]
    steps = np.diff(columns) / np.diff(times)
    assert steps == pytest.approx(steps.mean(), rel=0.12)


def test_fast_clips_are_thinned() -> None:
    """Of 50 frames a second every other one is filmed, of 30 each."""
    frames = clips.numbered(30, (160, 120))
    assert [len(filmed(frames, [face(0.0)], rate=rate)) for rate in (30.0, 50.0)] == [30, 15]


def test_size_of_the_film() -> None:
    """Even, of the clip's shape, its longer side within limits."""
    assert recorded_size(1920, 1080) == (640, 360)
    assert recorded_size(1080, 1921) == (360, 640)
    assert recorded_size(601, 359) == (600, 360)
    assert recorded_size(160, 120) == (480, 360)
