"""What is drawn for a smile: phases, directions of the documented effects, round trip through JSON."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.smile_plan import SmilePlan, draw_plan


def draws(spontaneous: bool, age: float, gender: str, count: int = 300) -> list[SmilePlan]:
    return [draw_plan(age, gender, spontaneous, np.random.default_rng([seed, 7])) for seed in range(count)]


@given(st.integers(8, 76), st.booleans(), st.integers(0, 2**32))
def test_every_smile_starts_and_ends_at_rest(age: int, spontaneous: bool, seed: int) -> None:
    """Nothing moves in the first and last frame; in between the mouth rises once to a smile; lengths are UvA-NEMO's."""
    plan = draw_plan(age, "female", spontaneous, np.random.default_rng(seed))
    activity = plan.activity()
    assert np.abs(activity[[0, -1]]).max() < 1e-9
    assert activity[:, [6, 8]].mean(axis=1).max() > 0.7
    assert 0.48 < plan.rest_ratio < 0.58 < plan.apex_ratio < 0.80
    assert 1.1 <= plan.duration_s <= 14.3


def test_plan_survives_json() -> None:
    """A plan read back from simulated.json is the very same plan."""
    plan = draw_plan(33, "male", True, np.random.default_rng(1))
    assert json.dumps(asdict(SmilePlan.from_dict(json.loads(json.dumps(asdict(plan)))))) == json.dumps(asdict(plan))
    restored = SmilePlan.from_dict(json.loads(json.dumps(asdict(plan))))
    assert np.array_equal(restored.activity(), plan.activity())
    assert np.array_equal(restored.head_at(restored.times()), plan.head_at(plan.times()))


def test_documented_effects_have_their_direction() -> None:
    """Posed smiles are quicker, larger and more lopsided than spontaneous ones; older people are slower."""

    def rise(plans: list[SmilePlan]) -> float:
        return float(np.median([plan.courses[7].rise_s for plan in plans]))

    def lopsided(plans: list[SmilePlan]) -> float:
        return float(np.std([np.log(plan.courses[8].gain / plan.courses[6].gain) for plan in plans]))

    posed, spontaneous = draws(False, 40, "male"), draws(True, 40, "male")
    assert rise(posed) == pytest.approx(0.42, rel=0.1)
    assert rise(spontaneous) == pytest.approx(0.65, rel=0.1)
    assert np.mean([p.apex_ratio for p in posed]) > np.mean([p.apex_ratio for p in spontaneous]) + 0.015
    assert lopsided(posed) > 1.2 * lopsided(spontaneous)
    assert rise(draws(True, 76, "male")) > 1.4 * rise(draws(True, 8, "male"))
    assert np.mean([p.apex_ratio for p in draws(True, 40, "female")]) > np.mean([p.apex_ratio for p in spontaneous])
