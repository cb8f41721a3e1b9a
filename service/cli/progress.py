"""How far many clips are, on standard error: a bar on a terminal, a line for each clip elsewhere."""

import sys
from types import TracebackType
from typing import Self

from tqdm import tqdm

from service import schemas
from service.cli.results import Result


class Progress:
    def __init__(self, total: int, done: int) -> None:
        """`done` of the `total` clips had a row before."""
        self._bar = tqdm(total=total, initial=done, unit="clip", file=sys.stderr, disable=not sys.stderr.isatty())
        self._total = total
        self._done = done

    def show(self, result: Result) -> None:
        self._done += 1
        self._bar.update()
        if self._bar.disable:
            sys.stderr.write(f"[{self._done}/{self._total}] {summary(result)}\n")
            sys.stderr.flush()
        elif result.refusal:
            self._bar.write(summary(result), file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def summary(result: Result) -> str:
    """One line for people."""
    if result.refusal:
        return f"{result.clip}: {result.refusal.code}: {result.refusal}"
    assert result.prediction
    found = []
    if age := result.prediction.age:
        found.append(_years(age))
    if gender := result.prediction.gender:
        found.append(f"{gender.label} {gender.probability:.2f}")
    if siam := result.prediction.siam:
        found.append(f"SIAM {_years(siam.age)}")
    return f"{result.clip}: {', '.join(found)}"


def _years(age: schemas.Age | schemas.SiamAge) -> str:
    interval = f" ({age.interval.low:.0f}-{age.interval.high:.0f})" if age.interval else ""
    return f"{age.years:.0f} years{interval}"
