"""A release: the backbone, the two trait networks and their card, from a checkpoint or seeded and untrained."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from networks import checkpoint
from networks.backbone import Backbone, BackboneConfig
from networks.config import TRAITS, Width, network_config
from networks.interpreter import PerItemScore
from networks.network import InterpreterNetwork, Relations
from networks.traits import AgeScale
from smile import sampling
from smile.card import Card

BACKBONE, CARD = "backbone", "card.json"
AGE_MEAN, AGE_STD = 35.0, 15.0
"""Years; no data lies behind them, they only keep untrained answers among human ages."""


@dataclass(frozen=True)
class Release:
    """Everything that the two graphs are made from, in evaluation mode."""

    backbone: Backbone
    relations: Relations
    card: Card


def load(directory: Path) -> Release:
    """Read backbone/, age/, gender/ and card.json. Raises checkpoint.CheckpointError."""
    backbone = checkpoint.load_backbone(directory / BACKBONE)
    networks = {trait: checkpoint.load_network(directory / trait) for trait in TRAITS}
    try:
        card = Card.from_json((directory / CARD).read_text(encoding="utf-8"))
        relations = Relations(networks["age"], networks["gender"])
    except (OSError, ValueError) as error:
        raise checkpoint.CheckpointError(f"{directory} is not a release: {error}") from error
    return Release(backbone, relations.eval(), card)


def save(release: Release, directory: Path, provenance: dict[str, object] | None = None) -> None:
    """Write what `load` reads."""
    checkpoint.save(release.backbone, directory / BACKBONE, provenance)
    for trait in TRAITS:
        checkpoint.save(getattr(release.relations, trait), directory / trait, provenance)
    (directory / CARD).write_text(release.card.to_json() + "\n", encoding="utf-8")


def untrained(seed: int, width: Width, crops: NDArray[np.uint8]) -> Release:
    """Seeded weights that were never trained: for tests, and until trained ones exist.

    The feature scale is measured on `crops`. Unlike at the start of training the scores of the pairs are drawn too,
    so that every part of the graphs carries a signal that a comparison can see; ages spread around AGE_MEAN.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Backbone(BackboneConfig(source=f"untrained, seed {seed}")).eval()
        networks = [InterpreterNetwork(network_config(trait, width)).eval() for trait in TRAITS]
        for module in (part for network in networks for part in network.modules() if isinstance(part, PerItemScore)):
            nn.init.normal_(module.weight, std=2 * module.weight.shape[1] ** -0.5)
    backbone.feature_scale.fill_(measured_scale(backbone, crops))
    ages = networks[TRAITS.index("age")].answer
    assert isinstance(ages, AgeScale)
    ages.mean.fill_(AGE_MEAN)
    ages.std.fill_(AGE_STD)
    card = Card(f"fdin-{width}-untrained", None, "Apache-2.0", sampling.FRAME_RATE_HZ)
    return Release(backbone, Relations(*networks).eval(), card)


@torch.no_grad()
def measured_scale(backbone: Backbone, crops: NDArray[np.uint8]) -> float:
    """RMS of the map over `crops`, what `feature_scale` holds."""
    blocks = np.array_split(crops, min(8, len(crops)))
    squares = [backbone.map(torch.from_numpy(block)).square().mean() for block in blocks]
    return float(torch.stack(squares).mean().sqrt())
