"""The whole chain in small, through the command line; and what a study does where something is wrong."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.__main__ import main as export
from networks import checkpoint
from networks.config import ABLATIONS, TRAITS
from service.cli.main import main as smile
from smile.card import Card
from smile.sampling import MIN_SAMPLES
from smile.tensors import GENDERS
from smile.video import resample
from tests.training import planted_features
from training import (
    datasets,
    duplicates,
    feature_store,
    features,
    predictions,
    run_config,
    stills,
    study,
    study_data,
    study_release,
)
from training.accepted import Accepted
from training.duplicates import DuplicatesError
from training.feature_store import FeatureError
from training.optimisation import Optimisation
from training.protocol import Leak
from training.release_parts import provenance_of
from training.study_plan import PAPER, PLANS, Plan, chosen_plan, parser

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


def begun(folder: Path, plan: Plan = SMALL, **more: Any) -> study.Study:
    places = {name: folder / name for name in ("stills", "backbone", "cache")}
    return study.Study(plan, folder / "study", folder / "clips.csv", **places, **more)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny study from nothing, with its cache beside it."""
    out = tmp_path_factory.mktemp("tiny") / "study"
    made = subprocess.run(tiny_command(out), cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
    return out


def tiny_command(out: Path) -> list[str]:
    command = [sys.executable, "-m", "training.study", "--plan", "tiny", "--out", str(out)]
    return [*command, "--cache", str(out.parent / "cache")]


def test_tiny_study_runs_from_nothing_to_tables(tiny: Path) -> None:
    """Simulate, cache, split, train every network of both traits, tabulate; then again, and nothing is repeated."""
    files = sorted((tiny / "runs").rglob("predictions.jsonl"))
    assert len(files) == len(TRAITS) * len(ABLATIONS) * 2
    head, items = predictions.read(files)
    assert head.simulated and head.clips == 40
    assert len(items) == 40 * len(TRAITS) * len(ABLATIONS)
    tables = (tiny / "tables/tables.md").read_text()
    assert "simulated" in tables and "P0 Table 2" in tables
    assert (tiny / "tables/relations_age.png").stat().st_size > 10_000
    record = json.loads((tiny / "study.json").read_text())
    assert record["failed"] == [] and set(record["seconds"]) == {"simulation", "features", "training", "tables"}
    stamps = [path.stat().st_mtime_ns for path in files]
    second = subprocess.run(tiny_command(tiny), cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr[-3000:]
    assert [path.stat().st_mtime_ns for path in files] == stamps


def test_the_networks_of_a_study_can_be_served(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Study, release, graphs, answer: it is what the network of the fold says, and says what it was trained on."""
    release, repository = tmp_path / "release", tmp_path / "repository"
    told = ["--name", "mine", "--licence", "not to be passed on", "--out", str(release)]
    study_release.main([str(tiny), *told])
    card = Card.from_json((release / "card.json").read_text())
    assert card.age_interval is not None and card.report is not None and card.frame_rate_hz == 8.0
    _, items = predictions.read(sorted((tiny / "runs/age/full").glob("*/predictions.jsonl")))
    assert str(card.report["scores_of"]).startswith("2 networks for each trait in float32, one for each fold")
    assert card.report["age_mae_years"] == pytest.approx(np.mean([abs(i.prediction - i.age) for i in items]), abs=1e-3)
    crops = ["--calibration", str(release / "calibration.npz")]
    assert export(["--checkpoint", str(release), *crops, "--repository", str(repository)]) == 0
    tested = next(item for item in items if item.fold == 0)
    (clip,) = (tiny / "data").rglob(tested.clip)
    capsys.readouterr()
    monkeypatch.setenv("SMILE_MODEL_REPOSITORY", str(repository))
    assert smile(["predict", str(clip)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"]["trained_on"].startswith("all folds of simulated smiles, seed 0 but fold 0 (simulated")
    low, high = answer["age"]["interval"]["low"], answer["age"]["interval"]["high"]
    assert low <= answer["age"]["years"] <= high
    assert answer["age"]["years"] == pytest.approx(tested.prediction, abs=0.3)
    with pytest.raises(SystemExit, match="runs/age/full/7 is not a finished run"):
        study_release.main([str(tiny), "--fold", "7", *told])


def test_a_release_keeps_the_temperature_that_its_network_had(folder: Path) -> None:
    """The network of the fold halves its logits, and the answers of all folds are three times too sure after that: what
    is served divides by six. Of answers with odds of 27, those to the second clips of every other person are wrong. The
    card has the backbone's licence too; and where a second release into its folder fails, there is no card."""
    config = folder / "backbone/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"provenance": {"licence": "CC BY-NC"}}))
    begun(folder, replace(SMALL, traits=TRAITS)).run(processes=2)
    runs = folder / "study/runs/gender/full"
    for file in runs.glob("*/predictions.jsonl"):
        head, items = predictions.read([file])
        wrong = [int(item.subject[1:]) % 2 == 1 and item.clip.endswith("_1.mp4") for item in items]
        sure = [(item.gender == "female") != missed for item, missed in zip(items, wrong, strict=True)]
        answers = [replace(item, prediction=(1, 27)[female] / 28) for item, female in zip(items, sure, strict=True)]
        predictions.write(file, head, answers)
    network = checkpoint.load_network(runs / "0/network")
    network.answer.temperature.fill_(2.0)
    checkpoint.save(network, runs / "0/network", provenance_of(runs / "0"))
    study_release.write(folder / "study", 0, "mine", "not to be passed on", folder / "release")
    served = checkpoint.load_network(folder / "release/gender").answer
    logits = torch.tensor([0.0, 2 * math.log(27)])
    assert float(served(logits)[GENDERS.index("female")]) == pytest.approx(0.75, abs=0.01)
    card = folder / "release/card.json"
    assert json.loads(card.read_text())["licence"] == "not to be passed on; backbone begun with weights under CC BY-NC"
    (folder / "release/age/weights.safetensors").unlink()
    (folder / "release/age/weights.safetensors").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        study_release.write(folder / "study", 1, "another", "not to be passed on", folder / "release")
    assert not card.exists()


@pytest.mark.parametrize("blocked", [(0,), (0, 1)])
def test_a_run_that_cannot_write_does_not_end_the_others(folder: Path, blocked: tuple[int, ...]) -> None:
    """A file where the folder of a run should be: that run is named, the other fold is trained and tabulated; without
    any there are no tables."""
    places = [folder / f"study/runs/age/full/{fold}" for fold in blocked]
    places[0].parent.mkdir(parents=True)
    for place in places:
        place.write_text("in the way")
    failed = begun(folder).run(processes=1)
    for fold, place, problem in zip(blocked, places, sorted(failed), strict=True):
        assert problem.startswith(f"age full fold {fold}: ") and str(place) in problem
    assert json.loads((folder / "study/study.json").read_text())["failed"] == failed
    whole = len(blocked) == 1
    assert (folder / "study/runs/age/full/1/predictions.jsonl").exists() == whole
    assert (folder / "study/tables/tables.md").exists() == whole


def test_the_papers_plan_is_the_configuration_of_that_name(tmp_path: Path) -> None:
    """The first run of --plan paper is training/configs/paper.yaml, on the folds of that study, the output aside; a
    seed goes to every run."""
    written = run_config.read(ROOT / "training/configs/paper.yaml")
    places = {name: Path(getattr(written, name)) for name in ("data", "backbone", "cache")}
    planned = study.Study(PAPER, tmp_path / "study-paper", stills=tmp_path, **places)
    first = planned.configs()[0]
    assert replace(first, split=f"runs/{Path(first.split).relative_to(tmp_path)}", out=written.out) == written
    assert len(planned.configs()) == 120
    plan = chosen_plan(parser("study", "").parse_args(["--plan", "paper", "--seed", "7", "--epochs", "3"]))
    assert plan == replace(PAPER, seed=7, optimisation=replace(PAPER.optimisation, epochs=3))


@pytest.mark.parametrize("plan", PLANS)
def test_uva_nemos_shortest_clips_are_long_enough_for_every_plan(plan: str) -> None:
    """1.1 s at 50 frames a second give as many instants as a network wants."""
    frames = ((number / 50, None) for number in range(55))
    instants = sum(len(found) for found, _, _ in resample(frames, PLANS[plan].frame_rate_hz))
    assert instants >= MIN_SAMPLES


@pytest.mark.skipif(not stills.ARCHIVE.exists(), reason="the labelled stills lie beside the checkout")
def test_stills_that_the_backbone_knows_are_left_out(tmp_path: Path) -> None:
    """Whatever their archive is called; others are taken as they are."""
    (tmp_path / "elsewhere.zip").symlink_to(stills.ARCHIVE)
    assert study_data.parts_of(tmp_path / "elsewhere.zip") == ["--parts", *study_data.HELD_OUT]
    (tmp_path / "own").mkdir()
    (tmp_path / "own/35_1_anna.jpg").touch()
    assert study_data.parts_of(tmp_path / "own") == []


def test_the_papers_plan_wants_the_papers_backbone() -> None:
    """Without --backbone it would study the shipped one under the paper's name."""
    with pytest.raises(SystemExit, match=r"--plan paper needs --backbone: import VGG-Face with training\.vggface"):
        study.main(["--plan", "paper", "--data", "anywhere"])


def test_stills_beside_data_are_refused() -> None:
    """They would be ignored."""
    with pytest.raises(SystemExit, match="error: --stills are to simulate data from: leave out --data, or them"):
        study.main(["--data", "anywhere", "--stills", "elsewhere"])


def test_labels_are_checked_before_anything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in UvA-NEMO's layout with one clip is refused by its counts and, where those are accepted, by its folds;
    an absent file of accepted duplicates is told before the features too."""

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
    with pytest.raises(SystemExit, match="error: 1 subjects are too few for 10 folds"):
        study.main([*command, "--accept-counts"])
    lines = "".join(f"{n:03d}_deliberate_smile_1.mp4\t{n:03d}\tmale\t30\tdeliberate\n" for n in range(40))
    (tmp_path / "UvA-NEMO_Smile_Database_File_Details.txt").write_text(lines)
    for number in range(40):
        (tmp_path / f"videos/{number:03d}_deliberate_smile_1.mp4").write_bytes(b"a clip")
    with pytest.raises(SystemExit, match=r"error: .*absent\.txt: .*No such file"):
        study.main([*command, "--accept-counts", "--accept-duplicates", str(tmp_path / "absent.txt")])
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
    with pytest.raises(
        Leak, match="what looks like one recording .* set on stills in the wild.* --accept-dup"
    ) as error:
        begun(folder).split(dataset, found)
    assert f"{a.name} in test" in str(error.value) and f"{b.name} in validation" in str(error.value)
    written = folder / "study/alike.txt"
    assert written.read_text() == f"{' '.join(sorted([a.name, b.name]))}\n"
    accepted = folder / "accepted.txt"
    accepted.write_text(f"# looked at\n\n{written.read_text()}")
    study_of_both = begun(folder, accepted=Accepted(duplicates=accepted))
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
        duplicates.read_accepted(accepted, dataset)
