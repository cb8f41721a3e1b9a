"""Split-conformal age intervals and the temperature of the gender, from clips not trained on.

An interval around an estimate e holds the ages of whom such an estimate would not surprise: those y for which e lies
between the 5 % and the 95 % quantile of the estimates of calibration clips of people about that old. So coverage is
asked for at every age, as far as people of neighbouring ages are alike, and not on average only (Mondrian, or
label-conditional, conformal prediction: Vovk 2012), and the interval leans towards the ages that the estimate is drawn
away from.
"""

import numpy as np
from numpy.typing import NDArray

from smile.card import AgeInterval

Floats = NDArray[np.float64]
COVERAGE = 0.9
KNOT_YEARS = 2.5
"""Distance of the estimated ages at which the half widths are stored."""
NEIGHBOURS = 60
"""Calibration clips, nearest in age and whoever is as near, that give the quantiles at one age; at least ..."""
NEIGHBOUR_SHARE = 0.08
"""... this share of all of them."""
TEMPERATURES = np.geomspace(0.1, 10.0, 401)


def age_interval(estimates: Floats, ages: Floats, coverage: float = COVERAGE) -> AgeInterval:
    """Half widths as functions of the estimate.

    Args:
        estimates, ages: (n,) years, of the calibration clips.

    Raises:
        ValueError: too few clips for any quantile.
    """
    grid = np.arange(np.floor(ages.min()), np.ceil(ages.max()) + KNOT_YEARS, KNOT_YEARS)
    low, high = _usual_estimates(grid, estimates, ages, coverage)
    knots = np.arange(0.0, 100.0 + KNOT_YEARS, KNOT_YEARS)
    youngest, oldest = _ages_reaching(knots, high, grid), _ages_reaching(knots, low, grid)
    below, above = np.maximum(knots - youngest, 0.0), np.maximum(oldest - knots, 0.0)
    return AgeInterval(coverage, *(tuple(np.round(values, 3).tolist()) for values in (knots, below, above)))


def _usual_estimates(grid: Floats, estimates: Floats, ages: Floats, coverage: float) -> tuple[Floats, Floats]:
    """Lowest and highest estimate that does not surprise, of people as old as each age of `grid`; neither falls."""
    count = min(max(NEIGHBOURS, round(NEIGHBOUR_SHARE * len(ages))), len(ages))
    if _rank(count, coverage) < 1:
        raise ValueError(f"{len(ages)} calibration clips are too few for a coverage of {coverage}")
    errors = estimates - ages
    low, high = np.empty(len(grid)), np.empty(len(grid))
    for place, age in enumerate(grid):
        distances = np.abs(ages - age)
        near = np.sort(errors[distances <= np.partition(distances, count - 1)[count - 1]])
        rank = _rank(len(near), coverage)
        low[place], high[place] = age + near[rank - 1], age + near[-rank]
    # Wider where the estimates of neighbouring ages cross, so that both can be inverted.
    return np.minimum.accumulate(low[::-1])[::-1], np.maximum.accumulate(high)


def _rank(count: int, coverage: float) -> int:
    """Which of `count` estimates, from either end, bounds what does not surprise; 0 where there are too few."""
    return int(np.floor((count + 1) * (1 - coverage) / 2 + 1e-9))


def _ages_reaching(estimates: Floats, curve: Floats, grid: Floats) -> Floats:
    """The ages at which `curve`, over the ages of `grid`, comes to each of `estimates`."""
    rising = curve + 1e-6 * np.arange(len(grid))
    return np.interp(estimates, rising, grid)


def bounds(interval: AgeInterval, estimates: Floats) -> tuple[Floats, Floats]:
    """Lowest and highest age of each interval, as the service gives them."""
    below = np.interp(estimates, interval.ages, interval.below)
    above = np.interp(estimates, interval.ages, interval.above)
    return np.maximum(estimates - below, 0.0), estimates + above


def covers(interval: AgeInterval, estimates: Floats, ages: Floats) -> NDArray[np.bool_]:
    """(n,) whether the age, which is given in whole years, lies in the interval.

    Somebody of 34 is anything up to 35; the label 34 counts where the interval holds 34 itself.
    """
    low, high = bounds(interval, estimates)
    return np.asarray((low <= ages) & (ages <= high))


def temperature(female: Floats, is_female: NDArray[np.bool_]) -> float:
    """By which the logits of these probabilities are to be divided to make the labels most likely: on top of a
    temperature that they have already."""
    logits = np.log(np.clip(female, 1e-7, 1 - 1e-7)) - np.log(np.clip(1 - female, 1e-7, 1 - 1e-7))
    wrong_way = np.where(is_female, -logits, logits)
    losses = [np.logaddexp(0.0, wrong_way / value).mean() for value in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])
