"""A planted lag, read from features by arithmetic."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.onsets import error_years, moment_s

TIMES = np.arange(40) / 12.5


def _region(onset_s: float, seed: int) -> np.ndarray:
    """Features at rest, which then go along one direction and come back, with noise."""
    rng = np.random.default_rng(seed)
    rest, direction = rng.normal(size=(2, 64))
    bump = np.interp(TIMES, onset_s + np.array([0, 0.3, 0.8, 1.2]), [0, 1, 1, 0])
    noise = 0.02 * rng.normal(size=(len(TIMES), 64))
    return (3 * rest + bump[:, None] * direction + noise).astype(np.float32)


@given(st.floats(0.4, 1.4), st.floats(0.0, 0.4), st.integers(0, 1000))
def test_a_later_movement_is_read_later_by_as_much(onset_s: float, lag_s: float, seed: int) -> None:
    """Whatever the face and the direction of the movement."""
    early, late = moment_s(_region(onset_s, seed), TIMES), moment_s(_region(onset_s + lag_s, seed + 1), TIMES)
    assert abs(late - early - lag_s) < 0.06


def test_what_tells_the_age_tells_it_on_other_clips_and_what_does_not_does_not() -> None:
    """A reading that is the age but for noise, one that is nothing but noise, and none at all."""
    rng = np.random.default_rng(0)
    ages, folds = rng.uniform(8, 76, 400), np.arange(400) % 5
    told, noise = ages / 100 + 0.01 * rng.normal(size=400), rng.normal(size=400)
    assert error_years(told[:, None], ages, folds)[1] > 0.99
    assert error_years(noise[:, None], ages, folds)[1] < 0.01
    years, share = error_years(told[:, None][:, :0], ages, folds)
    assert abs(years - np.abs(ages - ages.mean()).mean()) < 0.2 and abs(share) < 0.01
