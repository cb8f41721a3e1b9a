"""What the papers print, and whether a loaded data set is the one that they describe (SPEC A8)."""

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import yaml

from training.datasets import YOUNG_MAX, Dataset

TABLES = Path(__file__).with_name("paper_tables.yaml")
DECADE_YEARS = 10
BACKBONE = "VGG-Face"
"""How the source of a backbone begins whose weights are the papers'."""


class Labelled(Protocol):
    """A clip or a prediction of one."""

    @property
    def age(self) -> int: ...
    @property
    def kind(self) -> str: ...


@dataclass(frozen=True)
class Check:
    """One published count against the data set's own."""

    name: str
    published: int
    found: int

    @property
    def passed(self) -> bool:
        return self.published == self.found

    def __str__(self) -> str:
        verdict = "as published" if self.passed else f"published: {self.published:,}"
        return f"{'ok  ' if self.passed else 'FAIL'} {self.name}: {self.found:,} ({verdict})"


class CountsDiffer(ValueError):
    """A data set that is not the published one; the message lists the checks that fail."""


@cache
def paper() -> dict[str, Any]:
    """The file of printed numbers."""
    tables: dict[str, Any] = yaml.safe_load(TABLES.read_text(encoding="utf-8"))
    return tables


def decade(age: int) -> str:
    """Label of the decade, such as "20-29"."""
    first = age // DECADE_YEARS * DECADE_YEARS
    return f"{first}-{first + DECADE_YEARS - 1}"


def cell(item: Labelled) -> str:
    """Label of the column of P0 Table 5, such as "posed_to_19"."""
    return f"{item.kind}_{'to' if item.age <= YOUNG_MAX else 'over'}_{YOUNG_MAX}"


def check_counts(dataset: Dataset, published_as: str | None = None) -> list[Check]:
    """Compare clips, subjects, genders, kinds, cells and decades with the published counts.

    Args:
        published_as: a key of `counts` in paper_tables.yaml; the data set's own name where absent.

    Raises KeyError where nothing is published under that name.
    """
    expected: dict[str, Any] = dict(paper()["counts"][published_as or dataset.name])
    genders = Counter(clips[0].gender for clips in dataset.subjects.values())
    ages = [clip.age for clip in dataset.clips]
    found: Counter[str] = Counter(cell(clip) for clip in dataset.clips)
    found |= Counter(f"{clip.kind}_clips" for clip in dataset.clips)
    found |= Counter({f"{gender}_subjects": count for gender, count in genders.items()})
    found["clips"], found["subjects"] = len(dataset.clips), len(dataset.subjects)
    found["youngest"], found["oldest"] = min(ages), max(ages)
    decades = expected.pop("decades", {})
    checks = [Check(name.replace("_", " "), value, found[name]) for name, value in expected.items()]
    in_decade = Counter(decade(age) for age in ages)
    labels = [*decades, *sorted(set(in_decade) - set(decades))] if decades else []
    return checks + [Check(f"clips of ages {label}", decades.get(label, 0), in_decade[label]) for label in labels]


def check(dataset: Dataset, accept: bool = False) -> None:
    """Print the counts of a data set beside those published under its name, if there are any.

    Raises CountsDiffer, unless that is accepted.
    """
    if dataset.name in paper()["counts"]:
        checks = check_counts(dataset)
        print(*checks, sep="\n", flush=True)
        if not accept:
            require(checks)


def add_counts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accept-counts", action="store_true", help="go on where the published counts are not met")


def require(checks: Iterable[Check]) -> None:
    """Raises CountsDiffer, naming every check that fails."""
    failed = [str(check) for check in checks if not check.passed]
    if failed:
        raise CountsDiffer("the data set differs from the published one:\n  " + "\n  ".join(failed))
