"""Faces with a planted sign of age: it is where it is said to be, and the trials that look for it can be read."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from networks.siam_config import MECHANISMS
from tests.training import planted_faces
from training import siam_truth, siam_truth_tables
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
def test_trials_end_in_tables_that_come_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two steps of each trial: every mechanism has its row, and untrained networks look everywhere. A second call
    trains nothing, the kept records alone give the same tables, and trials on other data are kept out."""
    planted_faces.make(tmp_path, subjects=8)
    planted_faces.make(tmp_path / "others", subjects=9, seed=1)
    rate = ["--frame-rate", str(planted_faces.RATE_HZ), "--seeds", "1", "--steps", "2"]

    def arguments(folder: Path) -> list[str]:
        return ["--data", str(folder / "clips.csv"), "--cache", str(folder / "cache"), "--out", str(tmp_path / "o")]

    siam_truth.main([*arguments(tmp_path), *rate])
    first = capsys.readouterr().out
    tables = json.loads((tmp_path / "o/siam_truth.json").read_text())["tables"]
    assert [len(table["records"]) for table in tables] == [2 * len(MECHANISMS), 2]
    runs = [record["runs"][0] for table in tables for record in table["records"]]
    assert all(0.5 < run["before"]["ratio"] < 2 and run["after"]["mae_years"] > 5 for run in runs)
    files = sorted((tmp_path / "o/trials").iterdir())
    stamps = [file.stat().st_mtime_ns for file in files]
    siam_truth.main([*arguments(tmp_path), *rate])
    assert [file.stat().st_mtime_ns for file in files] == stamps and len(files) == len(runs)
    siam_truth.main(["--out", str(tmp_path / "again"), "--tables", str(tmp_path / "o" / siam_truth.TRIALS)])
    assert capsys.readouterr().out == 2 * first
    with pytest.raises(SystemExit, match="trials on other data"):
        siam_truth.main([*arguments(tmp_path / "others"), *rate])


def record(error: float, ratio: float) -> dict:
    trial = asdict(Trial("where", "alone", "indexed", "mouth", 0, 1))
    before, after = ({"mae_years": of, "ratio": by, "rank": 1} for of, by in ((17.0, 1.0), (error, ratio)))
    return {"trial": trial, "data": {"data_set": "drawn"}, "seconds": 1.0, "before": before, "after": after}


def test_networks_that_did_not_learn_are_marked_and_averaged_apart() -> None:
    """One learned, one says the middle: both are shown, one is marked, and the means are with and without it."""
    table = siam_truth_tables.where([record(5.0, 1.3), record(siam_truth_tables.GUESS, 0.9)])
    shown = dict(zip(table.columns, table.rows[0], strict=True))
    assert shown["learned"] == "1 of 2" and shown["error"] == f"5.0, {siam_truth_tables.GUESS:.1f} †"
    assert (shown["mean ratio, learned"], shown["mean ratio, all"]) == ("1.30", "1.10")
    assert shown["ratio before training"] == "1.00, 1.00 †" and shown["ratio"] == "1.30, 0.90 †"
    (numbers,) = table.records
    assert [run["learned"] for run in numbers["runs"]] == [True, False]
    nothing = siam_truth_tables.where([record(siam_truth_tables.GUESS, 0.9)])
    assert dict(zip(nothing.columns, nothing.rows[0], strict=True))["mean ratio, learned"] == "–"


def test_chance_does_not_count_as_learned() -> None:
    """The middle, said of the sequences of a test, has an error that far below its mean once in a thousand at most."""
    ages = np.random.default_rng(0).uniform(*AGES, (20_000, siam_truth.TEST))
    errors = np.abs(ages - np.mean(AGES)).mean(axis=1)
    limit = siam_truth_tables.LEARNED * siam_truth_tables.GUESS
    assert errors.mean() == pytest.approx(siam_truth_tables.GUESS, rel=0.01) and (errors < limit).mean() < 1e-3


def test_what_follows_the_smile_counts_onwards_alone() -> None:
    """Equal weights have ratios of 1. Weight after the smile is none on it, and all of it from the onset on."""
    smiles = np.zeros((2, 8), bool)
    smiles[0, 2:4] = smiles[1, 4:6] = True
    equal = siam_truth.on_the_smile(np.full((2, 8), 1 / 8, np.float32), smiles)
    assert equal == pytest.approx({"on_smile": 0.25, "ratio": 1, "on_onwards": 5 / 8, "onwards_ratio": 1})
    after = np.zeros((2, 8), np.float32)
    after[:, 7] = 1
    late = siam_truth.on_the_smile(after, smiles)
    assert late == pytest.approx({"on_smile": 0, "ratio": 0, "on_onwards": 1, "onwards_ratio": 8 / 5})


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
