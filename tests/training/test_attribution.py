"""Readings of a network: what they must add up to, and that disturbing one region leaves the others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from networks.config import NetworkConfig, network_config
from networks.network import InterpreterNetwork, build
from smile.regions import NAMES, PAIRS, REGIONS
from tests.training import planted_features
from training import feature_store
from training.attribution import contributions, interactions, zeroings
from training.perturb import swap

NARROW = replace(network_config("age", "compact"), fc1=16, lstm=16, relation=(32, 32), estimator=(16, 8))


@pytest.fixture
def network() -> InterpreterNetwork:
    """Random weights, importances that differ, and batch norm that does something."""
    torch.manual_seed(0)
    made = build(NARROW)
    assert isinstance(made, InterpreterNetwork)
    torch.nn.init.normal_(made.interpreter.h.weight, std=2.0)
    made.train()
    made.interpret(torch.randn(64, 1, len(REGIONS), NARROW.lstm))
    return made.eval()


def test_contributions_of_the_pairs_add_up_to_the_answer(network: InterpreterNetwork) -> None:
    """Their sum is the answer minus that at the mean of f_agg: a decomposition, not a score."""
    dynamics = torch.randn(40, len(REGIONS), NARROW.lstm)
    parts = contributions(network, dynamics)
    with torch.no_grad():
        aggregated, _ = network.interpreter(dynamics)
        answers = network.estimator(aggregated.unsqueeze(1))[:, 0, 0]
        origin = network.estimator(aggregated.mean(dim=0).reshape(1, 1, -1))[0, 0, 0]
    assert parts.shape == (40, len(PAIRS))
    spread = float(answers.std())
    assert (parts.sum(dim=1) - (answers - origin)).abs().max() < 0.1 * spread


def test_zeroings_touch_only_their_regions(network: InterpreterNetwork) -> None:
    """Zeroing a region that is zero already changes nothing, alone or with another, and interacts with none."""
    dynamics = torch.randn(5, len(REGIONS), NARROW.lstm)
    dynamics[:, 4] = 0
    plain, alone, together = zeroings(network, dynamics)
    assert torch.allclose(alone[:, 4], plain, atol=1e-6) and not torch.allclose(alone[:, 3], plain, atol=1e-4)
    crossed = interactions(plain, alone, together)
    for place, (a, b) in enumerate(PAIRS):
        if 4 in (a, b):
            other = b if a == 4 else a
            assert torch.allclose(together[:, place], alone[:, other], atol=1e-6)
            assert crossed[:, place].abs().max() < 1e-5


def test_swapping_with_oneself_changes_nothing_and_all_regions_count(tmp_path: Path) -> None:
    """A clip's own dynamics leave the answer; a donor's move it, and the answers of both clips are the network's."""
    dataset = planted_features.make(tmp_path)
    features = feature_store.load(dataset, tmp_path / "backbone", tmp_path / "cache")
    torch.manual_seed(1)
    made = build(NARROW).eval()
    assert isinstance(made, InterpreterNetwork)
    target, donor = dataset.clips[0], dataset.clips[7]
    same = swap(made, features, target, target)
    assert all(answer == pytest.approx(same.plain, abs=1e-5) for answer in same.swapped.values())
    other = swap(made, features, target, donor)
    assert other.plain == pytest.approx(same.plain, abs=1e-4)
    assert set(other.swapped) == set(NAMES)
    assert all(answer != other.plain for answer in other.swapped.values())
    regions = torch.from_numpy(np.array(features.regions(donor)))[None]
    with torch.inference_mode():
        direct = made.answer(made(regions, torch.tensor([regions.shape[1]])).output)
    assert other.donated == pytest.approx(float(direct), abs=1e-4)


def test_holistic_network_has_nothing_to_swap(tmp_path: Path) -> None:
    """It is refused with a reason."""
    config: NetworkConfig = replace(NARROW, ablation="holistic")
    with pytest.raises(ValueError, match="no regions"):
        swap(build(config), None, None, None)  # type: ignore[arg-type]
