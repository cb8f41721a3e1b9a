"""Which relations the networks weigh most, for groups of people, and what zeroing a region does (SPEC A5, A6)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import comb
from typing import Any

import numpy as np

from smile import ranking
from smile.ranking import Relation
from smile.regions import NAMES, PAIRS, REGIONS
from smile.tensors import GENDERS
from training import statistics
from training.datasets import age_group
from training.predictions import Prediction
from training.published import paper
from training.report import Table

TOP = 3
"""Groups of regions shown for each size; the JSON has them all."""
SIZES = range(2, len(REGIONS) + 1)
CAUTION = (
    "An importance is the weight that the network gives a pair, not the pair's measured effect on the answer: "
    "read it beside the effects of zeroing."
)


def people(items: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """Groups by true label: everybody, then the papers' age groups for age and the two genders for gender."""
    found: dict[str, list[Prediction]] = {"all": list(items)}
    of: Callable[[Prediction], str] = (lambda i: age_group(i.age)) if items[0].trait == "age" else (lambda i: i.gender)
    order = sorted(items, key=lambda item: item.age if item.trait == "age" else GENDERS.index(item.gender))
    for item in order:
        found.setdefault(of(item), []).append(item)
    return found


def relations(items: Sequence[Prediction], caption: str) -> list[Table]:
    """Mean importances of one network's test clips by group of people, and Algorithm 1 on them for every size. The
    records have their standard errors over clips and over the means of subjects.

    Args:
        items: predictions of one method for one trait; those without importance are left out.
    """
    items = [item for item in items if item.importance is not None]
    if not items:
        return []
    trait = items[0].trait
    means, records, rows = {}, [], []
    for group, members in people(items).items():
        values = np.array([item.importance for item in members], np.float64)
        means[group] = values.mean(axis=0)
        subjects = [item.subject for item in members]
        spreads = [statistics.summary(of_pair, subjects) for of_pair in values.T]
        record: dict[str, Any] = {
            "group": group,
            "n": len(members),
            "pairs": [[NAMES[a], NAMES[b]] for a, b in PAIRS],
            "importance": means[group].tolist(),
            "importance_se": [spread.se for spread in spreads],
            "importance_subject_se": [spread.subject_se for spread in spreads],
            "ranked": {},
        }
        for size in SIZES:
            ranked = ranking.rank(means[group], size)
            record["ranked"][str(size)] = [
                {**asdict(r), "regions": [NAMES[i] for i in r.regions], "importance_per_pair": _per_pair(r)}
                for r in ranked
            ]
            shown = [f"{_names(r.regions)} ({_importance(r)})" for r in ranked[:TOP]]
            rows.append((group, f"{len(members):,}", str(size), *shown, *[""] * (TOP - len(shown))))
        records.append(record)
    places = tuple(f"place {place}" for place in range(1, TOP + 1))
    ranked_table = Table(
        f"Relations, {trait}",
        "most important groups of regions (Algorithm 1), with the sum and the mean of the importances of their pairs",
        f"{caption} {CAUTION}",
        ("people", "clips", "regions in a group", *places),
        tuple(rows),
        records,
    )
    return [ranked_table, *_findings(trait, means, caption)]


def _findings(trait: str, means: dict[str, np.ndarray], caption: str) -> list[Table]:
    """Where the relations that the papers name stand in our ranking."""
    rows, records = [], []
    for finding in paper()["findings"]:
        if finding["trait"] != trait:
            continue
        wanted = finding["regions"]
        record = {**finding, "rank": None, "of": None}
        if finding["group"] in means:
            ranked = ranking.rank(means[finding["group"]], len(wanted))
            place = next(r.rank for r in ranked if _matches(wanted, r.regions))
            record |= {"rank": place, "of": len(ranked)}
        ours = f"{record['rank']} of {record['of']}" if record["rank"] else "not run"
        rows.append((finding["group"], " + ".join(wanted), finding["text"], ours))
        records.append(record)
    columns = ("people", "relation", "the papers say", "our rank")
    return [Table(f"Findings, {trait}", "relations named in the papers", caption, columns, tuple(rows), records)]


def _matches(wanted: Sequence[str], regions: Sequence[int]) -> bool:
    """Whether the ids are the names wanted; a name without side, such as "cheek", is either side's."""
    names = {NAMES[region] for region in regions}
    return all(name in names or {f"left_{name}", f"right_{name}"} & names for name in wanted)


def effects(items: Sequence[Prediction], caption: str) -> list[Table]:
    """What zeroing each region alone does to the answers and to their errors. The spread that is shown is over clips,
    the records have that over subjects too."""
    items = [item for item in items if all(name in item.zeroed for name in NAMES)]
    if not items:
        return []
    trait = items[0].trait
    scale, unit = (1.0, "years") if trait == "age" else (100.0, "percentage points")
    measured = []
    for name in NAMES:
        moved = statistics.mean(items, lambda item: abs(item.zeroed[name] - item.prediction))  # noqa: B023
        worse = statistics.mean(items, lambda item: _error(item, item.zeroed[name]) - _error(item))  # noqa: B023
        assert moved is not None and worse is not None
        measured.append((name, moved, worse))
    measured.sort(key=lambda entry: -entry[1].value)
    rows = [
        (name, *(f"{_number(m.value, scale)} ± {_number(m.se, scale)}" for m in (moved, worse)), f"{moved.n:,}")
        for name, moved, worse in measured
    ]
    records = [{"region": name, "moved": asdict(moved), "worse": asdict(worse)} for name, moved, worse in measured]
    columns = ("region set to zero", f"answer moves by ({unit})", f"error grows by ({unit})", "clips")
    title = "effect of each region's dynamics, ± standard error over clips"
    return [Table(f"Region effects, {trait}", title, caption, columns, tuple(rows), records)]


def _number(value: float | None, scale: float) -> str:
    return "?" if value is None else f"{value * scale:.2f}"


def _error(item: Prediction, prediction: float | None = None) -> float:
    """Absolute error in years, or distance of the probability from the truth."""
    if item.trait == "age":
        return item.error(prediction)
    return abs((item.prediction if prediction is None else prediction) - GENDERS.index(item.gender))


def _per_pair(relation: Relation) -> float:
    """The mean importance of the group's pairs, which does not grow with the group; 1/36 where nothing stands out."""
    return relation.importance / comb(len(relation.regions), 2)


def _importance(relation: Relation) -> str:
    alone = len(relation.regions) == 2
    return f"{relation.importance:.4f}" + ("" if alone else f", {_per_pair(relation):.4f} a pair")


def _names(regions: Sequence[int]) -> str:
    return " + ".join(NAMES[region] for region in regions)
