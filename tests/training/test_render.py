"""Rendering plans on the astronaut portrait: the face does what the plan says, and nothing else moves."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smile.alignment import CROP_PX, EYE_DISTANCE_PX, LEFT_EYE_PX
from smile.faces import FaceReport, align
from smile.pose import eye_centres
from smile.regions import REGIONS
from smile.video import Video
from training.demo import astronaut, plan
from training.motion import STEP_PX, Still, fields
from training.portraits import Source, portrait
from training.render import COEFFICIENT_RANGE, _displacements, actor, apertures, simulate_clip, write_clip
from training.smile_plan import HEAD_MOVES, SmilePlan, draw_plan

UTKFACE = Path(__file__).resolve().parents[2] / "../shared/data/faces/utkface.zip"


@pytest.fixture(scope="module")
def still() -> Still:
    return astronaut()


def motionless(smile: SmilePlan) -> SmilePlan:
    """The plan without head motion, blinks, flicker and noise."""
    calm = tuple(tuple((0.0, hz, phase) for _, hz, phase in waves) for waves in smile.head)
    return replace(smile, head=calm, blinks_s=(), light=(0.0, 1.0, 0.0), noise=0.0)


def followed(path: Path) -> tuple[FaceReport, NDArray[np.float64]]:
    """What the service's own decoder and aligner see of a clip: the report, and the mouth ratio over time."""
    report = FaceReport()
    with path.open("rb") as file, Video(file) as video:
        faces = list(align(video.samples(), report))
    return report, np.array([face.mouth_ratio for face in faces])


def test_mouth_follows_the_plan(still: Still, tmp_path: Path) -> None:
    """In the encoded clip, FaceMesh measures the planned ratios at rest and at the apex, and the planned course."""
    smile = plan(spontaneous=False, seed=1, rest_ratio=0.54, apex_ratio=0.76)
    smile = replace(smile, courses=tuple(replace(course, gain=1.0) for course in smile.courses), waver=(0, 1, 0))
    path = tmp_path / "smile.mp4"
    write_clip(path, (frame for _, frame in simulate_clip(still, smile, np.random.default_rng(0))), 25.0)
    report, ratios = followed(path)
    assert report.frames_with_face == report.frames_seen == smile.frame_count
    height = smile.activity()[:, [6, 8]].mean(axis=1)
    assert ratios[height < 0.01].mean() == pytest.approx(0.54, abs=0.015)
    assert ratios[height > 0.99].mean() == pytest.approx(0.76, abs=0.015)
    assert np.corrcoef(ratios, height)[0, 1] > 0.99


def test_unmoved_still_is_reproduced(still: Still) -> None:
    """A plan that asks for the ratio that is there, without nuisance, gives the still itself back."""
    who = actor(still)
    smile = motionless(plan(spontaneous=True, seed=0, rest_ratio=who.response[1], apex_ratio=who.response[1]))
    for _, frame in simulate_clip(who, smile, np.random.default_rng(0)):
        assert np.abs(frame.astype(int) - still.image).max() <= 1


def test_background_stands_still(still: Still) -> None:
    """A smile without head motion changes nothing outside the contour of the face."""
    smile = motionless(plan(spontaneous=True, seed=0, rest_ratio=0.53, apex_ratio=0.77))
    low, high = still.landmarks.min(axis=0).astype(int) - 2, still.landmarks.max(axis=0).astype(int) + 3
    changed = np.zeros(still.image.shape[:2], int)
    for _, frame in simulate_clip(still, smile, np.random.default_rng(0)):
        changed = np.maximum(changed, np.abs(frame.astype(int) - still.image).max(axis=-1))
    outside = changed.copy()
    outside[low[1] : high[1], low[0] : high[0]] = 0
    assert outside.max() <= 1 and changed.max() > 50


def test_same_seed_same_frames(still: Still) -> None:
    """Frames depend on the plan and the noise seed alone, byte for byte."""
    who, smile = actor(still), plan(spontaneous=True, seed=5)
    once, again, other = (
        [frame.tobytes() for _, frame in islice(simulate_clip(who, smile, np.random.default_rng(seed)), 40)]
        for seed in (1, 1, 2)
    )
    assert once == again
    assert once[0] != other[0]


@pytest.mark.parametrize("coefficient", COEFFICIENT_RANGE)
def test_skin_never_folds(still: Still, coefficient: float) -> None:
    """At both ends of the range, where each point comes from has a positive Jacobian: no torn or doubled contours."""
    course = np.full((1, len(REGIONS)), coefficient)
    back = _displacements(fields(still), course, apertures(course), np.full((1, len(HEAD_MOVES)), 0.03))[0] / STEP_PX
    xy, xx = np.gradient(back[..., 0])
    yy, yx = np.gradient(back[..., 1])
    assert ((1 + xx) * (1 + yy) - xy * yx).min() > 0.05


def test_confined_regions_stay_in_their_windows(still: Still) -> None:
    """Three quarters of a confined region's motion and more lie in its window of the crop; the eyes stand still."""
    regions = fields(still, confined=True).regions
    left, right = eye_centres(still.landmarks)
    axis = (right - left) / np.hypot(*(right - left)) ** 2
    rows, columns = np.mgrid[: regions.shape[1], : regions.shape[2]]
    pixels = (np.stack([columns, rows], axis=-1) + 0.5) * STEP_PX - 0.5 - (left + right) / 2
    x = pixels @ axis * EYE_DISTANCE_PX + LEFT_EYE_PX[0] + EYE_DISTANCE_PX / 2
    y = pixels @ (-axis[1], axis[0]) * EYE_DISTANCE_PX + LEFT_EYE_PX[1]
    for region in REGIONS:
        motion = np.hypot(*np.moveaxis(regions[region.id], -1, 0))
        inside = (x // (CROP_PX / 3) == region.column) & (y // (CROP_PX / 3) == region.row)
        assert motion[inside].sum() > 0.75 * motion.sum(), region.name
    corners = ((still.landmarks[[33, 133, 263, 362]] + 0.5) / STEP_PX - 0.5).round().astype(int)
    assert np.abs(regions[:, corners[:, 1], corners[:, 0]]).max() < 0.02 * np.hypot(*(right - left))


def test_aligner_follows_simulated_faces(tmp_path: Path) -> None:
    """The service's decoder and aligner find the face in at least 99 % of the frames of clips of many people."""
    if not UTKFACE.exists():
        pytest.skip("needs ../shared/data/faces/utkface.zip")
    source, rng = Source(UTKFACE), np.random.default_rng(0)
    entries = [source.entries[i] for i in rng.permutation(len(source.entries))]
    seen = found = clips = 0
    for entry in entries:
        still = portrait(source.read(entry.path), entry.path) if 8 <= entry.age <= 76 else None
        if still is None or not (who := actor(still)).suits():
            continue
        smile = draw_plan(entry.age, entry.gender, bool(clips % 2), rng)
        write_clip(tmp_path / "clip.mp4", (frame for _, frame in simulate_clip(who, smile, rng)), smile.frame_rate_hz)
        report, _ = followed(tmp_path / "clip.mp4")
        seen, found, clips = seen + report.frames_seen, found + report.frames_with_face, clips + 1
        if clips == 4:
            break
    assert seen > 200
    assert found >= 0.99 * seen
