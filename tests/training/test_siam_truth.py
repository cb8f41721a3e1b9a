"""Faces with a planted sign of age: it is where it is said to be, and the trials that look for it can be read."""

import json
from pathlib import Path

import numpy as np
import pytest

from networks.siam_config import MECHANISMS
from tests.training import planted_faces
from training import siam_truth
from training.planted import AGES
from training.siam_planted import AREAS, SENSOR_NOISE, inside, plant, strength
from training.siam_truth import Person, Trial


def face(level: int = 120) -> np.ndarray:
    return np.full((4, 114, 114), level, np.uint8)


@pytest.mark.parametrize("area", AREAS)
def test_the_sign_of_age_is_in_its_area_and_grows(area: str) -> None:
    """The older, the stronger the grating inside; outside there is nothing but sensor noise; areas lie apart."""
    rng = np.random.default_rng(0)
    contrast = []
    for age in (AGES[0], np.mean(AGES), AGES[1]):
        made = plant(face(), {area: np.full(4, strength(age))}, rng).astype(float)
        contrast.append(made[:, inside(area)].std())
        outside = sum(inside(other) for other in AREAS if other != area).astype(bool) & ~inside(area)
        assert abs(made[:, outside].mean() - 120) < 0.5
    assert contrast[0] < SENSOR_NOISE + 0.1 < 0.7 * contrast[1] < 0.5 * contrast[2]
    assert all((inside(area) & inside(other)).sum() < 0.2 * inside(area).sum() for other in AREAS if other != area)


def test_what_tells_the_age_is_what_the_condition_says() -> None:
    """Alone: one area has contrast. Smile: only frames that smile have. Always: every frame. Black stays black."""
    person = Person("s", face(), face(140), face(100))
    rng = np.random.default_rng(0)

    def contrasts(question: str, condition: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        trial = Trial(question, condition, "indexed", "mouth", 0, 1)
        faces, smiles = siam_truth.sequence(trial, person, AGES[1], rng)
        assert (faces[smiles].mean() > 130 and faces[~smiles].mean() < 110) if question == "when" else not smiles.any()
        return {area: faces[:, inside(area)].std(axis=1) > 10 for area in AREAS}, smiles

    alone, _ = contrasts("where", "alone")
    assert alone["mouth"].all() and not alone["left_eye"].any() and not alone["right_cheek"].any()
    decoys, _ = contrasts("where", "decoys")
    assert sum(shown.all() for shown in decoys.values()) >= 3
    smile, smiles = contrasts("when", "smile")
    assert np.array_equal(smile["mouth"], smiles) and smiles.sum() == siam_truth.SMILE_FRAMES
    always, _ = contrasts("when", "always")
    assert always["mouth"].all()
    assert not plant(np.zeros((1, 114, 114), np.uint8), {"mouth": np.ones(1)}, rng).any()


def test_every_area_is_planted_once_in_as_many_seeds() -> None:
    """Six seeds plant six areas, each the same in all trials of its seed."""
    planted = {(trial.seed, trial.area) for trial in siam_truth.trials(len(AREAS), 1)}
    assert [seed for seed, _ in sorted(planted)] == list(range(len(AREAS)))
    assert {area for _, area in planted} == set(AREAS) and (0, "mouth") in planted


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
def test_trials_end_in_tables(tmp_path: Path) -> None:
    """Two steps of each trial: every mechanism has its row, and untrained networks look everywhere."""
    planted_faces.make(tmp_path, subjects=8)
    arguments = [
        "--data",
        str(tmp_path / "clips.csv"),
        "--cache",
        str(tmp_path / "cache"),
        "--out",
        str(tmp_path / "o"),
    ]
    rate = ["--frame-rate", str(planted_faces.RATE_HZ), "--seeds", "1", "--steps", "2"]
    siam_truth.main([*arguments, *rate])
    tables = json.loads((tmp_path / "o/siam_truth.json").read_text())["tables"]
    assert [len(table["records"]) for table in tables] == [2 * len(MECHANISMS), 2]
    runs = [record["runs"][0] for table in tables for record in table["records"]]
    assert all(0.5 < run["before"]["ratio"] < 2 and run["after"]["mae_years"] > 5 for run in runs)
    files = sorted((tmp_path / "o/trials").iterdir())
    stamps = [file.stat().st_mtime_ns for file in files]
    siam_truth.main([*arguments, *rate])
    assert [file.stat().st_mtime_ns for file in files] == stamps and len(files) == len(runs)


@pytest.mark.parametrize("subjects", [0, 1])
def test_too_little_data_is_said_in_one_line(tmp_path: Path, subjects: int) -> None:
    """Without a set, or with one person who cannot be on both sides, it ends with a reason."""
    if subjects:
        planted_faces.make(tmp_path, subjects=subjects)
    arguments = [
        "--data",
        str(tmp_path / "clips.csv"),
        "--cache",
        str(tmp_path / "cache"),
        "--out",
        str(tmp_path / "o"),
    ]
    with pytest.raises(SystemExit, match="error: "):
        siam_truth.main([*arguments, "--frame-rate", str(planted_faces.RATE_HZ)])
