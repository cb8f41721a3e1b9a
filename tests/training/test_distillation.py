"""Heads that learn from what the backbone's own head says of single frames."""

import pytest
import torch

from networks.config import NetworkConfig, Trait
from training.batches import Batch
from training.module import TraitModule
from training.optimisation import Optimisation
from training.run_config import ConfigError, from_dict
from training.still_network import FrameAnswers, FrameHead

NARROW = {"fc1": 8, "lstm": 8, "relation": (8, 8), "estimator": (8, 4)}
LENGTHS = (5, 3)


@pytest.fixture(scope="module")
def single() -> FrameAnswers:
    torch.manual_seed(0)
    return FrameAnswers(FrameHead(), 0.5)


def batch(trait: Trait) -> Batch:
    """A clip of five instants, the first one twice, and one of three, with padding of which a head could say much."""
    inputs = torch.randn(2, 5, 9, 2048, generator=torch.Generator().manual_seed(1)).half()
    target = torch.tensor([100.0, 8.0]) if trait == "age" else torch.tensor([1, 0])
    place = torch.tensor([[0, 0, 2, 1, 4], [2, 1, 3, 0, 0]])
    return Batch(inputs, place, torch.tensor(LENGTHS), target, torch.arange(2))


def module(trait: Trait, share: float, single: FrameAnswers) -> TraitModule:
    return TraitModule(NetworkConfig(trait, "full", **NARROW), Optimisation(distillation=share), 0, single=single)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_target_lies_between_label_and_frames(single: FrameAnswers, share: float) -> None:
    """At a share of the way from the label to the mean over the instants of the clip, not over its padding."""
    frames = batch("age").sequences()
    said = [single(frames[row, :length]) for row, length in enumerate(LENGTHS)]
    years = torch.stack([age.mean() for age, _ in said])
    genders = torch.stack([gender.mean(dim=0) for _, gender in said])
    found = module("age", share, single)._target(batch("age"))
    assert torch.allclose(found, (1 - share) * torch.tensor([100.0, 8.0]) + share * years, atol=1e-3)
    found = module("gender", share, single)._target(batch("gender"))
    labels = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    wanted = (1 - share) * labels + share * genders if share else torch.tensor([1, 0])
    assert torch.allclose(found.float(), wanted.float(), atol=1e-5)


@pytest.mark.parametrize("trait", ["age", "gender"])
def test_a_network_comes_to_say_what_the_frames_say(trait: Trait, single: FrameAnswers) -> None:
    """After as many steps its answers are nearer to them than those of a network that learned the labels."""
    drops = {f"{name}_dropout": 0.0 for name in ("fc1", "lstm", "relation", "estimator")}
    distances = []
    for share in (0.0, 1.0):
        plan = Optimisation(rate=3e-3, distillation=share)
        made = TraitModule(NetworkConfig(trait, "full", **NARROW, **drops), plan, 0, (40.0, 20.0), single=single)
        made.log = lambda *_, **__: None  # type: ignore[assignment]
        optimiser = made.configure_optimizers()
        for _ in range(200):
            optimiser.zero_grad()
            made.training_step(batch(trait), 0).backward()
            optimiser.step()
        with torch.inference_mode():
            answers = made.network.answer(made(batch(trait)).float())
        distances.append(float((answers - module(trait, 1.0, single)._target(batch(trait))).abs().mean()))
    assert distances[1] < distances[0] / 2


def test_single_frames_are_not_distilled() -> None:
    values = {"data": "a", "split": "b", "backbone": "c", "out": "d", "trait": "age", "ablation": "image_cnn"}
    with pytest.raises(ConfigError, match="distillation"):
        from_dict(values | {"optimisation": {"distillation": 0.5}}, "x.yaml")
