"""Heads that learn from what the backbone's own head says of single frames."""

from pathlib import Path

import numpy as np
import pytest
import torch

from networks.config import NetworkConfig, Trait
from smile.tensors import MAP_CHANNELS
from training import frame_directions
from training.batches import Clips
from training.datasets import Clip, Dataset
from training.feature_store import Features, Recipe
from training.module import TraitModule
from training.optimisation import Optimisation
from training.run_config import ConfigError, from_dict
from training.still_network import FrameAnswers, FrameHead

NARROW = {"fc1": 8, "lstm": 8, "relation": (8, 8), "estimator": (8, 4)}
MEAN = np.full((9, 2048), 0.1, np.float32)
LENGTHS = {"a": 5, "b": 3}


@pytest.fixture(scope="module")
def single() -> FrameAnswers:
    torch.manual_seed(0)
    return FrameAnswers(FrameHead(), 0.5)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Features:
    """A woman of a hundred years in five instants, a boy of eight in three."""
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(1)
    for name, length in LENGTHS.items():
        np.save(folder / f"{name}.npy", rng.normal(size=(length, 9, 2048)).astype(np.float16))
    people = (("a", 100, "female"), ("b", 8, "male"))
    clips = tuple(Clip(name, Path(name), name, age, gender, "posed") for name, age, gender in people)
    return Features(Dataset("two", clips), Recipe("", "", ""), folder, {name: name for name in LENGTHS}, {})


def taught(features: Features, trait: Trait, single: FrameAnswers | None, share: float) -> Clips:
    network = NetworkConfig(trait, "full", **NARROW)
    return Clips(features, features.whole.clips, network, single=single, share=share)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_target_lies_between_label_and_frames(features: Features, single: FrameAnswers, share: float) -> None:
    """At a share of the way from the label to the mean of what is said of the instants of the clip."""
    said = [single(torch.from_numpy(np.array(features.regions(clip)))) for clip in features.whole.clips]
    years = torch.stack([age.mean() for age, _ in said])
    genders = torch.stack([gender.mean(dim=0) for _, gender in said])
    found = taught(features, "age", single, share).collate([0, 1]).target
    assert torch.allclose(found, (1 - share) * torch.tensor([100.0, 8.0]) + share * years, atol=1e-3)
    found = taught(features, "gender", single, share).collate([0, 1]).target
    labels = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert torch.allclose(found, (1 - share) * labels + share * genders, atol=1e-5)


@pytest.mark.parametrize("trait", ["age", "gender"])
def test_a_network_comes_to_say_what_the_frames_say(features: Features, trait: Trait, single: FrameAnswers) -> None:
    """After as many steps its answers are nearer to them than those of a network that learned the labels."""
    drops = {f"{name}_dropout": 0.0 for name in ("fc1", "lstm", "relation", "estimator")}
    frames = taught(features, trait, single, 1.0).collate([0, 1])
    distances = []
    for batch in (taught(features, trait, None, 0.0).collate([0, 1]), frames):
        made = TraitModule(NetworkConfig(trait, "full", **NARROW, **drops), Optimisation(rate=3e-3), 0, (40.0, 20.0))
        made.log = lambda *_, **__: None  # type: ignore[assignment]
        optimiser = made.configure_optimizers()
        for _ in range(200):
            optimiser.zero_grad()
            made.training_step(batch, 0).backward()
            optimiser.step()
        with torch.inference_mode():
            answers = made.network.answer(made(batch).float())
        distances.append(float((answers - frames.target).abs().mean()))
    assert distances[1] < distances[0] / 2


@pytest.mark.parametrize("trait", ["age", "gender"])
def test_fc1_begins_with_all_that_an_answer_depends_on(features: Features, trait: Trait, single: FrameAnswers) -> None:
    """What the head says is linear in Fc1's units where there are enough of them, and each does its share."""
    units = 2 * MAP_CHANNELS
    made = TraitModule(NetworkConfig(trait, "full", **NARROW | {"fc1": units}), Optimisation(), 0, features=(MEAN, 0.5))
    before = made.network.dynamics.fc1.layer.weight.clone()
    shown = frame_directions.sample(features, features.whole.clips * 40, seed=0)
    frame_directions.begin(made.network, single.head, shown)
    found = frame_directions.directions(single.head, trait, units)
    assert len(found) == (MAP_CHANNELS if trait == "age" else 9)
    seen = made.network.dynamics.fc1(torch.from_numpy(shown).float())[..., : 2 * len(found)]
    assert torch.allclose(seen[..., : len(found)], -seen[..., len(found) :], atol=1e-4)
    spread, mean = torch.std_mean(seen.flatten(end_dim=1), dim=0)
    assert torch.allclose(mean, torch.zeros(()), atol=1e-4) and torch.allclose(spread, torch.ones(()), atol=1e-3)
    assert torch.equal(made.network.dynamics.fc1.layer.weight[2 * len(found) :], before[2 * len(found) :])
    weight = getattr(single.head, trait).weight
    by_region = (weight - weight.mean(dim=0)).reshape(len(weight), MAP_CHANNELS, 9).permute(2, 0, 1)
    features_wide = by_region.repeat_interleave(4, dim=2).flatten(end_dim=1)
    basis = found / found.norm(dim=1, keepdim=True)
    assert torch.allclose(features_wide @ basis.T @ basis, features_wide, atol=1e-4)


def test_batch_normalisation_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    """From its share of the epochs on it takes the running statistics."""
    made = TraitModule(NetworkConfig("age", "full", **NARROW), Optimisation(epochs=4, settled=0.5), 0)
    norms = [layer for layer in made.modules() if isinstance(layer, torch.nn.BatchNorm1d)]
    for epoch in range(4):
        made.train()
        monkeypatch.setattr(TraitModule, "current_epoch", epoch)
        made.on_train_epoch_start()
        assert [layer.training for layer in norms] == [epoch < 2] * 2


def test_single_frames_are_not_distilled() -> None:
    values = {"data": "a", "split": "b", "backbone": "c", "out": "d", "trait": "age", "ablation": "image_cnn"}
    with pytest.raises(ConfigError, match="distillation"):
        from_dict(values | {"optimisation": {"distillation": 0.5}}, "x.yaml")
