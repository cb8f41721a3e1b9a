"""Planted relations: only the timing between two regions carries the label, so the right interpretation is known.

Every region makes its own local movement, equally large, at its own random time. The label sets the lag between the
onsets of regions a and b:

| label | lag of b behind a | what one region alone tells |
|---|---|---|
| additive | MAX_LAG_S * (age - 42) / 34, signed | a little: each onset is half a lag from the midpoint |
| relational | MAX_LAG_S * (age - 8) / 68, sign drawn anew for each clip | next to nothing (R^2 < 0.01) |

The age written in the details file is that number, and the gender its upper half ("female" where the written age is 42
or more), so that both traits are planted. Neither has anything to do with the person on the still.
"""

from typing import Literal, get_args

import numpy as np

from smile.regions import REGIONS
from training.smile_plan import Course, SmilePlan, draw_nuisance

Label = Literal["additive", "relational"]
LABELS: tuple[Label, ...] = get_args(Label)
AGES = (8, 76)
"""Youngest and oldest subject of UvA-NEMO."""
MAX_LAG_S = 0.4
MIDDLE_S, SPREAD_S = 1.2, 0.4
"""Mean and standard deviation of every onset, whatever the lag: wide against it, so one onset does not show it."""
FIRST_S, LAST_S = 0.2, 2.2
"""Bounds of the onsets."""
RISE_S, APEX_S, FALL_S = 0.30, 0.50, 0.40
DURATION_S = LAST_S + RISE_S + APEX_S + FALL_S + 0.2


def lag_s(age: int, label: Label) -> float:
    """The planted lag of a written age: signed if additive, its size if relational."""
    low, high = AGES
    share = (age - low) / (high - low)
    return MAX_LAG_S * (2 * share - 1 if label == "additive" else share)


def written_gender(age: int) -> str:
    """The planted gender: which half of the lags it is."""
    return "female" if 2 * age >= sum(AGES) else "male"


def draw_planted_plan(age: int, label: Label, pair: tuple[int, int], rng: np.random.Generator) -> SmilePlan:
    """Draw a clip in which the onsets of the regions `pair` lie `lag_s(age, label)` apart.

    Every other onset is one of such a pair of its own, for an age drawn at random: no region stands out by itself.
    """
    onsets = {}
    for region in REGIONS:
        onsets[region.id], _ = _pair_of_onsets(int(rng.integers(AGES[0], AGES[1] + 1)), label, rng)
    onsets[pair[0]], onsets[pair[1]] = _pair_of_onsets(age, label, rng)
    courses = tuple(
        Course(
            onsets[region.id],
            RISE_S * float(np.exp(rng.normal(0.0, 0.1))),
            APEX_S * float(np.exp(rng.normal(0.0, 0.1))),
            FALL_S * float(np.exp(rng.normal(0.0, 0.1))),
            float(np.exp(rng.normal(0.0, 0.1))),
        )
        for region in REGIONS
    )
    calm = draw_nuisance(DURATION_S, rng) | {"blinks_s": ()}
    return SmilePlan(
        duration_s=DURATION_S,
        rest_ratio=0.53,
        apex_ratio=0.70,
        courses=courses,
        waver=(0.0, 1.0, 0.0),
        confined=True,
        **calm,
    )


def _pair_of_onsets(age: int, label: Label, rng: np.random.Generator) -> tuple[float, float]:
    lag = lag_s(age, label) * (1 if label == "additive" else int(rng.choice((-1, 1))))
    while True:
        midpoint = rng.normal(MIDDLE_S, (SPREAD_S**2 - lag**2 / 4) ** 0.5)
        onsets = midpoint - lag / 2, midpoint + lag / 2
        if FIRST_S <= min(onsets) and max(onsets) <= LAST_S:
            return onsets
