"""Faces found, followed and aligned, with the real networks on pictures of a real face."""

import gc
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mediapipe.python.solution_base import SolutionBase
from mediapipe.python.solutions.face_mesh import FaceMesh
from numpy.typing import NDArray
from skimage.data import astronaut

from smile import alignment
from smile.course import SmileCourse, smile_course
from smile.errors import FaceTooSmall, NoFace
from smile.faces import BRIDGE_INSTANTS, AlignedFace, FaceReport, align, check_size
from smile.landmarker import FaceLandmarker
from smile.mesh import Mesh, roi_around
from smile.pose import eye_centres, yaw_deg
from smile.sampling import MAX_SAMPLES, stride_at
from smile.video import Sample, Video

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo/astronaut_smile.mp4"
VIDEOS = ROOT / "../shared/data/videos"
needs_clips = pytest.mark.skipif(not VIDEOS.is_dir(), reason="the real clips lie beside the checkout")

Picture = NDArray[np.uint8]
HEAD: Picture = astronaut()[:230, 120:330]
HEAD_EYES = np.array([(83.3, 101.0), (127.0, 103.0)])
"""Middle of the pupils in HEAD, by eye."""
NOSE = (105, 118)
EMPTY: Picture = np.full((480, 640, 3), 90, np.uint8)


