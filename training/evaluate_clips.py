"""The numbers of the model card: errors, accuracy and coverage of answers to clips, with bootstrap intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smile.card import AgeInterval
from smile.tensors import GENDERS
from training.calibrate import bounds, covers
from training.stills import Stills, slices

RESAMPLES = 2000
FEMALE = GENDERS.index("female")
HALF = 0.6
"""Length of the first and the last part of a clip that are compared, which overlap in a fifth of it."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Of n clips: years, probability of female, and the rows of their stills."""

    age: Floats
    female: Floats
    rows: NDArray[np.int64]

    def picked(self, mask: NDArray[np.bool_]) -> "Answers":
        return Answers(self.age[mask], self.female[mask], self.rows[mask])


def score(answers: Answers, data: Stills, interval: AgeInterval | None = None) -> dict[str, Any]:
    """MAE and bias in years, accuracy, coverage and mean width in years, the first and the shares with 95 % intervals
    by bootstrap over clips (percentiles)."""
    ages = data.age[answers.rows].astype(np.float64)
    errors = answers.age - ages
    right = (answers.female > 0.5) == (data.gender[answers.rows] == FEMALE)
    found: dict[str, Any] = {
        "n": len(errors),
        "mae": _mean(np.abs(errors)),
        "bias": round(float(errors.mean()), 3),
        "gender_accuracy": _mean(right),
    }
    if interval is not None:
        low, high = bounds(interval, answers.age)
        found["coverage"] = _mean(covers(interval, answers.age, ages))
        found["interval_width"] = round(float((high - low).mean()), 2)
    return found


def sliced(answers: Answers, data: Stills, interval: AgeInterval | None) -> dict[str, dict[str, Any]]:
    """`score` by decade, gender, gender over ten, race label and capture date."""
    return {
        kind: {name: score(answers.picked(mask), data, interval) for name, mask in masks.items() if mask.any()}
        for kind, masks in slices(data, answers.rows).items()
    }


def compare(first: Answers, second: Answers, data: Stills) -> dict[str, Any]:
    """First minus second on the same clips: MAE in years and accuracy, with 95 % intervals of the differences."""
    ages, female = data.age[first.rows].astype(np.float64), data.gender[first.rows] == FEMALE
    errors = np.abs(first.age - ages) - np.abs(second.age - ages)
    right = ((first.female > 0.5) == female).astype(float) - ((second.female > 0.5) == female)
    return {"mae": _mean(errors), "gender_accuracy": _mean(right)}


def halves(length: int) -> tuple[slice, slice]:
    """The overlapping halves of a sequence."""
    part = max(1, round(HALF * length))
    return slice(0, part), slice(length - part, length)


def _mean(values: NDArray) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    values = np.asarray(values, np.float64)
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return {"value": round(float(values.mean()), 4), "interval": [round(float(low), 4), round(float(high), 4)]}
