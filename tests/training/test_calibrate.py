"""Intervals and temperature on people whose errors are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import answer
from smile.card import AgeInterval, Card
from training.calibrate import age_interval, bounds, covers, temperature


def people(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimates drawn towards 35 and worse for the old, as networks give them; and ages, most of them of 20 to 40."""
    rng = np.random.default_rng(seed)
    ages = np.where(rng.random(count) < 0.6, rng.integers(20, 40, count), rng.integers(0, 90, count)).astype(float)
    return ages + 0.25 * (35 - ages) + rng.normal(0, 3 + 0.06 * ages), ages


def test_coverage_holds_overall_and_in_every_decade() -> None:
    """On fresh people, also of ages that are rare, the interval holds the age as often as it says."""
    interval = age_interval(*people(3000, 1))
    estimates, ages = people(20_000, 2)
    held = covers(interval, estimates, ages)
    assert held.mean() == pytest.approx(0.9, abs=0.02)
    for decade in range(9):
        assert held[ages // 10 == decade].mean() == pytest.approx(0.9, abs=0.04), decade


def test_interval_leans_away_from_the_mean() -> None:
    """An old-looking person may well be older than that, hardly younger: estimates are drawn towards the middle."""
    interval = age_interval(*people(3000, 1))
    low, high = bounds(interval, np.array([12.0, 65.0]))
    assert 12 - low[0] > high[0] - 12
    assert high[1] - 65 > 65 - low[1]


@settings(max_examples=30, deadline=None)
@given(st.integers(19, 200), st.integers(0, 1000))
def test_any_people_give_an_interval_that_the_card_can_carry(count: int, seed: int) -> None:
    """Half widths are never negative, knots ascend, and nothing is lost through JSON."""
    interval = age_interval(*people(count, seed))
    assert min(interval.below) >= 0 and min(interval.above) >= 0
    assert list(interval.ages) == sorted(set(interval.ages))
    card = Card("x", None, "x", 25.0, interval)
    assert Card.from_json(card.to_json()).age_interval == interval


@settings(max_examples=30, deadline=None)
@given(st.integers(60, 300), st.integers(0, 1000))
def test_the_order_of_people_does_not_matter(count: int, seed: int) -> None:
    """Where more people are of one age than are asked for, none is preferred for its place."""
    estimates, ages = people(count, seed)
    ages = ages // 10 * 10
    shuffled = np.random.default_rng(seed).permutation(count)
    assert age_interval(estimates, ages) == age_interval(estimates[shuffled], ages[shuffled])


def test_too_few_people_are_refused() -> None:
    """A quantile of 5 % cannot come from ten people."""
    with pytest.raises(ValueError, match="too few"):
        age_interval(*people(10, 0))


def test_bounds_are_those_of_the_service() -> None:
    """Between knots the half widths are linear, and nobody is younger than nothing; so the service answers."""
    interval = AgeInterval(0.9, (10.0, 20.0), (12.0, 4.0), (2.0, 6.0))
    low, high = bounds(interval, np.array([10.0, 15.0, 30.0]))
    assert low.tolist() == [0.0, 7.0, 26.0] and high.tolist() == [12.0, 19.0, 36.0]
    served = [answer.interval_of(years, interval) for years in (10.0, 15.0, 30.0)]
    assert [(one.low, one.high) for one in served if one] == list(zip(low, high, strict=True))


def test_temperature_undoes_overconfidence() -> None:
    """Probabilities sharpened three times are softened three times."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    female = rng.random(20_000) < 1 / (1 + np.exp(-logits))
    assert temperature(1 / (1 + np.exp(-3 * logits)), female) == pytest.approx(3.0, rel=0.08)
