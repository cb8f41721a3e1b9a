"""Tukey's 4253H smoother, twice: what the smile literature smooths landmark tracks with (Pei et al., SPEC B3)."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

MIN_LENGTH = 5
"""Shorter series are returned as they are."""


def smoothed(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth by 4253H, then add the residuals smoothed in the same way.

    Running medians of span 4, 2, 5 and 3 remove spikes of one sample and keep steps; Hanning rounds what is left.
    Constant series stay as they are, and so do those that rise by as much from each sample to the next. A spike on the
    very first or very last sample survives, though it gets smaller, and spreads to the four samples beside it: the end
    itself is kept through the medians, and the end rule compares it with its neighbours only after them.

    Args:
        series: (T, ...) float64, in order of time along the first axis, finite; each series is smoothed by itself.
            Neighbours count as equally far apart, also across a gap.

    Returns:
        (T, ...) float64.
    """
    if len(series) < MIN_LENGTH:
        return series.copy()
    once = _4253h(series)
    return once + _4253h(series - once)


def _4253h(y: NDArray[np.float64]) -> NDArray[np.float64]:
    between = np.concatenate([_median(y[:2]), _medians(y, 4), _median(y[-2:])])  # at the half steps
    y = np.concatenate([y[:1], (between[:-1] + between[1:]) / 2, y[-1:]])
    y = np.concatenate([y[:1], _median(y[:3]), _medians(y, 5), _median(y[-3:]), y[-1:]])
    y = np.concatenate([y[:1], _medians(y, 3), y[-1:]])
    y[0] = np.median([y[0], y[1], 3 * y[1] - 2 * y[2]], axis=0)
    y[-1] = np.median([y[-1], y[-2], 3 * y[-2] - 2 * y[-3]], axis=0)
    return np.concatenate([y[:1], y[:-2] / 4 + y[1:-1] / 2 + y[2:] / 4, y[-1:]])


def _median(y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.median(y, axis=0, keepdims=True))


def _medians(y: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    return np.asarray(np.median(sliding_window_view(y, span, axis=0), axis=-1))
