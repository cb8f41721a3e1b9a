"""The tables of training.truth: which reading finds the planted pair, and which networks tell the label at all."""

from typing import Any

import numpy as np

from smile.regions import PAIRS
from training.planted import LABELS
from training.report import Table
from training.statistics import paired_t

READINGS = ("importance", "contribution", "variance share", "zeroing both", "zeroing each", "interaction")
LEARNED = 0.5
OURS = "full"


def tables(records: list[dict[str, Any]]) -> list[Table]:
    """Of all trials, as training.truth keeps them."""
    return [table for table in (_readings(records), *_accuracies(records)) if table.rows]


def rank_of(pair: tuple[int, int], values: list[float]) -> int:
    """Place of the planted pair among the 36, 1 is best; among equals the middle one."""
    mine = values[PAIRS.index(pair)]
    return 1 + sum(value > mine for value in values) + sum(value == mine for value in values) // 2


def _readings(records: list[dict[str, Any]]) -> Table:
    """One row for each label and variant: accuracy, and for each reading the median rank and how often it is 1."""
    rows, numbers = [], []
    for label in LABELS:
        kinds = dict.fromkeys((r["trial"]["variant"], r["precision"]) for r in records if r["trial"]["label"] == label)
        for variant, precision in kinds:
            found = [r for r in records if _kind(r) == (label, precision, variant)]
            if "pairs" not in found[0]:
                continue
            both = sum(set(np.argsort(r["regions"])[-2:].tolist()) == set(r["trial"]["pair"]) for r in found)
            learned = sum(r["r2"] > LEARNED for r in found)
            row = [f"{label}, {variant}", precision, str(len(found)), str(learned)]
            row.append(f"{np.mean([r['r2'] for r in found]):.2f}")
            record: dict[str, Any] = {"label": label, "variant": variant, "precision": precision}
            record |= {"n": len(found), "both regions": both}
            for reading in READINGS:
                ranks = [rank_of(tuple(r["trial"]["pair"]), r["pairs"][reading]) for r in found]
                row.append(f"{np.median(ranks):.0f} ({sum(rank == 1 for rank in ranks)})")
                record[reading] = ranks
            rows.append((*row, str(both)))
            numbers.append(record | {"r2": [r["r2"] for r in found]})
    columns = (
        "label, training",
        "products in",
        "runs",
        f"R² > {LEARNED}",
        "mean R²",
        *READINGS,
        "both regions zeroed alone hurt most",
    )
    caption = "Features with a planted relation. Median rank of the planted pair among 36 (runs in which it is first). "
    caption += f"Where R² is not above {LEARNED} the network did not learn the label, and there is nothing to be read."
    return Table("Truth", "Which reading finds the planted pair", caption, columns, tuple(rows), numbers)


def _accuracies(records: list[dict[str, Any]]) -> list[Table]:
    """The full network against every other one on the same plants in the same precision; none where it was not run."""
    r2 = {(*_kind(r), *_plant(r)): r["r2"] for r in records}
    rows, numbers = [], []
    for label in LABELS:
        kinds = dict.fromkeys((r["precision"], r["trial"]["variant"]) for r in records if r["trial"]["label"] == label)
        for precision, variant in kinds:
            plants = [key[3:] for key in r2 if key[:3] == (label, precision, variant)]
            plants = [plant for plant in plants if (label, precision, OURS, *plant) in r2]
            if variant == OURS or not plants:
                continue
            ours = [r2[label, precision, OURS, *plant] for plant in plants]
            theirs = [r2[label, precision, variant, *plant] for plant in plants]
            test = paired_t(ours, theirs, "paired t, plants")
            p = "undefined" if test.p is None else f"{test.p:.1e}"
            means = [f"{np.mean(values):.3f}" for values in (ours, theirs)]
            name = f"{label}, {OURS} vs {variant}"
            rows.append((name, precision, str(len(plants)), *means, f"{test.difference:.3f}", p))
            kind = {"label": label, "variant": variant, "precision": precision}
            numbers.append(kind | {"ours": ours, "theirs": theirs, "p": test.p})
    if not rows:
        return []
    caption = "Share of the label's variance told on sequences that were not trained on. A plant is a pair and a seed; "
    caption += "both networks saw the same sequences, with products in the same precision. Two-sided paired t-test "
    caption += "over plants."
    columns = ("label, networks", "products in", "plants", f"R² of {OURS}", "R² of the other", "difference", "p")
    return [Table("Accuracy", "Which network tells a planted label", caption, columns, tuple(rows), numbers)]


def _kind(record: dict[str, Any]) -> tuple[str, str, str]:
    """Label, precision, variant."""
    return record["trial"]["label"], record["precision"], record["trial"]["variant"]


def _plant(record: dict[str, Any]) -> tuple[Any, ...]:
    trial = record["trial"]
    return tuple(trial["pair"]), trial["seed"], trial["sequences"], trial["epochs"]
