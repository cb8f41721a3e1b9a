"""The trials with planted relations: kept one by one, and their table can be had again from what was kept."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smile.regions import PAIRS
from training import truth
from training.truth import LABELS, Trial, sequences
from training.truth_tables import READINGS, rank_of, tables

VARIANTS = ("full", "no_ri", "regional", "holistic")


def test_tables_come_again_from_the_kept_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second call trains nothing, nor counts twice what is named twice; the record of every trial is enough for the
    table."""
    options = ["--seeds", "1", "--pairs", "1", "--sequences", "64", "--epochs", "1", "--variants", *VARIANTS]
    truth.main(["--out", str(tmp_path / "run"), *options, "--labels", "additive"])
    first = capsys.readouterr().out
    kept = sorted((tmp_path / "run" / "trials").iterdir())
    times = [path.stat().st_mtime_ns for path in kept]
    truth.main(["--out", str(tmp_path / "run"), *options, VARIANTS[0], "--labels", "additive", "additive"])
    assert [path.stat().st_mtime_ns for path in kept] == times and len(kept) == len(VARIANTS)
    truth.main(["--out", str(tmp_path / "again"), "--tables", str(tmp_path / "run" / "trials.jsonl")])
    assert capsys.readouterr().out == 2 * first
    table, accuracy = json.loads((tmp_path / "again" / "truth.json").read_text())["tables"]
    assert [record["variant"] for record in accuracy["records"]] == list(VARIANTS[1:])
    assert [record["variant"] for record in table["records"]] == ["full", "no_ri"]
    for record in table["records"]:
        assert all(1 <= rank <= len(PAIRS) for reading in READINGS for rank in record[reading])


def test_every_pair_is_planted_once() -> None:
    """However many are asked for."""
    assert all(len(set(truth.plants(count))) == count for count in range(1, len(PAIRS) + 1))


@pytest.mark.parametrize("label", LABELS)
def test_no_region_but_the_planted_pair_tells_the_age(label: truth.Label) -> None:
    """Where the bumps of all other regions lie in time has nothing to do with the label."""
    pair = (0, 8)
    trial = Trial(label, pair, "full", 0, 0, 0)
    values, ages = sequences(trial, 1500, np.random.default_rng(0))
    directions = np.random.default_rng([0, 7]).normal(size=(9, truth.FEATURES)).astype(np.float32)
    bumps = np.einsum("ntrf,rf->ntr", values.numpy(), directions)
    weights = np.clip(bumps, 0, None) ** 2
    when = (weights * np.arange(weights.shape[1])[:, None]).sum(axis=1) / weights.sum(axis=1)
    lag = when[:, pair[1]] - when[:, pair[0]]
    told = abs(np.corrcoef(lag if label == "additive" else np.abs(lag), ages)[0, 1])
    others = [abs(np.corrcoef(when[:, region], ages)[0, 1]) for region in range(1, 8)]
    assert told > 0.5 and max(others) < 0.12


def test_networks_are_compared_in_one_precision_only() -> None:
    """A plant of the full network in float32 is set against float32, whatever was run in bfloat16 as well."""
    plant = {"label": "additive", "pair": [0, 1], "seed": 0, "sequences": 1, "epochs": 1}
    r2 = {("full", "float32"): 0.5, ("full", "bfloat16"): 0.9, ("holistic", "float32"): 0.4, ("regional", "other"): 0.1}
    records = [{"trial": plant | {"variant": v}, "precision": p, "r2": value} for (v, p), value in r2.items()]
    (table,) = tables(records)
    assert [(r["variant"], r["ours"], r["theirs"]) for r in table.records] == [("holistic", [0.5], [0.4])]


@given(st.permutations(range(36)), st.sampled_from(PAIRS))
def test_rank_counts_those_that_are_above(values: list[int], pair: tuple[int, int]) -> None:
    assert rank_of(pair, [float(value) for value in values]) == 36 - values[PAIRS.index(pair)]


def test_among_equals_the_rank_is_the_middle_one() -> None:
    """An importance that is uniform ranks nothing first."""
    assert rank_of(PAIRS[0], [1.0] * 36) == 19
