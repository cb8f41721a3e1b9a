"""From what was measured to what is said: signs of effects, and a warning for everything that weakens an answer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service import answer
from service.backends.base import Model
from service.reading import MASKS, Reading
from service.siam import SiamReading
from smile.card import AgeInterval, Card
from smile.course import SmileCourse
from smile.decoding import DecodeReport
from smile.faces import FaceReport
from smile.regions import NAMES, PAIRS
from smile.video import VideoInfo

TRAINED = Model(Card("a", "people", "none", 25.0), "1", "f")
CALIBRATION = AgeInterval(0.9, (0.0, 100.0), (5.0, 5.0), (5.0, 5.0))
CALIBRATED = replace(TRAINED, card=replace(TRAINED.card, age_interval=CALIBRATION))
UNTRAINED = Model(Card("b", None, "none", 25.0), "1", "f")
ATTENDED = SiamReading(30.0, np.zeros(1), np.ones(1, np.float32), np.zeros((1, 10, 10), np.float32), TRAINED, 0.0)
UNIFORM = np.full(len(PAIRS), 1 / len(PAIRS), np.float32)
FACES = FaceReport(50, 50, 0, 1, 100, 100)
GOOD = Reading(
    frames_used=50,
    frame_rate_hz=25.0,
    followed_throughout=True,
    eye_distance_px=60.0,
    course=SmileCourse(True, 0.5, 1.0, 1.5, 0.5, 0.2),
    video=VideoInfo("mp4", "h264", 640, 360, 0, False, 2.0, 25.0, 1.0, False, 8),
    decoding=DecodeReport(frames_decoded=50, duration_s=2.0, source_rate_hz=25.0),
    faces=FACES,
    model=TRAINED,
    seconds=dict.fromkeys(("decode", "align", "backbone", "relations"), 0.0),
    age=np.full(len(MASKS), 30, np.float32),
    gender=np.full((len(MASKS), 2), 0.5, np.float32),
    age_importance=UNIFORM,
    gender_importance=UNIFORM,
)
WEAK: dict[str, dict[str, Any]] = {
    "untrained_model": {"model": UNTRAINED},
    "untrained_siam": {"siam": replace(ATTENDED, model=UNTRAINED)},
    "no_smile": {"course": replace(GOOD.course, has_smile=False)},
    "several_faces": {"faces": replace(FACES, faces_max=2)},
    "face_lost": {"followed_throughout": False},
    "face_hidden": {"faces": replace(FACES, instants_with_face=89)},
    "large_pose": {"faces": replace(FACES, instants_large_pose=11)},
    "face_cut": {"faces": replace(FACES, instants_cut=11)},
    "low_frame_rate": {"decoding": replace(GOOD.decoding, source_rate_hz=11.9)},
    "timestamps_repaired": {"decoding": replace(GOOD.decoding, timestamps_repaired=1)},
    "damaged_packets": {"decoding": replace(GOOD.decoding, packets_damaged=1)},
    "ends_early": {"decoding": replace(GOOD.decoding, duration_s=1.4)},
    "thinned": {"frame_rate_hz": 12.5},
}


def said(reading: Reading) -> dict[str, Any]:
    """The answer as JSON has it."""
    found = answer.prediction(reading, request_id="1", traits=("age", "gender"), top=None, total_s=0.0)
    return found.model_dump(mode="json")


def test_a_good_clip_goes_without_a_warning() -> None:
    """Also one that just lacks what a warning needs."""
    assert said(GOOD)["clip"]["warnings"] == []
    nearly = replace(FACES, instants_with_face=90, instants_large_pose=9, instants_cut=9)
    ending = replace(GOOD.decoding, duration_s=1.51)
    assert said(replace(GOOD, faces=nearly, decoding=ending))["clip"]["warnings"] == []


@pytest.mark.parametrize("code", WEAK)
def test_what_weakens_an_answer_is_said(code: str) -> None:
    """That alone."""
    assert [warning["code"] for warning in said(replace(GOOD, **WEAK[code]))["clip"]["warnings"]] == [code]


@pytest.mark.parametrize(("apart", "overlap"), [(9.0, True), (-9.0, True), (11.0, False), (-11.0, False)])
def test_intervals_of_two_networks_overlap_or_not(apart: float, overlap: bool) -> None:
    """Each of 5 years to both sides; where one network is not calibrated, nothing is said of it."""
    other = replace(ATTENDED, age=float(GOOD.age[0]) + apart, model=CALIBRATED)
    found = said(replace(GOOD, model=CALIBRATED, siam=other))
    interval = found["siam"]["age"]["interval"]
    assert (interval["low"], interval["high"]) == (other.age - 5, other.age + 5)
    assert found["disagreement"] == {"years": -apart, "intervals_overlap": overlap}
    assert said(replace(GOOD, siam=other))["disagreement"]["intervals_overlap"] is None


def test_effects_are_what_the_dynamics_add() -> None:
    """Answered less what is answered without: the nose makes older and more of a man, with the mouth beyond the sum."""
    age, gender = GOOD.age.copy(), np.tile(np.array([0.8, 0.2], np.float32), (len(MASKS), 1))
    nose, mouth = (NAMES.index(name) for name in ("nose", "mouth"))
    without_nose, without_mouth = MASKS[:, nose] == 0, MASKS[:, mouth] == 0
    age -= 3.0 * without_nose + 1.0 * (without_nose & without_mouth)
    gender[without_nose] = (0.6, 0.4)
    found = said(replace(GOOD, age=age, gender=gender))
    assert found["gender"]["label"] == "male"
    years = {effect["region"]: effect["years"] for effect in found["age"]["region_effects"]}
    assert years == {name: 3.0 if name == "nose" else 0.0 for name in NAMES}
    probability = {effect["region"]: effect["probability"] for effect in found["gender"]["region_effects"]}
    assert probability["nose"] == pytest.approx(0.2) and probability["mouth"] == 0
    pair = next(pair for pair in found["age"]["pairs"] if set(pair["regions"]) == {"nose", "mouth"})
    assert (pair["years"], pair["interaction"]) == (4.0, 1.0)
