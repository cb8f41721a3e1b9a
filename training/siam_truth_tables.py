"""What training.siam_truth found, as tables."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from networks.siam_config import MECHANISMS
from training.planted import AGES
from training.report import Table
from training.report import write as write_report
from training.siam_planted import AREAS

Records = Sequence[dict[str, Any]]
SMILE_SHARE = 0.25
GUESS = (AGES[1] - AGES[0]) / 4
"""Mean absolute error in years of always saying the middle."""


def where(records: Records, data_set: str) -> Table:
    """Spatial attention inside the planted area over outside, by condition and mechanism."""
    rows, numbers = [], []
    for condition in ("alone", "decoys"):
        for mechanism in MECHANISMS:
            found = _of(records, question="where", condition=condition, mechanism=mechanism)
            if not found:
                continue
            ranks = ", ".join(str(record["after"]["rank"]) for record in found)
            rows.append((f"{condition}, {mechanism}", *_cells(found), ranks))
            numbers.append({"condition": condition, "mechanism": mechanism, "runs": list(found)})
    text = (
        f"Warped faces of {data_set}; the age is written anew and planted in one area. Ratio: mean attention of the "
        "pixels inside the area over that of the other pixels of the face, each run's. Error in years on people who "
        f"were not trained on; {GUESS:.0f} is that of always saying the middle. Rank of the area among {len(AREAS)}."
    )
    columns = ("condition, mechanism", "areas", "error", "ratio", "ratio before training", "rank")
    return Table("Where", "Does spatial attention find the planted area", text, columns, tuple(rows), numbers)


def when(records: Records, data_set: str) -> Table:
    """Temporal attention on the smile over its share of the frames, by condition."""
    rows, numbers = [], []
    for condition in ("smile", "always"):
        found = _of(records, question="when", condition=condition)
        if found:
            shares = ", ".join(f"{record['after']['on_smile']:.2f}" for record in found)
            rows.append((condition, *_cells(found), shares))
            numbers.append({"condition": condition, "runs": list(found)})
    text = (
        f"Warped faces of {data_set}; a smile among frames at rest. Ratio: weight on the smile over its share of the "
        f"frames, {SMILE_SHARE:.2f}. Error in years on people who were not trained on; {GUESS:.0f} is that of always "
        "saying the middle."
    )
    columns = ("the age is told", "areas", "error", "ratio", "ratio before training", "weight on the smile")
    return Table("When", "Does temporal attention find the smile", text, columns, tuple(rows), numbers)


def write(folder: Path, about: dict[str, Any], records: Records) -> None:
    """Write siam_truth.json, .md and .html, and print the Markdown."""
    warning = "Simulated data, with a planted sign of age: nothing here says anything about the ages of people."
    made = [where(records, about["data_set"]), when(records, about["data_set"])]
    write_report(folder, "siam_truth", "Does SIAM look where the age is?", about, made, warning)
    print((folder / "siam_truth.md").read_text(encoding="utf-8"))


def _of(records: Records, **wanted: str) -> Records:
    return [record for record in records if all(record["trial"][key] == value for key, value in wanted.items())]


def _cells(found: Records) -> tuple[str, str, str, str]:
    """Areas, errors, ratios after and before training, one of each run."""

    def each(of: Callable[[dict[str, Any]], str]) -> str:
        return ", ".join(of(record) for record in found)

    ratios = each(lambda record: f"{record['after']['ratio']:.2f}")
    return (
        each(lambda record: record["trial"]["area"].replace("_", " ")),
        each(lambda record: f"{record['after']['mae_years']:.1f}"),
        f"{np.mean([record['after']['ratio'] for record in found]):.2f} ({ratios})",
        f"{np.mean([record['before']['ratio'] for record in found]):.2f}",
    )
