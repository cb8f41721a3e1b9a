"""SIAM's alignment: the mean shape, the piecewise-affine warp, and the faces of real clips."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from smile import frontal, piecewise
from smile.faces import FaceReport, align
from smile.frontal_shape import BOUNDARY, BROWS, FACEMESH_POINTS, MEAN_SHAPE, SIDE_PX
from smile.sampling import MAX_SAMPLES, is_kept
from smile.sequence import Sequence
from smile.video import Sample, Video
from tests.clips import astronaut_frames

DEMO = Path(__file__).resolve().parents[2] / "demo/astronaut_smile.mp4"
MIRROR = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
MIRROR += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
MIRROR += [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]


def inside() -> NDArray[np.bool_]:
    mask = np.zeros(SIDE_PX * SIDE_PX, bool)
    mask[piecewise.plan().inside] = True
    return mask.reshape(SIDE_PX, SIDE_PX)


def test_the_mean_shape_has_the_proportions_of_the_canonical_face() -> None:
    """Symmetric, from the brows to the boundary, with the distances that SPEC C1 gives in eye distances."""
    assert len(set(FACEMESH_POINTS)) == len(MEAN_SHAPE) == 68
    mirrored = MEAN_SHAPE[MIRROR] * (-1, 1) + (SIDE_PX, 0)
    np.testing.assert_allclose(mirrored, MEAN_SHAPE, atol=1e-4)
    assert MEAN_SHAPE.min() == 0 and MEAN_SHAPE[BOUNDARY].max(axis=0).tolist() == [SIDE_PX, SIDE_PX]
    assert MEAN_SHAPE[BROWS, 1].min() == 0
    left, right = MEAN_SHAPE[[36, 39]].mean(axis=0), MEAN_SHAPE[[42, 45]].mean(axis=0)
    eyes, height = (left + right) / 2, MEAN_SHAPE[8, 1] - left[1]
    assert (MEAN_SHAPE[54] - eyes)[0] / (right - left)[0] == pytest.approx(0.390, abs=1e-3)
    assert (MEAN_SHAPE[54] - eyes)[1] / height == pytest.approx(1.106 / 1.909, abs=1e-3)


def test_the_triangles_cover_the_shape_once() -> None:
    """Their areas add up to that of the convex hull, less the slivers that OpenCV leaves out between the brows."""
    area = 0.0
    for a, b, c in MEAN_SHAPE[piecewise.triangles()].astype(np.float64):
        area += abs((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]) / 2
    assert area == pytest.approx(cv2.contourArea(cv2.convexHull(MEAN_SHAPE)), rel=1e-3)
    assert len(piecewise.plan().inside) == pytest.approx(area, rel=0.02)


def test_a_face_of_the_mean_shape_stays_as_it_is() -> None:
    """Landmarks where the mean shape has them: every pixel inside is the same, every one outside is 0."""
    pixels = np.random.default_rng(0).integers(1, 256, (SIDE_PX, SIDE_PX), dtype=np.uint8)
    warped = piecewise.warp(pixels, MEAN_SHAPE)
    assert np.abs(warped[inside()].astype(int) - pixels[inside()]).max() <= 8  # cv2 interpolates in steps of 1/32
    assert not warped[~inside()].any()


def test_any_affine_face_is_straightened() -> None:
    """A gradient seen under a turn, a stretch and a shift comes back as the gradient of the mean shape."""
    affine = np.array([[1.4, -0.5, 60.0], [0.4, 1.7, 20.0]])
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    ramp = (x + y).astype(np.uint8)
    seen = cv2.warpAffine(ramp, affine, (360, 360), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    points = (MEAN_SHAPE - 0.5) @ affine[:, :2].T + affine[:, 2] + 0.5
    warped = piecewise.warp(seen, points.astype(np.float32))
    edge = cv2.erode(inside().astype(np.uint8), np.ones((5, 5))) > 0
    assert np.abs(warped[edge].astype(int) - ramp[edge]).max() <= 3


def test_the_landmarks_of_a_smile_come_to_rest() -> None:
    """A real clip: the mouth moves in the frames and the patches, not in the warped faces, which stay comparable."""
    report, patches = FaceReport(), []
    with (
        DEMO.open("rb") as clip,
        Video(clip) as video,
        closing(align(video.samples(), report, patches="grey")) as faces,
    ):
        patches = [face.patch for face in faces if face.patch]
    assert len(patches) == report.frames_seen
    for patch, points in zip(patches, frontal.smoothed_points(patches), strict=True):
        at = frontal.in_patch(patch, points)
        assert 0 < at.min() and at.max() < frontal.PATCH_PX
    warped = np.stack(list(frontal.frontal_faces(patches))).astype(float)
    in_patches = np.stack([patch.pixels for patch in patches]).astype(float)
    assert warped.shape == (len(patches), SIDE_PX, SIDE_PX)
    spread = warped[:, inside()].std(axis=0).mean()
    assert spread < 0.7 * in_patches[:, 40:150, 20:140].std(axis=0).mean()


def test_a_trembling_track_is_smoothed() -> None:
    """One landmark that jumps in one frame stays with its neighbours."""
    still = frontal.FacePatch(np.zeros((1, 1), np.uint8), np.eye(2, 3), np.zeros((68, 2), np.float32))
    jump = still.points.copy()
    jump[30] = 9
    patches = [still] * 6 + [frontal.FacePatch(still.pixels, still.matrix, jump)] + [still] * 6
    assert not frontal.smoothed_points(patches).any()


def test_patches_are_cut_only_when_asked_and_held_over_a_gap() -> None:
    """Nothing without `patches`; a frame without the face keeps the last landmarks and shows its own pixels."""
    frames = astronaut_frames(12)
    frames[5] = np.full_like(frames[5], 90)
    clip = [Sample((k,), k / 25, frame) for k, frame in enumerate(frames)]
    assert all(face.patch is None for face in align(clip, FaceReport()))
    faces = list(align(clip, FaceReport(), patches="grey"))
    before, bridged = faces[4].patch, faces[5].patch
    assert faces[5].bridged and before and bridged
    assert np.array_equal(before.points, bridged.points) and bridged.pixels.std() < 1 < before.pixels.std()


def test_a_long_clip_keeps_few_patches() -> None:
    """A thousand instants, two for each frame: at most MAX_SAMPLES of them, and one patch for each frame among them."""
    (face,) = align([Sample((0,), 0.0, astronaut_frames(1)[0])], FaceReport(), patches="grey")
    sequence = Sequence()
    for k in range(0, 1000, 2):
        if instants := tuple(i for i in (k, k + 1) if is_kept(i, i)):
            sequence.add([replace(face, instants=instants, time_s=k / 25)])
    stretch = sequence.longest_stretch()
    assert stretch.frame_count <= MAX_SAMPLES
    assert len(stretch.patches) == stretch.frame_of[-1] + 1 == len(set(stretch.times_s))
