"""Planted relations: the label is in the timing of the two regions, wholly, and nowhere else."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from smile.regions import REGIONS
from training.planted import AGES, LABELS, MAX_LAG_S, Label, draw_planted_plan, lag_s, written_gender
from training.smile_plan import SmilePlan

PAIR = (2, 6)
DRAWS = 2000


@cache
def drawn(label: Label) -> tuple[NDArray[np.int64], list[SmilePlan]]:
    rng = np.random.default_rng(0)
    ages = rng.integers(AGES[0], AGES[1] + 1, DRAWS)
    return ages, [draw_planted_plan(int(age), label, PAIR, rng) for age in ages]


def parameters(plan: SmilePlan) -> dict[str, float]:
    """Every number of a plan by name."""
    numbers = {"duration": plan.duration_s, "rest": plan.rest_ratio, "apex": plan.apex_ratio, "noise": plan.noise}
    for region, course in zip(REGIONS, plan.courses, strict=True):
        for part in ("onset_s", "rise_s", "apex_s", "fall_s", "gain"):
            numbers[f"{region.name} {part}"] = getattr(course, part)
    for move, waves in enumerate(plan.head):
        for wave, values in enumerate(waves):
            numbers |= {f"head {move} {wave} {index}": value for index, value in enumerate(values)}
    return numbers | {f"light {index}": value for index, value in enumerate(plan.light)}


@pytest.mark.parametrize("label", LABELS)
def test_label_is_the_lag(label: Label) -> None:
    """The written age follows exactly from the onsets of the two regions, signed or by size, and the gender with it."""
    ages, plans = drawn(label)
    lags = np.array([plan.courses[PAIR[1]].onset_s - plan.courses[PAIR[0]].onset_s for plan in plans])
    size = lags if label == "additive" else np.abs(lags)
    assert np.allclose(size, [lag_s(int(age), label) for age in ages])
    share = size / MAX_LAG_S if label == "relational" else (size / MAX_LAG_S + 1) / 2
    assert np.array_equal(np.round(AGES[0] + share * (AGES[1] - AGES[0])), ages)
    assert {written_gender(int(age)) for age in ages[size < np.median(size) - 0.02]} == {"male"}


@pytest.mark.parametrize("label", LABELS)
def test_everything_else_is_independent_of_the_label(label: Label) -> None:
    """No other parameter, nor its square, correlates with the label beyond chance."""
    ages, plans = drawn(label)
    names = list(parameters(plans[0]))
    values = np.array([list(parameters(plan).values()) for plan in plans])
    planted = {f"{REGIONS[k].name} onset_s" for k in PAIR}
    free = [i for i, name in enumerate(names) if name not in planted and values[:, i].std() > 1e-9]
    assert len(free) > 50
    centred = values[:, free] - values[:, free].mean(axis=0)
    chance = 4.2 / DRAWS**0.5  # about 1 in 100 that any of 2 x 100 exceeds it
    for columns in (centred, centred**2):
        assert max(abs(np.corrcoef(column, ages)[0, 1]) for column in columns.T) < chance


def test_no_single_region_tells_a_relational_label() -> None:
    """The onset of either region alone explains less than 1 % of a relational label, beside sampling noise."""
    ages, plans = drawn("relational")
    for region in PAIR:
        onset = np.array([plan.courses[region].onset_s for plan in plans])
        bins = np.searchsorted(np.quantile(onset, np.linspace(0, 1, 11)[1:-1]), onset)
        explained = np.array([ages[bins == b].mean() for b in range(10)])[bins]
        assert explained.var() / ages.var() < 0.01 + 9 / DRAWS
