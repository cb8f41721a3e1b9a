"""4253H, twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smile.smoothing import smoothed


@given(st.integers(0, 60), st.floats(-2, 2), st.floats(-0.1, 0.1))
def test_lines_stay(length: int, level: float, slope: float) -> None:
    """Constant and linear series are unchanged, ends included."""
    line = level + slope * np.arange(length)
    assert smoothed(line) == pytest.approx(line, abs=1e-12)


@pytest.mark.parametrize("at", [1, 3, 10, 17, 18])
def test_spikes_vanish(at: int) -> None:
    """A spike of one sample leaves nothing behind."""
    series = np.full(20, 0.5)
    series[at] = 9.0
    assert smoothed(series) == pytest.approx(np.full(20, 0.5))


@pytest.mark.parametrize("end", [1, -1])
def test_a_spike_on_the_end_survives(end: int) -> None:
    """Most of it stays, and up to four samples beside it change; the others are as without it."""
    series = np.full(20, 0.5)
    series[0] = 9.0
    result = smoothed(series[::end])[::end]
    assert 0.5 + 8.5 / 2 < result[0] < 9.0
    assert result[5:] == pytest.approx(np.full(15, 0.5))


def test_steps_stay_where_they_are() -> None:
    """A step keeps its place and its levels; what is rounded is beside it and small."""
    step = np.repeat([0.0, 1.0], 12)
    result = smoothed(step)
    assert ((result > 0.5) == (step > 0.5)).all()
    assert np.delete(result, [11, 12]) == pytest.approx(np.delete(step, [11, 12]), abs=0.05)
    assert result[:8] == pytest.approx(step[:8]) and result[-8:] == pytest.approx(step[-8:])


def test_tracks_are_smoothed_one_by_one() -> None:
    """Several series at once give what each gives alone."""
    tracks = np.random.default_rng(0).normal(size=(30, 4, 2)).cumsum(axis=0)
    together = smoothed(tracks)
    for track, result in zip(tracks.reshape(30, -1).T, together.reshape(30, -1).T, strict=True):
        assert np.array_equal(smoothed(track), result)
