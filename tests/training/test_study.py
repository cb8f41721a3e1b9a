"""The whole chain in small, through the command line; and what a study does where something is wrong."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from networks.config import ABLATIONS, TRAITS
from tests.training import planted_features
from training import datasets, feature_store, features, predictions, run_config, study
from training.duplicates import DuplicatesError
from training.feature_store import FeatureError
from training.module import Optimisation
from training.protocol import Leak
from training.study_plan import PAPER, Plan, chosen_plan, parser

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {"fc1": 32, "lstm": 32, "relation": (32, 32), "estimator": (16, 16)}
SMALL = Plan(
    0,
    0,
    folds=2,
    traits=("age",),
    ablations=("full",),
    layers=LAYERS,
    optimisation=Optimisation(epochs=1),
    precision="32-true",
    frame_rate_hz=planted_features.RATE_HZ,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    planted_features.make(tmp_path, subjects=30)
    return tmp_path


def begun(folder: Path, **more: Any) -> study.Study:
    places = {name: folder / name for name in ("stills", "backbone", "cache")}
    return study.Study(SMALL, folder / "study", folder / "clips.csv", **places, **more)


def test_tiny_study_runs_from_nothing_to_tables(tmp_path: Path) -> None:
    """Simulate, cache, split, train every network of both traits, tabulate; then again, and nothing is repeated."""
    out = tmp_path / "study"
    command = [sys.executable, "-m", "training.study", "--plan", "tiny", "--out", str(out)]
    command += ["--cache", str(tmp_path / "cache")]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr[-3000:]
    files = sorted((out / "runs").rglob("predictions.jsonl"))
    assert len(files) == len(TRAITS) * len(ABLATIONS) * 2
    head, items = predictions.read(files)
    assert head.simulated and head.clips == 40
    assert len(items) == 40 * len(TRAITS) * len(ABLATIONS)
    tables = (out / "tables/tables.md").read_text()
    assert "simulated" in tables and "P0 Table 2" in tables
    assert (out / "tables/relations_age.png").stat().st_size > 10_000
    record = json.loads((out / "study.json").read_text())
    assert record["failed"] == [] and set(record["seconds"]) == {"simulation", "features", "training", "tables"}
    stamps = [path.stat().st_mtime_ns for path in files]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr[-3000:]
    assert [path.stat().st_mtime_ns for path in files] == stamps


def test_a_run_that_cannot_write_does_not_end_the_others(folder: Path) -> None:
    """A file where the folder of a run should be: that run is named, the other fold is trained and tabulated."""
    place = folder / "study/runs/age/full/0"
    place.parent.mkdir(parents=True)
    place.write_text("in the way")
    (failed,) = begun(folder).run(processes=1)
    assert failed.startswith("age full fold 0: ") and str(place) in failed
    assert (folder / "study/runs/age/full/1/predictions.jsonl").exists()
    assert (folder / "study/tables/tables.md").exists()


def test_the_papers_plan_is_the_configuration_of_that_name(tmp_path: Path) -> None:
    """The first run of --plan paper is training/configs/paper.yaml, the same folder aside; a seed goes to every run."""
    written = run_config.read(ROOT / "training/configs/paper.yaml")
    places = {name: Path(getattr(written, name)) for name in ("data", "backbone", "cache")}
    planned = study.Study(PAPER, tmp_path / "paper", stills=tmp_path, **places)
    first = planned.configs()[0]
    assert replace(first, split=written.split, out=written.out) == written
    assert len(planned.configs()) == 120
    plan = chosen_plan(parser("study", "").parse_args(["--plan", "paper", "--seed", "7", "--epochs", "3"]))
    assert plan == replace(PAPER, seed=7, optimisation=replace(PAPER.optimisation, epochs=3))


def test_the_papers_plan_wants_the_papers_backbone() -> None:
    """Without --backbone it would study the shipped one under the paper's name."""
    with pytest.raises(SystemExit, match=r"--plan paper needs --backbone: import VGG-Face with training\.vggface"):
        study.main(["--plan", "paper", "--data", "anywhere"])


def test_published_counts_are_checked_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in UvA-NEMO's layout with one clip is refused by name, or goes on to its features when that is asked."""

    def prepare(*_: object) -> None:
        raise FeatureError("features are computed")

    monkeypatch.setattr(features, "prepare", prepare)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/001_deliberate_smile_1.mp4").write_bytes(b"a clip")
    details = "001_deliberate_smile_1.mp4\t001\tmale\t30\tdeliberate"
    (tmp_path / "UvA-NEMO_Smile_Database_File_Details.txt").write_text(details)
    command = ["--data", str(tmp_path), "--backbone", "unread", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=r"FAIL subjects: 1 \(published: 400\)"):
        study.main(command)
    with pytest.raises(SystemExit, match="error: features are computed"):
        study.main([*command, "--accept-counts"])


def test_a_near_duplicate_under_another_subject_ends_a_study_unless_accepted(folder: Path) -> None:
    """The same faces in clips of two people: an error names both with their sides; a file can accept them."""
    dataset = datasets.read(folder / "clips.csv")
    found = feature_store.load(dataset, folder / "backbone", folder / "cache", SMALL.frame_rate_hz)
    first = begun(folder).split(dataset, found).folds[0]
    a, b = (next(c for c in dataset.clips if c.subject in side) for side in (first.test, first.validation))
    details = [found.folder / f"{found.digests[clip.name]}.npz" for clip in (a, b)]
    with np.load(details[0]) as one, np.load(details[1]) as other:
        np.savez(details[1], **dict(other) | {"crops": one["crops"]})
    with pytest.raises(Leak, match="the same recording on several sides") as error:
        begun(folder).split(dataset, found)
    assert f"{a.name} in test" in str(error.value) and f"{b.name} in validation" in str(error.value)
    accepted = folder / "alike.txt"
    accepted.write_text(f"# looked at\n\n{b.name} {a.name}\n")
    study_of_both = begun(folder, accept_duplicates=accepted)
    assert study_of_both.split(dataset, found).folds[0] == first
    assert study_of_both.record["accepted_duplicates"] == [sorted([a.name, b.name])]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("s00_0.mp4 s99_0.mp4", r"alike\.txt:1: clips has no clip s99_0\.mp4"),
        ("s00_0.mp4", r"alike\.txt:1: a group has two clips or more"),
        ("'s00_0.mp4 s01_0.mp4", r"alike\.txt:1: No closing quotation"),
        (None, r"alike\.txt: .*No such file"),
    ],
)
def test_accepted_duplicates_that_cannot_be_are_refused(folder: Path, line: str | None, message: str) -> None:
    """Unknown names, a group of one, an open quotation and an absent file are told with the place."""
    accepted = folder / "alike.txt"
    if line:
        accepted.write_text(line)
    dataset = datasets.read(folder / "clips.csv")
    with pytest.raises(DuplicatesError, match=message):
        begun(folder, accept_duplicates=accepted).not_accepted([], dataset)
