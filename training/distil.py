"""What the backbone's own head says of whole clips: what a relational head learns besides the labels, or instead."""

from collections.abc import Sequence

import torch
from torch import Tensor

from networks.config import Trait
from training.datasets import Clip
from training.feature_store import Features
from training.still_network import FrameAnswers


def said_of(features: Features, clips: Sequence[Clip], single: FrameAnswers, trait: Trait) -> Tensor:
    """The mean over all instants of the clip that each is shown of: an excerpt with no smile in it is to get the answer
    of the whole smile.

    Returns:
        (n, 1) float32 years, or (n, 2) probabilities of (male, female).
    """
    found: dict[str, Tensor] = {}
    return torch.stack([_of_clip(features, clip, single, trait, found) for clip in clips])


def _of_clip(features: Features, clip: Clip, single: FrameAnswers, trait: Trait, found: dict[str, Tensor]) -> Tensor:
    whole = features.shown_of(clip)
    if whole.name not in found:
        instants, place = features.instants(whole)
        years, genders = single(torch.from_numpy(instants.copy()))
        values = years[:, None] if trait == "age" else genders
        found[whole.name] = values[torch.from_numpy(place)].mean(dim=0)
    return found[whole.name]
