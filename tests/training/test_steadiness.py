"""Excerpts of clips, and networks that learn to answer them as the whole."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from networks.config import NetworkConfig, Trait
from training.batches import Batch, excerpts
from training.module import TraitModule
from training.optimisation import Optimisation
from training.run_config import ConfigError, from_dict

NARROW = {"fc1": 8, "lstm": 8, "relation": (8, 8), "estimator": (8, 4)}
DROPS = {f"{name}_dropout": 0.0 for name in ("fc1", "lstm", "relation", "estimator")}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 2**31))
def test_an_excerpt_is_an_unbroken_half_or_more(lengths: list[int], seed: int) -> None:
    """Instants follow each other as in the clip, at least half of them, with the first one's place behind."""
    torch.manual_seed(seed)
    count = torch.tensor(lengths)
    instants = torch.arange(1, max(lengths) + 1)
    place = instants * (instants <= count[:, None])
    found = excerpts(Batch(torch.zeros(len(lengths), 1, 9, 2), place, count, count.float(), torch.arange(len(lengths))))
    assert (found.frame_count * 2 >= count).all() and (found.frame_count <= count).all()
    for row, length in enumerate(found.frame_count.tolist()):
        shown = found.place[row].tolist()
        assert shown[:length] == list(range(shown[0], shown[0] + length)) and shown[length - 1] <= lengths[row]
        assert not any(shown[length:])


def test_excerpts_begin_anywhere_and_have_every_length() -> None:
    torch.manual_seed(0)
    place = torch.arange(1, 7).expand(400, -1)
    found = excerpts(
        Batch(torch.zeros(400, 7, 9, 1), place, torch.full((400,), 6), torch.zeros(400), torch.arange(400))
    )
    runs = {(int(first), int(n)) for first, n in zip(found.place[:, 0], found.frame_count, strict=True)}
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
        place = torch.arange(12).expand(8, -1)
        target = target.float() if trait == "age" else target
        batch = Batch(features, place, torch.full((8,), 12), target, torch.arange(8))
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