def with_head(scale: float, x: float, y: float, onto: Picture = EMPTY, angle_deg: float = 0.0) -> Picture:
    """A copy of `onto` with the head at (x, y), its top left corner, turned about its middle."""
    turn = np.asarray(cv2.getRotationMatrix2D((HEAD.shape[1] / 2, HEAD.shape[0] / 2), angle_deg, scale), np.float64)
    turn[:, 2] += (x, y) + np.array(HEAD.shape[1::-1]) / 2 * (scale - 1)
    size = onto.shape[1::-1]
    head = cv2.warpAffine(HEAD, turn, size, flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    mask = cv2.warpAffine(np.full(HEAD.shape, 255, np.uint8), turn, size)
    return np.where(mask > 127, head, onto).astype(np.uint8)


def samples(pictures: Iterable[Picture], step: int = 1) -> Iterator[Sample]:
    """One sample per picture, each `step` instants after the last, at 25 Hz."""
    for k, picture in enumerate(pictures):
        yield Sample((k * step,), k * step / 25, picture)


def swaying(count: int) -> list[Picture]:
    """A head that moves slowly to the right."""
    return [with_head(1.2, 100 + 2 * k, 60) for k in range(count)]


def read(name: str, count: int | None = None) -> tuple[list[AlignedFace], FaceReport]:
    """The aligned faces of a real clip, or of its first `count` samples."""
    report = FaceReport()
    with Video(VIDEOS / name) as video:
        return list(align(islice(video.samples(), count), report)), report


def course_of(faces: list[AlignedFace]) -> SmileCourse:
    """The course of the smile."""
    return smile_course(np.array([face.time_s for face in faces]), np.array([face.mouth_ratio for face in faces]))


def test_the_mesh_is_facemesh() -> None:
    """Told to look where FaceMesh looks, the mesh finds what FaceMesh finds."""
    with closing(Mesh()) as mesh, FaceMesh() as theirs:
        before = None
        for picture in swaying(6):
            points = theirs.process(picture).multi_face_landmarks[0].landmark
            expected = np.array([(point.x, point.y) for point in points]) * picture.shape[1::-1]
            if before is not None:
                assert mesh(picture, roi_around(before)) == pytest.approx(expected, abs=0.05)
            before = expected.astype(np.float32)


@pytest.mark.parametrize("angle_deg", [0, 35, -60])
def test_eyes_are_found_and_roll_is_undone(angle_deg: float) -> None:
    """Eye centres are where the picture has them, and the crop of a turned head is that of the upright one."""
    upright, turned = (
        next(align(samples([with_head(1.5, 150, 60, angle_deg=angle)]), FaceReport())) for angle in (0, angle_deg)
    )
    eyes = np.array([np.linalg.solve(upright.matrix[:, :2], at - upright.matrix[:, 2]) for at in ((24, 26), (72, 26))])
    assert eyes == pytest.approx(HEAD_EYES * 1.5 + (150, 60), abs=5)
    roll = np.degrees(np.arctan2(turned.matrix[0, 1], turned.matrix[0, 0]))
    upright_roll = np.degrees(np.arctan2(upright.matrix[0, 1], upright.matrix[0, 0]))
    assert upright_roll - roll == pytest.approx(angle_deg, abs=3)
    middle = np.s_[16:88, 16:80]
    assert np.abs(upright.crop[middle].astype(int) - turned.crop[middle]).mean() < 8


def test_a_face_that_turns_upside_down_is_followed() -> None:
    """Turned all the way round in steps of 10 degrees the face is never lost and every crop is upright."""
    pictures = [with_head(1.2, 200, 100, angle_deg=angle) for angle in range(0, 360, 10)]
    faces = list(align(samples(pictures), FaceReport()))
    assert len(faces) == len(pictures) and not any(face.bridged for face in faces)
    middle = np.s_[24:80, 24:72]
    for face in faces:
        assert np.abs(face.crop[middle].astype(int) - faces[0].crop[middle]).mean() < 20


def crossing(front: str) -> Iterator[Picture]:
    """A large head going right and a smaller one going left, which meet halfway."""
    for share in np.linspace(0, 1, 50):
        large, small = (1.4, 20 + 480 * share, 80), (0.8, 620 - 560 * share, 150)
        picture = np.full((480, 800, 3), 90, np.uint8)
        for scale, x, y in (large, small) if front == "small" else (small, large):
            picture = with_head(scale, x, y, picture)
        yield picture


@pytest.mark.parametrize("front", ["small", "large"])
def test_the_largest_face_is_followed_through_a_crossing(front: str) -> None:
    """Where the smaller face covers it for a moment its landmarks suffer, but it is never exchanged."""
    report = FaceReport()
    faces = list(align(samples(crossing(front)), report))
    assert report.faces_max == 2 and report.frames_seen == 50
    assert {face.stretch for face in faces} == {0} and len(faces) == 50
    off = []
    for face in faces:
        middle = np.linalg.solve(face.matrix[:, :2], (48, 26) - face.matrix[:, 2])
        off.append(abs(middle[0] - 20 - 480 * face.instants[0] / 49 - 1.4 * HEAD_EYES.mean(axis=0)[0]))
    assert max(off[:20] + off[-15:]) < 6
    assert sum(distance > 20 for distance in off) <= (8 if front == "small" else 0)


def test_a_much_larger_face_takes_over() -> None:
    """Somebody who comes in far closer than the one followed starts a new stretch."""
    small = with_head(0.6, 20, 20)
    both = with_head(1.6, 260, 60, small)
    report = FaceReport()
    faces = list(align(samples([small] * 10 + [both] * 30), report))
    assert [face.stretch for face in faces] == [0] * 25 + [1] * 15
    assert faces[0].eye_distance_px == pytest.approx(26, abs=2) and report.faces_max == 2


@pytest.mark.parametrize("gap", [1, BRIDGE_INSTANTS])
def test_short_gaps_are_bridged(gap: int) -> None:
    """Frames without a face keep the last matrix, have no ratio, and say that they were bridged."""
    pictures = swaying(20)
    pictures[8 : 8 + gap] = [EMPTY] * gap
    report = FaceReport()
    faces = list(align(samples(pictures), report))
    assert [face.instants for face in faces] == [(k,) for k in range(20)]
    held = faces[8 : 8 + gap]
    assert [face.bridged for face in faces] == [face in held for face in faces]
    for face in held:
        assert (face.matrix == faces[7].matrix).all() and np.isnan(face.mouth_ratio) and (face.crop == 90).all()
    assert {face.stretch for face in faces} == {0}
    assert (report.frames_seen, report.frames_with_face, report.frames_bridged) == (20, 20 - gap, gap)


def test_one_missed_sample_of_a_thinned_clip_is_bridged() -> None:
    """However far apart its samples are: a long clip is not cut by a frame in which the face is missed."""
    pictures = [*swaying(10), EMPTY, *swaying(10)]
    faces = list(align(samples(pictures, BRIDGE_INSTANTS + 1), FaceReport()))
    assert [face.bridged for face in faces] == [place == 10 for place in range(21)]
    assert {face.stretch for face in faces} == {0}


@pytest.mark.parametrize(("gap", "step"), [(BRIDGE_INSTANTS + 1, 1), (2, BRIDGE_INSTANTS)])
def test_longer_gaps_start_a_new_stretch(gap: int, step: int) -> None:
    """The bridge is counted in instants of the grid, so two samples of a thinned clip may be too long for it."""
    pictures = swaying(10) + [EMPTY] * gap + swaying(10)
    faces = list(align(samples(pictures, step), FaceReport()))
    assert [face.stretch for face in faces] == [0] * 10 + [1] * 10
    assert not any(face.bridged for face in faces)


def test_a_gap_at_the_end_is_not_emitted() -> None:
    """Held frames are dropped where the face does not come back."""
    report = FaceReport()
    assert len(list(align(samples(swaying(6) + [EMPTY] * 3), report))) == 6
    assert report.frames_bridged == 0 and report.frames_seen == 9


@pytest.mark.parametrize(("scale", "error"), [(0.8, None), (0.35, FaceTooSmall), (None, NoFace)])
def test_small_faces_in_a_large_frame(scale: float | None, error: type[Exception] | None) -> None:
    """In 1920x1080 a face of 34 px between the eyes is used, one of 15 is too small, and nothing is no face."""
    frame = np.full((1080, 1920, 3), 90, np.uint8)
    if scale is not None:
        frame = with_head(scale, 1300, 610, frame)
    report = FaceReport()
    faces = list(align(samples([frame] * 3), report))
    assert len(faces) == (0 if error is NoFace else 3)
    with nullcontext() if error is None else pytest.raises(error):
        report.check()
        check_size(faces[0].eye_distance_px)


def close_up(half: int) -> Picture:
    """(480, 480, 3), HEAD from brows to chin or less: up to `half` of its pixels around the nose."""
    x, y = NOSE
    return np.asarray(cv2.resize(HEAD[y - half : y + half, x - half : x + half], (480, 480)), np.uint8)


@pytest.mark.parametrize("half", [38, 32])
def test_a_face_that_fills_the_frame(half: int) -> None:
    """The detector sees none without a margin around it."""
    (face,) = align(samples([close_up(half)]), FaceReport())
    eyes = (HEAD_EYES - np.array(NOSE) + half) * 240 / half
    seen = eyes @ face.matrix[:, :2].T + face.matrix[:, 2]
    assert np.allclose(seen, [(24, 26), (72, 26)], atol=2.5)


def test_a_face_that_fills_the_frame_comes_before_one_behind_it() -> None:
    """Although without a margin the detector sees the small one alone."""
    behind = np.asarray(cv2.resize(HEAD, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA), np.uint8)
    picture = np.hstack([close_up(30), np.full((480, 240, 3), 90, np.uint8)])
    picture[20 : 20 + behind.shape[0], 500 : 500 + behind.shape[1]] = behind
    report = FaceReport()
    (face,) = align(samples([picture]), report)
    assert face.eye_distance_px > 200 and report.faces_max == 2


@pytest.mark.parametrize("size", [(20, 3000), (16_000, 3), (1, 1)])
def test_strips_are_looked_at_without_harm(size: tuple[int, int]) -> None:
    """mediapipe would end the process where a side of its picture grows too long."""
    with FaceLandmarker() as landmarker:
        assert landmarker.locate(np.full((*size, 3), 90, np.uint8)) is None


@pytest.mark.parametrize(
    ("x", "y", "read", "cut"), [(150, 60, 1, 0), (150, -140, 1, 1), (150, -165, 0, 1), (-135, 60, 0, 1)]
)
def test_faces_that_the_edge_cuts(x: float, y: float, read: int, cut: int) -> None:
    """One that lacks its forehead is aligned and counted; one that lacks an eye, or both, is not looked at."""
    report = FaceReport()
    faces = list(align(samples([with_head(1.5, x, y)]), report))
    assert (len(faces), report.frames_with_face, report.instants_cut) == (read, read, cut)
    if not read:
        with pytest.raises(NoFace, match="cut off by the edge"):
            report.check()


def test_a_whole_face_comes_before_a_larger_one_that_is_cut() -> None:
    """Also where the whole one comes later."""
    cut = with_head(1.5, -135, 60)
    both = with_head(1.0, 350, 200, cut)
    report = FaceReport()
    faces = list(align(samples([cut, *[both] * 3]), report))
    assert [face.instants for face in faces] == [(1,), (2,), (3,)] and report.faces_max == 2
    assert faces[0].eye_distance_px == pytest.approx(43, abs=3)


def test_a_thinned_clip_is_counted_in_time() -> None:
    """A face that leaves for the later half of a long clip was there for half of the time, in most of the samples."""
    kept = [k for k in range(4 * MAX_SAMPLES) if k % stride_at(k) == 0]
    picture = with_head(1.2, 150, 60)
    report = FaceReport()
    list(align((Sample((k,), k / 25, picture if k < 2 * MAX_SAMPLES else EMPTY) for k in kept), report))
    assert report.frames_with_face == 0.75 * report.frames_seen
    assert (report.instants_with_face, report.instants_seen) == (2 * MAX_SAMPLES, 4 * MAX_SAMPLES)


def test_yaw_of_a_turned_head() -> None:
    """Points of a head shape turned by a known angle give that angle back; past profile it is large."""
    head = np.zeros((468, 3))
    for point, place in {234: (-7.66, 0.67, -2.44), 454: (7.66, 0.67, -2.44), 1: (0.0, 1.13, 7.48)}.items():
        head[point] = place
    for eye, x in {33: -4.45, 133: -1.86, 362: 1.86, 263: 4.45}.items():
        head[eye] = (x, -2.7, 3.5)
    for angle in (-60.0, -30.0, 0.0, 20.0, 45.0, 80.0):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turned = np.stack([head[:, 0] * c + head[:, 2] * s, head[:, 1]], axis=1).astype(np.float32)
        assert yaw_deg(turned * 10 + 100) == pytest.approx(angle, abs=0.5)


@pytest.fixture(scope="module")
def solid() -> NDArray[np.float32]:
    """(468, 3) landmarks of the demo clip's first frame, pixels, with FaceMesh's depths; it looks ahead."""
    with Video(DEMO) as video, FaceMesh() as theirs:
        picture = next(video.samples()).rgb
        points = theirs.process(picture).multi_face_landmarks[0].landmark
    return np.array([(point.x, point.y, point.z) for point in points], np.float32) * np.float32(picture.shape[0])


@pytest.mark.parametrize(("angle_deg", "large", "read"), [(20, 0, 1), (38, 3, 1), (-38, 3, 1), (52, 3, 0), (-60, 3, 0)])
def test_poses_are_counted(
    solid: NDArray[np.float32], angle_deg: float, large: int, read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real mesh, turned: beyond 30 degrees a large pose, in all instants of its samples; beyond 45 no face."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    x, y, depth = (solid - solid.mean(axis=0)).T
    turned = np.stack([x * c - depth * s, y], axis=1) + 180
    monkeypatch.setattr(FaceLandmarker, "locate", lambda *_: np.asarray(turned, np.float32))
    report = FaceReport()
    pictures = [Sample((at,), at / 25, np.zeros((360, 360, 3), np.uint8)) for at in (0, MAX_SAMPLES)]
    assert len(list(align(pictures, report))) == report.frames_with_face == 2 * read
    assert (report.instants_seen, report.instants_with_face, report.instants_large_pose) == (3, 3 * read, large)
    with nullcontext() if read else pytest.raises(NoFace, match="in profile"):
        report.check()


def digest(pictures: list[Picture]) -> list[bytes]:
    """All that is measured about a clip, as bytes."""
    faces = align(samples(pictures), FaceReport())
    return [face.crop.tobytes() + face.matrix.tobytes() + np.float64(face.mouth_ratio).tobytes() for face in faces]


def test_other_clips_do_not_matter() -> None:
    """A clip gives identical bytes alone, again, and while others are aligned in other threads."""
    clips = [swaying(15), list(crossing("small"))[::4], swaying(15)[::-1]]
    alone = [digest(clip) for clip in clips]
    with ThreadPoolExecutor(len(clips)) as pool:
        for _ in range(2):
            assert list(pool.map(digest, clips)) == alone


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[int, int]]:
    """How many of mediapipe's graphs are open, and how many are in memory, of those that the test starts."""
    opened: set[int] = set()
    held: weakref.WeakSet[SolutionBase] = weakref.WeakSet()
    start, close = SolutionBase.__init__, SolutionBase.close

    def starting(self: SolutionBase, *arguments: Any, **named: Any) -> None:
        start(self, *arguments, **named)
        opened.add(id(self))
        held.add(self)

    def closing(self: SolutionBase) -> None:
        close(self)
        opened.remove(id(self))

    def count() -> tuple[int, int]:
        gc.collect()
        return len(opened), len(held)

    monkeypatch.setattr(SolutionBase, "__init__", starting)
    monkeypatch.setattr(SolutionBase, "close", closing)
    return count


def broken() -> Iterator[Sample]:
    """A clip that ends in an error."""
    yield from samples(swaying(2))
    raise OSError("gone")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")
def test_landmarkers_are_released(graphs: Callable[[], tuple[int, int]]) -> None:
    """Of clips read to the end, with a face and without, given up early and broken, neither graph nor thread is left;
    but those that all clips share."""
    list(align(samples(swaying(2)), FaceReport()))
    threads = len(os.listdir("/proc/self/task"))
    for pictures in (swaying(2), [EMPTY]):
        list(align(samples(pictures), FaceReport()))
        assert graphs() == (0, 0)
    given_up = align(samples(swaying(2)), FaceReport())
    next(given_up)
    assert graphs() == (2, 2)
    given_up.close()
    assert graphs() == (0, 0)
    with pytest.raises(OSError, match="gone"):
        list(align(broken(), FaceReport()))
    assert graphs() == (0, 0) and len(os.listdir("/proc/self/task")) <= threads


def test_landmarks_are_pixels_of_the_frame() -> None:
    """(468, 2) float32; None without a face."""
    with FaceLandmarker() as landmarker:
        assert landmarker.locate(EMPTY) is None
        found = landmarker.locate(with_head(1.5, 150, 60))
    assert found is not None and found.shape == (468, 2) and found.dtype == np.float32
    left, right = eye_centres(found)
    assert [left, right] == pytest.approx(HEAD_EYES * 1.5 + (150, 60), abs=5)


@needs_clips
@pytest.mark.parametrize(
    ("name", "onset_s", "amplitude"), [("pyfeat_single_face.mp4", 0.53, 0.20), ("lp_d0.mp4", 0.64, 0.21)]
)
def test_smiles_of_real_clips(name: str, onset_s: float, amplitude: float) -> None:
    """The face is there from the first frame to the last, and the course of the smile is what one sees."""
    faces, report = read(name)
    assert report.frames_with_face == report.frames_seen == len(faces) and report.faces_max == 1
    course = course_of(faces)
    assert course.has_smile and course.onset_s is not None and course.apex_s is not None and course.offset_s is not None
    assert course.onset_s == pytest.approx(onset_s, abs=0.1)
    assert course.onset_s < course.apex_s < course.offset_s
    assert course.amplitude == pytest.approx(amplitude, abs=0.03)


@needs_clips
def test_two_men_who_do_not_smile() -> None:
    """Two faces are counted, one is followed at a time, and talking is no smile."""
    faces, report = read("sd_vp9_webrtc_4.webm", 150)
    report.check()
    assert report.faces_max == 2
    assert len(faces) == 150 and not course_of(faces).has_smile


@needs_clips
@pytest.mark.parametrize("name", ["pyfeat_no_face.mp4", "tc_nasa_13013_hdr.mp4"])
def test_clips_without_a_face(name: str) -> None:
    """Nothing is taken for a face."""
    faces, report = read(name, 60)
    assert not faces
    with pytest.raises(NoFace):
        report.check()


@needs_clips
def test_two_faces_side_by_side() -> None:
    """Both are counted; the same one is followed throughout."""
    faces, report = read("intel_head-pose-face-detection-female-and-male.gif")
    assert report.faces_max == 2 and {face.stretch for face in faces} == {0}
    centres = np.array([np.linalg.solve(face.matrix[:, :2], (48, 26) - face.matrix[:, 2]) for face in faces])
    assert np.abs(np.diff(centres, axis=0)).max() < alignment.MIN_EYE_DISTANCE_PX


@needs_clips
@pytest.mark.parametrize(
    ("name", "limit"),
    [("single_face_rot90flag.mp4", 4.0), ("single_face_mjpeg.avi", 6.0), ("single_face_live_vfr_vp8.webm", 6.0)],
)
def test_variants_of_one_clip_give_the_same_faces(name: str, limit: float) -> None:
    """Another codec, a rotation flag, jittered times: the crops at the same instants differ by little (0-255)."""
    reference, variant = (
        {instant: face.crop.astype(int) for face in read(clip)[0] for instant in face.instants}
        for clip in ("pyfeat_single_face.mp4", name)
    )
    shared = reference.keys() & variant.keys()
    assert len(shared) > 0.9 * len(reference)
    assert np.mean([np.abs(reference[k] - variant[k]).mean() for k in shared]) < limit
