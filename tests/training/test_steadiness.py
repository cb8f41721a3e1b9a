"""Excerpts of clips, and networks that learn to answer them as the whole."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from networks.config import NetworkConfig, Trait
from training.batches import Batch, excerpts
from training.module import Optimisation, TraitModule
from training.run_config import ConfigError, from_dict

NARROW = {"fc1": 8, "lstm": 8, "relation": (8, 8), "estimator": (8, 4)}
DROPS = {f"{name}_dropout": 0.0 for name in ("fc1", "lstm", "relation", "estimator")}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 2**31))
def test_an_excerpt_is_an_unbroken_half_or_more(lengths: list[int], seed: int) -> None:
    """Instants follow each other as in the clip, at least half of them, with zeros behind."""
    torch.manual_seed(seed)
    count = torch.tensor(lengths)
    instants = torch.arange(1, max(lengths) + 1).reshape(1, -1, 1, 1).expand(len(lengths), -1, 9, 2)
    inputs = (instants * (instants <= count.reshape(-1, 1, 1, 1))).half()
    found = excerpts(Batch(inputs, count, count.float(), torch.arange(len(lengths))))
    assert (found.frame_count * 2 >= count).all() and (found.frame_count <= count).all()
    for row, length in enumerate(found.frame_count.tolist()):
        shown = found.inputs[row, :, 0, 0].long().tolist()
        assert shown[:length] == list(range(shown[0], shown[0] + length)) and shown[length - 1] <= lengths[row]
        assert not any(shown[length:])


def test_excerpts_begin_anywhere_and_have_every_length() -> None:
    torch.manual_seed(0)
    inputs = torch.arange(1, 7).reshape(1, -1, 1, 1).expand(400, -1, 9, 1).half()
    found = excerpts(Batch(inputs, torch.full((400,), 6), torch.zeros(400), torch.arange(400)))
    runs = {(int(first), int(n)) for first, n in zip(found.inputs[:, 0, 0, 0], found.frame_count, strict=True)}
    assert runs == {(first, n) for n in (3, 4, 5, 6) for first in range(1, 8 - n)}


@pytest.mark.parametrize("trait", ["age", "gender"])
def test_steadiness_brings_excerpts_nearer_to_the_whole(trait: Trait) -> None:
    """Features that are noise from instant to instant: what is asked to be steady is steadier after as many steps."""
    distances = []
    for weight in (0.0, 10.0):
        plan = Optimisation(rate=3e-3, steadiness=weight)
        made = TraitModule(NetworkConfig(trait, "full", **NARROW, **DROPS), plan, 0)
        made.log = lambda *_, **__: None  # type: ignore[assignment]
        target = torch.arange(8) % 2
        features = torch.randn(8, 12, 9, 2048, generator=torch.Generator().manual_seed(1)).half()
        batch = Batch(features, torch.full((8,), 12), target.float() if trait == "age" else target, torch.arange(8))
        optimiser = made.configure_optimizers()
        for _ in range(25):
            optimiser.zero_grad()
            made.training_step(batch, 0).backward()
            optimiser.step()
        with torch.inference_mode():
            distances.append(sum(float(made._steady(made(batch), batch)[1]) for _ in range(4)))
    assert distances[1] < distances[0] / 2


def test_single_frames_have_no_steadiness() -> None:
    """The configuration says so before anything is read."""
    values = {"data": "a", "split": "b", "backbone": "c", "out": "d", "trait": "age", "ablation": "image_cnn"}
    with pytest.raises(ConfigError, match="steadiness"):
        from_dict(values | {"optimisation": {"steadiness": 1.0}}, "x.yaml")
