"""How numbers of an evaluation are written in MODEL_CARD.md."""

from typing import Any

from smile.card import AgeInterval

Report = dict[str, Any]


def score_table(rows: list[str]) -> str:
    """Under their head, rows of `score_row`."""
    head = ["| | n | MAE | Bias | Accuracy % | Coverage % | Width |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def score_row(name: str, found: Report) -> str:
    """One score of training.evaluate_clips; coverage and width stay empty where no interval was evaluated."""
    coverage = with_interval(found["coverage"], 100, 0) if "coverage" in found else ""
    width = f"{found['interval_width']:.1f}" if "interval_width" in found else ""
    return (
        f"| {name} | {found['n']} | {with_interval(found['mae'])} | {found['bias']:+.2f} "
        f"| {with_interval(found['gender_accuracy'], 100, 1)} | {coverage} | {width} |"
    )


def with_interval(value: Report, factor: float = 1.0, digits: int = 2) -> str:
    """A value and its 95 % interval, both times `factor`."""
    low, high = (factor * bound for bound in value["interval"])
    return f"{factor * value['value']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def interval_table(interval: AgeInterval) -> str:
    """The interval around every tenth year."""
    rows = [
        f"| {age:.0f} | {max(age - below, 0):.1f} to {age + above:.1f} |"
        for age, below, above in zip(interval.ages, interval.below, interval.above, strict=True)
        if age % 10 == 0 and age <= 90
    ]
    return "\n".join(["| Estimate | Interval |", "|---|---|", *rows, ""])
