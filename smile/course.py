"""The course of a smile, from how far apart the mouth corners are (`smile.faces.mouth_ratio`).

Times mark where the three phases begin that the literature divides a smile into: onset, apex, offset.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smile.smoothing import smoothed

Floats = NDArray[np.float64]
MIN_AMPLITUDE = 0.10
"""Least rise of the mouth ratio above rest that counts as a smile. Broad smiles of real clips rise by 0.19 to 0.24,
talking moves the ratio by up to 0.08."""
REST_QUANTILE = 0.05
"""Rest is this quantile of the smoothed ratio: low, since a clip may be mostly smile; not the least,
which is a pout."""
ONSET_SHARE, APEX_SHARE = 0.1, 0.8
"""Shares of the amplitude between which the face is rising or falling. A held smile wavers by a tenth of it."""


@dataclass(frozen=True)
class SmileCourse:
    """The largest smile of a clip. Times are seconds from the first frame, None for what the clip does not show.

    Attributes:
        has_smile: the ratio rises above rest by at least MIN_AMPLITUDE. A face that smiles alike from the first frame
            to the last has none: nothing is seen to move.
        onset_s: where the mouth begins to widen: the last moment at rest.
        apex_s: where it has widened and is held.
        offset_s: where it begins to relax: the last moment at the apex.
        baseline: ratio at rest, nan where it was never measured.
        amplitude: highest ratio above rest, 0 where it was never measured; given also where it is too small for a
            smile.
    """

    has_smile: bool
    onset_s: float | None
    apex_s: float | None
    offset_s: float | None
    baseline: float
    amplitude: float


def mouth_curve(times_s: Floats, mouth_ratios: Floats) -> tuple[Floats, Floats]:
    """(T,) times and ratios as `smile_course` takes them -> those of the frames in which it was measured, the ratios
    smoothed in their order, whatever the time between them: the curve that is judged and drawn."""
    fresh = np.isfinite(mouth_ratios) & np.diff(times_s, prepend=-np.inf).astype(bool)
    return times_s[fresh], smoothed(mouth_ratios[fresh])


def smile_course(times_s: Floats, mouth_ratios: Floats) -> SmileCourse:
    """Find the course of the largest smile.

    Args:
        times_s: (T,) ascending; equal ones, from a frame that stands for several instants, count once.
        mouth_ratios: (T,) nan where not measured.
    """
    times, ratios = mouth_curve(times_s, mouth_ratios)
    if not len(ratios):
        return SmileCourse(False, None, None, None, float("nan"), 0.0)
    baseline = float(np.quantile(ratios, REST_QUANTILE))
    peak = int(ratios.argmax())
    amplitude = float(ratios[peak]) - baseline
    if amplitude < MIN_AMPLITUDE:
        return SmileCourse(False, None, None, None, baseline, amplitude)
    risen = ratios >= baseline + ONSET_SHARE * amplitude
    held = ratios >= baseline + APEX_SHARE * amplitude
    rest_before, rising_before = np.flatnonzero(~risen[:peak]), np.flatnonzero(~held[:peak])
    falling_after = np.flatnonzero(~held[peak:])
    return SmileCourse(
        True,
        onset_s=float(times[rest_before[-1]]) if len(rest_before) else None,
        apex_s=float(times[rising_before[-1] + 1]) if len(rising_before) else None,
        offset_s=float(times[peak + falling_after[0] - 1]) if len(falling_after) else None,
        baseline=baseline,
        amplitude=amplitude,
    )
