"""Scores on answers that are known, and a card whose numbers come from the report alone."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from networks import checkpoint
from networks.backbone import Backbone
from smile.card import AgeInterval, Card
from smile.regions import REGIONS
from smile.tensors import REGION_FEATURES
from training import model_card, shipped
from training.calibrate import bounds
from training.corruptions import CORRUPTIONS
from training.evaluate_clips import Answers, compare, halves, score, sliced
from training.evaluate_stills import evaluate, still_answers, weights_digest
from training.model_card import key_numbers, markdown
from training.run_config import ConfigError
from training.siam_evaluation import scores
from training.still_network import HEAD, FrameAnswers, FrameHead
from training.stills import STORED_PX, Stills
from training.weights_backbone import still_report
from training.weights_evaluation import Evaluation, drawn_stills
from training.weights_material import Material
from training.weights_shipped import Shipped, take_shipped
from training.weights_targets import targets

COUNT = 400
INTERVAL = AgeInterval(0.9, (0.0, 100.0), (5.0, 5.0), (5.0, 5.0))
SECOND_INTERVAL = AgeInterval(0.9, (0.0, 10.0), (2.5, 2.5), (3.5, 3.5))


@pytest.fixture(scope="module")
def data() -> Stills:
    rng = np.random.default_rng(0)
    ages = rng.integers(0, 90, COUNT).astype(np.float32)
    labels = [rng.integers(0, count, COUNT) for count in (2, 5)]
    dates = rng.integers(20170101, 20170120, COUNT)
    return Stills(
        np.arange(COUNT).astype(str), ages, *labels, dates, np.zeros((COUNT, 2), np.uint64), np.zeros(0, np.uint8)
    )


def answers(data: Stills, error: float, right: float) -> Answers:
    """Every age is wrong by `error` or its opposite; the first `right` of the genders are right."""
    rows = np.arange(COUNT)
    signs = np.where(rows % 2, 1, -1)
    correct = rows < right * COUNT
    return Answers(data.age + error * signs, np.where(correct == (data.gender == 1), 0.9, 0.1), rows)


def test_scores_are_those_of_the_planted_errors(data: Stills) -> None:
    """Error, bias, accuracy and coverage come out as they were put in, inside their own intervals."""
    found = score(answers(data, 4.0, 0.8), data, INTERVAL)
    assert found["mae"]["value"] == pytest.approx(4.0) and found["bias"] == pytest.approx(0.0)
    assert found["gender_accuracy"]["value"] == pytest.approx(0.8) and found["coverage"]["value"] == 1.0
    low, high = found["gender_accuracy"]["interval"]
    assert 0.74 < low < 0.8 < high < 0.86
    assert score(answers(data, 6.0, 0.8), data, INTERVAL)["coverage"]["value"] == 0.0


def test_comparison_is_paired(data: Stills) -> None:
    """A method against itself differs by nothing; against a worse one by exactly how much worse that is."""
    one, other = answers(data, 4.0, 0.9), answers(data, 5.0, 0.8)
    assert compare(one, one, data)["mae"] == {"value": 0.0, "interval": [0.0, 0.0]}
    found = compare(one, other, data)
    assert found["mae"]["value"] == pytest.approx(-1.0) and found["gender_accuracy"]["value"] == pytest.approx(0.1)


@pytest.mark.parametrize("length", [8, 61, 256])
def test_halves_overlap_and_reach_both_ends(length: int) -> None:
    """The first begins at the first instant, the last ends at the last, and they share some."""
    first, last = halves(length)
    assert first.start == 0 and last.stop == length and first.stop - first.start == last.stop - last.start
    assert 0 < first.stop - last.start < length / 2


def test_frames_of_a_video_are_told_apart_by_halves(data: Stills, tmp_path: Path) -> None:
    """A video that changes once: each half has the answer of its own frames, and the card shows both."""
    torch.manual_seed(0)
    single = FrameAnswers(FrameHead(), 1.0)
    one, other = 9 * torch.rand(2, len(REGIONS), REGION_FEATURES)
    evaluation = Evaluation(tmp_path, data, Card("n", "t", "l", 25.0, INTERVAL))
    (evaluation.videos / "features").mkdir(parents=True)
    np.save(evaluation.videos / "features" / "clip.npy", torch.stack([one] * 5 + [other] * 5).numpy())
    answer = {"age": 30.0, "female": 0.5}
    path = evaluation.videos / "videos.json"
    path.write_text(json.dumps({"clip": answer | {"halves": [answer, answer]}}))
    evaluation.wobble(single)
    videos = json.loads(path.read_text())
    before, after = single(torch.stack([one, other]))[0].tolist()
    assert abs(before - after) > 1
    found = videos["clip"]["frames_age"]
    assert found["halves"] == pytest.approx([(5 * before + after) / 6, (before + 5 * after) / 6], abs=1e-3)
    assert found["sd"] == pytest.approx(abs(before - after) / 2, abs=1e-3)
    assert " / ".join(f"{age:.1f}" for age in found["halves"]) in model_card.real_clips(videos)


def test_refused_clips_are_counted_and_not_scored(data: Stills, tmp_path: Path) -> None:
    """Stills are drawn from the rows given, the same for one seed; each answer is scored by the label of its still."""
    evaluation = Evaluation(tmp_path, data, Card("n", "t", "l", 25.0, INTERVAL))
    rows = np.arange(100, 200)
    drawn = drawn_stills(rows, 1)
    assert sorted(drawn) == list(rows) and list(drawn) != sorted(drawn)
    assert np.array_equal(drawn_stills(rows[::-1], 1), drawn)
    evaluation.still_clips.with_suffix(".txt").write_text("".join(f"{name}\n" for name in data.names[drawn]))
    age, refused = data.age[drawn] + 2.0, np.where(drawn % 10 == 0, "no_face", "")
    age[refused != ""] = np.nan
    np.savez(evaluation.still_clips, age=age, female=data.gender[drawn] * 1.0, refused=refused)
    found = evaluation._still_clips()
    assert found["n"] == 90 and found["refused"] == {"no_face": 10}
    assert found["mae"]["value"] == 2.0 and found["gender_accuracy"]["value"] == 1.0


def test_intervals_rest_on_smiles_and_on_stills_of_any_pose(data: Stills, tmp_path: Path) -> None:
    """Where stills are answered worse than smiles, the interval is wide enough for both; refused ones do not count."""
    rows = np.arange(COUNT)
    signs = np.where(rows % 2, 1, -1)
    still = data.age + 8.0 * signs
    still[::10] = np.nan
    np.savez(tmp_path / "smiles.npz", age=data.age[::4] + 2.0 * signs[::4])
    np.savez(tmp_path / "stills.npz", age=still)
    material = SimpleNamespace(data=data, parts={"calibration": rows[::-1]})
    smiles = {int(row): tmp_path / f"{row}.npz" for row in rows[::4]}
    interval = Shipped(tmp_path, cast(Material, material)).age_interval(smiles, tmp_path)
    low, high = bounds(interval, np.array([40.0]))
    assert 6.0 < 40.0 - low < 12.0 and 6.0 < high - 40.0 < 12.0


def test_what_is_shipped_is_judged_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Not in that of another run, nor in that of other graphs; the same ones go on."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "plan.json").write_text("{}")
    with pytest.raises(ConfigError, match="another run"):
        take_shipped(shipped.REPOSITORY, other)
    assert [path.name for path in other.iterdir()] == ["plan.json"]
    out = tmp_path / "out"
    backbone = take_shipped(shipped.REPOSITORY, out)
    card = Card.from_json((out / "release/card.json").read_text())
    assert checkpoint.load_backbone(backbone) and card.age_interval is None and card.report is None
    changed = Path(shutil.copytree(shipped.REPOSITORY, tmp_path / "changed"))
    graph = next(changed.glob("relations/*/*.onnx"))
    graph.write_bytes(graph.read_bytes() + b" ")
    with pytest.raises(ConfigError, match="another run"):
        take_shipped(changed, out)
    assert take_shipped(shipped.REPOSITORY, out) == backbone


def report(data: Stills) -> dict:
    """A report as weights_evaluation makes it, of planted answers."""
    exact, frames = answers(data, 4.0, 0.95), answers(data, 4.5, 0.94)
    found = {
        "provenance": {
            "split": "0123456789abcdef",
            "commit": "abc",
            "stills": {"train": 321, "test": COUNT},
            "plan": {"stills": 900, "views": 3},
            "heads": {"age": {"epochs": 6}, "gender": {"epochs": 6}},
            "smiles": {"train": 1, "test": COUNT},
            "backbone": {"images_seen": 123, "progress": 1.0},
        },
        "stills": None,
        "clips": {
            "float32": score(exact, data, INTERVAL),
            "shipped": score(exact, data, INTERVAL),
            "mean_of_frames": score(frames, data),
            "shipped_minus_float32": compare(exact, exact, data),
            "float32_minus_mean_of_frames": compare(exact, frames, data),
            "steadiness": {
                "gap_of_halves_years": 0.3,
                "gap_of_halves_by_frames_years": 0.4,
                "sd_of_frames_years": 1.0,
            },
            "corrupted": {
                name: score(frames, data, INTERVAL) | {"minus_clean": compare(frames, exact, data)}
                for name in CORRUPTIONS
            },
            "slices": sliced(exact, data, INTERVAL),
        },
        "still_clips": score(exact, data, INTERVAL)
        | {"refused": {"no_face": 3}, "slices": sliced(exact, data, INTERVAL)},
        "videos": None,
        "repository_bytes": 12_000_000,
    }
    return found | {"targets": targets(found)}


def test_targets_are_hit_missed_or_not_measured(data: Stills) -> None:
    """Each verdict follows the number; what was not measured is neither hit nor missed."""
    found = report(data)
    verdicts = {row["target"]: row["hit"] for row in found["targets"]}
    assert verdicts["clips, shipped: MAE at most 5.5 years"] is True
    assert verdicts["stills: MAE at most 5.5 years"] is None
    assert verdicts["clips: coverage of the 90 % interval within 2 points"] is False  # all are covered
    few = {row["hit"] for row in found["targets"] if row["target"].startswith("clips: 90 % in the interval")}
    assert few == {True, False}  # 30 of 30 covered may be 90 %, 41 of 41 not
    worse = copy.deepcopy(found)
    worse["clips"]["shipped"]["mae"]["value"] = 5.6
    worse["clips"]["float32_minus_mean_of_frames"]["mae"]["value"] = 0.1
    missed = {row["target"] for row in targets(worse) if row["hit"] is False}
    assert "clips, shipped: MAE at most 5.5 years" in missed
    assert any("no worse than the mean of single frames (difference" in target for target in missed)


def test_card_says_what_the_report_says(data: Stills) -> None:
    """Another number in the report is another number in the card, and the licence and limits are always there."""
    found = report(data)
    card = Card("name", "somewhere", "non-commercial research only", 25.0, INTERVAL)
    text = markdown(found, card)
    for needed in (
        "non-commercial",
        "simulated",
        "Misuse",
        "UvA-NEMO",
        "**miss**",
        "not measured",
        "| 0-9 |",
        "3 no_face",
    ):
        assert needed in text, needed
    other = copy.deepcopy(found)
    other["clips"]["shipped"]["mae"]["value"] = 7.77
    assert "7.77" not in text and "7.77" in markdown(other, card)
    assert key_numbers(other)["test_clips"]["mae"]["value"] == 7.77
    assert key_numbers(other)["still_clips"]["refused"] == {"no_face": 3}


def test_the_card_has_a_section_on_siam(data: Stills) -> None:
    """What it is worth alone and against the first network, on the same smiles; nothing about gender."""
    exact, first, stills = (answers(data, error, 0.5) for error in (6.25, 4.0, 7.75))
    found = scores(exact, exact, first, stills, data, INTERVAL) | {
        "provenance": {"network": {"stills": 1234, "smiles": {"train": 56}}, "commit": "abc"},
        "repository_bytes": 2_500_000,
    }
    assert found["minus_first_network"]["mae"]["value"] == pytest.approx(2.25)
    card = Card("name", "somewhere", "non-commercial research only", 25.0, INTERVAL)
    second = Card("siam", "somewhere", "non-commercial research only", 25.0, SECOND_INTERVAL, found)
    section = markdown(report(data), card, second).split("## SIAM")[1].split("## ")[0]
    for needed in (
        "1,234 training stills",
        "56 simulated smiles",
        "6.25",
        "movement, as shipped | 400 | 7.75",
        "2.25 (2.25 to 2.25)",
        "2.5 MB",
        "0-9",
        "Commit abc",
        "| 10 | 7.5 to 13.5 |",
    ):
        assert needed in section, needed
    assert "ccuracy" not in section and "## SIAM" not in markdown(report(data), card)


def test_the_report_on_stills_reaches_targets_and_card(data: Stills) -> None:
    """What training.evaluate_stills writes is what the targets and the card read."""
    rng = np.random.default_rng(1)
    few = replace(data, crops=rng.integers(0, 256, (4, STORED_PX, STORED_PX, 3), dtype=np.uint8))
    rows = np.arange(4)
    stills = evaluate(still_answers(Backbone().eval(), FrameHead().eval(), few.centre(rows)), few, rows)
    found = report(data) | {"stills": stills}
    found["targets"] = targets(found)
    verdicts = {row["target"]: row for row in found["targets"]}
    assert verdicts["stills: MAE at most 5.5 years"]["value"] == round(stills["clean"]["mae"], 4)
    card = Card("name", "somewhere", "non-commercial research only", 25.0, INTERVAL)
    assert f"| darkened | 4 | {stills['darkened']['mae']:.2f}" in markdown(found, card)
    assert "from 321 training stills without movement, 3 views of each" in markdown(found, card)
    assert key_numbers(found)["stills"] == stills["clean"]
    assert key_numbers(found)["backbone_views"] == 123 and key_numbers(found)["backbone_begun"] == "from scratch"


def test_an_evaluation_of_stills_without_all_corruptions_is_made_again(tmp_path: Path) -> None:
    """One that older code wrote, or that is of other weights, is not taken for that of these weights."""
    backbone, report = tmp_path / "release", tmp_path / "evaluation_test.json"
    backbone.mkdir()
    for part in (checkpoint.WEIGHTS, HEAD):
        (backbone / part).touch()
    assert still_report(backbone) is None
    whole = {"clean": {}, **{name: {} for name in CORRUPTIONS}, "weights": weights_digest(backbone)}
    report.write_text(json.dumps(whole))
    assert still_report(backbone) == whole
    report.write_text(json.dumps({"clean": {}, "weights": weights_digest(backbone)}))
    assert still_report(backbone) is None
    report.write_text(json.dumps(whole))
    (backbone / HEAD).write_bytes(b"another")
    assert still_report(backbone) is None
