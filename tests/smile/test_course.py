"""The course of a smile, on curves whose phases are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from smile.course import MIN_AMPLITUDE, smile_course

RATE_HZ = 25.0


def curve(*corners: tuple[float, float], noise: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and ratios of a polyline through (second, ratio), sampled at RATE_HZ."""
    seconds, ratios = zip(*corners, strict=True)
    times = np.arange(0, seconds[-1] + 1e-9, 1 / RATE_HZ)
    wobble = np.random.default_rng(7).normal(0, noise, len(times)) if noise else 0.0
    return times, np.interp(times, seconds, ratios) + wobble


SMILE = ((0.0, 0.54), (0.6, 0.54), (1.0, 0.74), (2.4, 0.74), (2.9, 0.54), (3.6, 0.54))


@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_phases_of_a_whole_smile(noise: float) -> None:
    """Onset, apex and offset are where the corners of the curve are, give or take a share of it."""
    course = smile_course(*curve(*SMILE, noise=noise))
    assert course.has_smile
    assert course.onset_s == pytest.approx(0.62, abs=0.06)
    assert course.apex_s == pytest.approx(0.94, abs=0.06)
    assert course.offset_s == pytest.approx(2.48, abs=0.06)
    assert course.baseline == pytest.approx(0.54, abs=0.01)
    assert course.amplitude == pytest.approx(0.20, abs=0.015)


def test_what_the_clip_does_not_show_is_none() -> None:
    """A clip that starts at the apex has no onset; one that ends there has no offset."""
    falling = smile_course(*curve((0, 0.74), (1.0, 0.74), (1.4, 0.54), (2.0, 0.54)))
    assert falling.has_smile and falling.onset_s is None and falling.apex_s is None
    assert falling.offset_s == pytest.approx(1.08, abs=0.06)
    rising = smile_course(*curve((0, 0.54), (1.0, 0.54), (1.4, 0.74), (2.0, 0.74)))
    assert rising.has_smile and rising.offset_s is None
    assert rising.onset_s == pytest.approx(1.02, abs=0.06)


@pytest.mark.parametrize("height", [0.0, 0.8 * MIN_AMPLITUDE])
def test_small_movements_are_no_smile(height: float) -> None:
    """Below the threshold there is no smile and no phase, but the amplitude is told."""
    course = smile_course(*curve((0, 0.5), (1, 0.5), (1.5, 0.5 + height), (2, 0.5), (3, 0.5)))
    assert not course.has_smile
    assert (course.onset_s, course.apex_s, course.offset_s) == (None, None, None)
    assert course.amplitude == pytest.approx(height, abs=0.03)


def test_outliers_are_no_smile() -> None:
    """Two bad frames, and a smile of the whole length, do not count: nothing is seen to begin or to end."""
    times, ratios = curve((0, 0.74), (3, 0.74))
    ratios[[20, 21, 50]] = (0.3, 1.2, 1.2)
    assert not smile_course(times, ratios).has_smile


def test_bridged_and_repeated_samples_do_not_count() -> None:
    """nan where the face was bridged and repeated times of a slow clip leave the phases where they are."""
    times, ratios = curve(*SMILE)
    expected = smile_course(times, ratios)
    assert smile_course(times.repeat(3), ratios.repeat(3)) == expected
    ratios[[30, 31, 40]] = np.nan
    course = smile_course(times, ratios)
    assert (course.onset_s, course.apex_s, course.offset_s) == (expected.onset_s, expected.apex_s, expected.offset_s)


@pytest.mark.parametrize("ratios", [[], [np.nan, np.nan], [0.5], [0.5, 0.7]])
def test_too_little_to_tell(ratios: list[float]) -> None:
    """Series of no, one or two measurements are answered without a fault."""
    course = smile_course(np.arange(len(ratios)) / RATE_HZ, np.array(ratios))
    assert np.isfinite(course.amplitude)
