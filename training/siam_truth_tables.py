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

Record = dict[str, Any]
Records = Sequence[Record]
SMILE_SHARE = 0.25
GUESS = (AGES[1] - AGES[0]) / 4
"""Mean absolute error in years of always saying the middle."""
LEARNED = 0.75
"""An error below this share of GUESS counts as learned. On the sequences of one test the error of always saying the
middle varies by 7 % (standard error), so chance hardly ever comes as low."""
MARK = " †"
"""Stands behind the numbers of a network that did not learn."""
COLUMNS = (
    "areas",
    "learned",
    "error",
    "ratio before training",
    "ratio",
    "mean ratio, learned",
    "mean ratio, all",
)


def learned(record: Record) -> bool:
    """Whether the error is clearly below that of always saying the middle."""
    return bool(record["after"]["mae_years"] < LEARNED * GUESS)


def where(records: Records) -> Table:
    """Spatial attention inside the planted area over outside, by condition and mechanism."""
    rows, numbers = [], []
    for condition in ("alone", "decoys"):
        for mechanism in MECHANISMS:
            found = _of(records, question="where", condition=condition, mechanism=mechanism)
            if found:
                ranks = _each(found, lambda record: str(record["after"]["rank"]))
                rows.append((f"{condition}, {mechanism}", *_cells(found), ranks))
                numbers.append({"condition": condition, "mechanism": mechanism} | _numbers(found))
    text = (
        f"Warped faces of {_data_set(records)}; the age is written anew and planted in one area. Ratio: mean attention "
        "of the pixels inside the area over that of the other pixels of the face, each run's. "
        f"{_errors()} Rank of the area among {len(AREAS)}."
    )
    columns = ("condition, mechanism", *COLUMNS, "rank")
    return Table("Where", "Does spatial attention find the planted area", text, columns, tuple(rows), numbers)


def when(records: Records) -> Table:
    """Temporal attention on the smile, and from its onset onwards, over their shares of the frames, by condition."""
    rows, numbers = [], []
    for condition in ("smile", "always"):
        found = _of(records, question="when", condition=condition)
        if found:
            shares = _each(found, lambda record: f"{record['after']['on_smile']:.2f}")
            onwards = _each(found, lambda record: f"{record['after']['onwards_ratio']:.2f}")
            onwards_before = _each(found, lambda record: f"{record['before']['onwards_ratio']:.2f}")
            rows.append((condition, *_cells(found), shares, onwards_before, onwards))
            numbers.append({"condition": condition} | _numbers(found))
    text = (
        f"Warped faces of {_data_set(records)}; a smile among frames at rest. Ratio: weight on the smile over its "
        f"share of the frames, {SMILE_SHARE:.2f}. Onwards: the same of all frames from the first of the smile to the "
        "last of the sequence, since the states of the recurrence after the smile still carry what it told. "
        f"{_errors()}"
    )
    columns = ("the age is told", *COLUMNS, "weight on the smile", "onwards, before training", "onwards")
    return Table("When", "Does temporal attention find the smile", text, columns, tuple(rows), numbers)


def write(folder: Path, records: Records) -> None:
    """Write siam_truth.json, .md and .html, and print the Markdown."""
    warning = "Simulated data, with a planted sign of age: nothing here says anything about the ages of people."
    seconds = round(sum(record["seconds"] for record in records))
    about = {
        **records[0]["data"],
        "trials": len(records),
        "learned": sum(map(learned, records)),
        "core seconds": seconds,
    }
    write_report(
        folder, "siam_truth", "Does SIAM look where the age is?", about, [where(records), when(records)], warning
    )
    print((folder / "siam_truth.md").read_text(encoding="utf-8"))


def _of(records: Records, **wanted: str) -> Records:
    return [record for record in records if all(record["trial"][key] == value for key, value in wanted.items())]


def _data_set(records: Records) -> str:
    return str(records[0]["data"]["data_set"])


def _errors() -> str:
    return (
        f"Error in years on people who were not trained on; {GUESS:.1f} is that of always saying the middle. "
        f"{MARK.strip()} marks networks whose error is not below {LEARNED:g} of that: they did not learn, and their "
        "attention tells nothing."
    )


def _each(found: Records, of: Callable[[Record], str]) -> str:
    """One text for each run."""
    return ", ".join(of(record) + ("" if learned(record) else MARK) for record in found)


def _mean_ratio(found: Records) -> float | None:
    return float(np.mean([record["after"]["ratio"] for record in found])) if found else None


def _numbers(found: Records) -> Record:
    able = [record for record in found if learned(record)]
    means = {"mean_ratio_learned": _mean_ratio(able), "mean_ratio": _mean_ratio(found)}
    return {"learned": len(able), **means, "runs": [record | {"learned": learned(record)} for record in found]}


def _cells(found: Records) -> tuple[str, ...]:
    """Of COLUMNS."""
    numbers = _numbers(found)
    means = (numbers["mean_ratio_learned"], numbers["mean_ratio"])
    return (
        ", ".join(record["trial"]["area"].replace("_", " ") for record in found),
        f"{numbers['learned']} of {len(found)}",
        _each(found, lambda record: f"{record['after']['mae_years']:.1f}"),
        _each(found, lambda record: f"{record['before']['ratio']:.2f}"),
        _each(found, lambda record: f"{record['after']['ratio']:.2f}"),
        *("–" if mean is None else f"{mean:.2f}" for mean in means),
    )
