"""What happens in a simulated smile: how far, how fast, in which order, drawn from documented distributions.

Every number is our choice [D]. Directions follow what the literature on smile dynamics reports in words: posed smiles
start faster, are larger and more lopsided and reach the eyes less and later; spontaneous ones rise slowly and smoothly,
last longer and often waver at the apex (Cohn & Schmidt 2004; Schmidt et al. 2006; Dibeklioglu et al. 2012, 2015);
movements slow down, shrink and lose synchrony with age; women's smiles are on average somewhat larger and quicker.
Sizes of the effects are invented and moderate: nothing measured on a simulated set says anything about people.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from smile.regions import REGIONS

FRAME_RATE_HZ = 50.0
"""Of UvA-NEMO (SPEC C2)."""
HEAD_MOVES = ("x", "y", "roll", "scale", "yaw", "pitch")
HEAD_SWAY = (0.020, 0.020, 0.012, 0.010, 0.035, 0.030)
"""Standard deviation of each head move over a clip: eye distances, radians, relative scale, radians."""
HEAD_WAVES = 3
"""Each head move is a sum of this many slow sine waves."""
BLINK_S = 0.28
"""From open to open."""
EYES, CHEEKS = (0, 2), (3, 5)
FOREHEAD, NOSE, MOUTH = 1, 4, 7


@dataclass(frozen=True)
class Course:
    """One region's movement: rest, minimum-jerk rise, apex, minimum-jerk fall.

    Attributes:
        onset_s: start of the rise, from the start of the clip.
        rise_s, apex_s, fall_s: lengths of the three phases.
        gain: height relative to the whole smile.
    """

    onset_s: float
    rise_s: float
    apex_s: float
    fall_s: float
    gain: float

    def at(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height in 0..1 (before `gain`) at the given times."""
        fall_from = self.onset_s + self.rise_s + self.apex_s
        return _ease((time_s - self.onset_s) / self.rise_s) - _ease((time_s - fall_from) / self.fall_s)

    @property
    def end_s(self) -> float:
        return self.onset_s + self.rise_s + self.apex_s + self.fall_s


