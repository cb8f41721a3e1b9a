"""The papers' swap of one region's dynamics, with the printed errors beside ours (P0 section 4.2)."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from smile.regions import NAMES
from training import statistics
from training.published import paper
from training.report import Table
from training.statistics import Mean
from training.swaps import Answered, Swap
from training.tables import NOT_PRINTED, NOT_RUN

PAPERS = ("P0", "P1")
DRAWN = (
    "each test clip of ages {target} with one donor of ages {donor} of the same test side, who take turns; a side "
    "without donors has no pairs"
).format(**{side: paper()["swap"][side]["group"] for side in ("target", "donor")})


def mean_shift(swaps: Sequence[Swap]) -> dict[str, Mean]:
    """Region -> mean change of the answer towards the donor's, over pairs of clips and over the targets' subjects."""
    people = [swap.subject for swap in swaps]
    return {
        name: statistics.summary([(s.swapped[name] - s.plain) * np.sign(s.donated - s.plain) for s in swaps], people)
        for name in (NAMES if swaps else ())
    }


def mean_error(swaps: Sequence[Swap]) -> dict[str | None, Mean]:
    """Region -> mean absolute error in years after the swap; None -> before it."""
    people = [swap.subject for swap in swaps]
    answers: dict[str | None, list[float]] = {None: [swap.plain for swap in swaps]}
    answers |= {name: [swap.swapped[name] for swap in swaps] for name in NAMES}
    return {
        name: statistics.summary([abs(a - s.age) for a, s in zip(found, swaps, strict=True)], people)
        for name, found in (answers.items() if swaps else ())
    }


def table(answered: Answered, caption: str) -> Table:
    """Printed regions first, then the others; a network of the papers that was not run says so."""
    printed = paper()["swap"]
    rows, records = [], []
    for method in dict.fromkeys([*(row["method"] for row in printed["rows"]), *answered]):
        lines: list[dict[str, Any]] = [row for row in printed["rows"] if row["method"] == method]
        errors, shifts = mean_error(answered.get(method, [])), mean_shift(answered.get(method, []))
        listed = {line["swapped"] for line in lines}
        lines += [{"swapped": region, "values": {}} for region in errors if region not in listed]
        for line in lines:
            region = line["swapped"]
            error, shift = errors.get(region), shifts.get(region)
            values = [line["values"].get(name) for name in PAPERS]
            texts = [NOT_PRINTED if value is None else f"{value:.2f}" for value in values]
            moved = NOT_PRINTED if region is None else _text(shift, "+")
            role = (region or "nothing", line.get("note", ""))
            rows.append((lines[0].get("name", method), *role, *texts, _text(error), moved))
            ours = {name: None if mean is None else asdict(mean) for name, mean in (("error", error), ("shift", shift))}
            records.append({"method": method, "swapped": region, "printed": line["values"], **ours})
    columns = (
        "method",
        "region of the donor",
        "role in the papers",
        *PAPERS,
        "ours",
        "answer moves towards the donor's",
    )
    ages = [printed[side]["age"] for side in ("target", "donor")]
    text = (
        f"Years. {caption} The papers' numbers are of one pair, a target of {ages[0]} and a donor of {ages[1]} years."
    )
    return Table(
        "Swap, age", "absolute error with one region's dynamics of a donor", text, columns, tuple(rows), records
    )


def _text(mean: Mean | None, sign: str = "") -> str:
    if mean is None:
        return NOT_RUN
    return f"{mean.value:{sign}.2f} ± {'?' if mean.se is None else f'{mean.se:.2f}'} ({mean.n:,})"