def _ease(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minimum-jerk step from 0 to 1."""
    p = np.clip(phase, 0.0, 1.0)
    return p**3 * (10 - 15 * p + 6 * p * p)


@dataclass(frozen=True)
class SmilePlan:
    """Everything that a clip shows beyond the still and the sensor noise.

    Attributes:
        duration_s: length of the clip.
        rest_ratio, apex_ratio: mouth-corner / outer-eye-corner distance aimed at, before the smile and at its height.
        courses: one for each region, in id order.
        waver: relative depth, cycles per second and phase of the unsteadiness at the apex.
        head: for each of HEAD_MOVES, HEAD_WAVES times (amplitude, Hz, phase).
        blinks_s: start of each blink.
        noise: standard deviation of the sensor noise in grey levels.
        light: (relative depth, Hz, phase) of the flicker of the light.
        confined: each region moves only within its own window of the aligned crop.
    """

    duration_s: float
    rest_ratio: float
    apex_ratio: float
    courses: tuple[Course, ...]
    waver: tuple[float, float, float]
    head: tuple[tuple[tuple[float, float, float], ...], ...]
    blinks_s: tuple[float, ...]
    noise: float
    light: tuple[float, float, float]
    confined: bool = False
    frame_rate_hz: float = FRAME_RATE_HZ

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Inverse of `dataclasses.asdict`, also after a round trip through JSON."""
        courses = tuple(Course(**course) for course in fields["courses"])
        return cls(**{**fields, "courses": courses})

    @property
    def frame_count(self) -> int:
        return round(self.duration_s * self.frame_rate_hz)

    def times(self) -> NDArray[np.float64]:
        """(frames,) seconds."""
        return np.arange(self.frame_count) / self.frame_rate_hz

    def activity(self) -> NDArray[np.float64]:
        """(frames, 9) how far each region has gone from rest (0) to the apex of the smile (1)."""
        time_s = self.times()
        depth, hz, phase = self.waver
        steady = 1.0 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * (hz * time_s + phase)))
        return np.stack([course.gain * course.at(time_s) * steady for course in self.courses], axis=1)

    def head_at(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """(frames, 6) state of HEAD_MOVES."""
        amplitude, hz, phase = np.moveaxis(np.array(self.head), -1, 0)
        return (amplitude * np.sin(2 * np.pi * (hz * time_s[:, None, None] + phase))).sum(-1)

    def light_at(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """(frames,) factor on the brightness."""
        depth, hz, phase = self.light
        return 1.0 + depth * np.sin(2 * np.pi * (hz * time_s + phase))

    def blinks(self) -> NDArray[np.float64]:
        """(frames,) how far the lids are closed by blinks, 0..1."""
        closed = np.zeros(self.frame_count)
        for start in self.blinks_s:
            phase = np.clip((self.times() - start) / BLINK_S, 0.0, 1.0)
            closed = np.maximum(closed, np.sin(np.pi * phase**0.7) ** 2)
        return closed


def draw_plan(age: float, gender: str, spontaneous: bool, rng: np.random.Generator) -> SmilePlan:
    """Draw a smile for a person of `age` years and `gender` ("male", "female").

    | quantity | posed | spontaneous | age (years from 40) | women |
    |---|---|---|---|---|
    | rise, median s | 0.42 | 0.65 | +0.8 % a year | -8 % |
    | apex, median s | 0.80 | 1.05 | - | +8 % |
    | fall, median s | 0.60 | 0.85 | +0.8 % a year | - |
    | mouth ratio at the apex, mean | 0.755 | 0.730 | -0.0005 a year | +0.010 |
    | left/right difference of gain, sd | 0.12 | 0.06 | - | - |
    | left/right difference of onset, sd s | 0.035 | 0.015 | grows 1 % a year | - |
    | gain of cheeks and lids, mean | 0.65 | 1.00 | -0.3 % a year | - |
    | onset of cheeks and lids after the mouth, mean s | 0.08 | 0.00 | +0.001 a year | - |
    | waver at the apex, mean depth | 0.02 | 0.08 | - | - |

    Rest ratio: 0.53 +- 0.015 for everybody.
    """
    years, woman = age - 40.0, gender == "female"
    slower = 1.0 + 0.008 * years
    unsure = max(0.5, 1.0 + 0.010 * years)
    rise = _around(0.65 if spontaneous else 0.42, 0.22, rng) * slower * (0.92 if woman else 1.0)
    hold = _around(1.05 if spontaneous else 0.80, 0.30, rng) * (1.08 if woman else 1.0)
    fall = _around(0.85 if spontaneous else 0.60, 0.22, rng) * slower
    lead = rng.uniform(0.15, 0.40)
    skew_gain = rng.normal(0.0, 0.06 if spontaneous else 0.12)
    skew_s = rng.normal(0.0, (0.015 if spontaneous else 0.035) * unsure)
    upper_gain = (1.0 if spontaneous else 0.65) * (1 - 0.003 * years)
    upper_lag = (0.0 if spontaneous else 0.08) + 0.001 * years

    courses = []
    for region in REGIONS:
        side = region.column - 1
        upper = region.id in (*EYES, *CHEEKS)
        gain = (upper_gain if upper else 1.0) * (1 + side * skew_gain / 2) * _around(1.0, 0.06, rng)
        lag = (upper_lag if upper else 0.0) + side * skew_s / 2 + rng.normal(0.0, 0.012 * unsure)
        if region.id == FOREHEAD:
            gain *= rng.uniform(-0.5, 1.0)
        pace = _around(1.0, 0.06, rng)
        courses.append(Course(max(0.02, lead + lag), rise * pace, hold, fall * pace, gain))
    end = max(course.end_s for course in courses) + rng.uniform(0.15, 0.40)
    apex_ratio = (0.730 if spontaneous else 0.755) - 0.0005 * years + (0.010 if woman else 0.0) + rng.normal(0.0, 0.02)
    return SmilePlan(
        duration_s=end,
        rest_ratio=float(np.clip(rng.normal(0.53, 0.015), 0.49, 0.57)),
        apex_ratio=float(np.clip(apex_ratio, 0.67, 0.79)),
        courses=tuple(courses),
        waver=(
            float(np.clip(rng.normal(0.08 if spontaneous else 0.02, 0.02), 0.0, 0.2)),
            rng.uniform(0.6, 1.4),
            rng.random(),
        ),
        **draw_nuisance(end, rng),
    )


def draw_nuisance(duration_s: float, rng: np.random.Generator) -> dict[str, Any]:
    """What has nothing to do with the smile: head motion, blinks, noise, light."""
    head = tuple(
        tuple(
            (sway * rng.uniform(0.4, 1.2) / HEAD_WAVES**0.5, rng.uniform(0.08, 0.6), rng.random())
            for _ in range(HEAD_WAVES)
        )
        for sway in HEAD_SWAY
    )
    blinks = tuple(np.sort(rng.uniform(0.0, duration_s, rng.poisson(0.25 * duration_s))).tolist())
    return {
        "head": head,
        "blinks_s": blinks,
        "noise": float(rng.uniform(0.8, 2.4)),
        "light": (float(rng.uniform(0.0, 0.012)), float(rng.uniform(0.3, 3.0)), float(rng.random())),
    }


def _around(median: float, spread: float, rng: np.random.Generator) -> float:
    """Log-normal draw."""
    return float(median * np.exp(rng.normal(0.0, spread)))
