"""Fc1 begins with what the backbone's own head looks at, where a network learns from that head (distillation).

What is said of a frame depends on a region's 512 channels through few directions, the same for all regions or of a
region's own. Found once by a singular value decomposition of the head, they need not be found by gradient descent.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from networks.config import Trait
from networks.network import InterpreterNetwork
from smile.regions import REGIONS
from smile.tensors import MAP_CHANNELS, REGION_FEATURES
from training.datasets import Clip
from training.feature_store import Features
from training.standardise import SAMPLE, StandardisedLinear
from training.still_network import FrameHead

NEGLIGIBLE = 1e-5
"""Singular values less than this share of the largest are rounding errors."""


def directions(head: FrameHead, trait: Trait, most: int) -> Tensor:
    """(k, 2048) orthogonal directions of a region's features, k at most `most`, those first that the answers to `trait`
    depend on most in all regions together. What adds the same to all classes changes no answer and is left out."""
    weight: Tensor = getattr(head, trait).weight.detach()
    by_region = (weight - weight.mean(dim=0)).reshape(len(weight), MAP_CHANNELS, len(REGIONS)).permute(2, 0, 1)
    _, sizes, found = torch.linalg.svd(by_region.reshape(-1, MAP_CHANNELS), full_matrices=False)
    kept = min(most, int((sizes > NEGLIGIBLE * sizes[0]).sum()))
    return found[:kept].repeat_interleave(REGION_FEATURES // MAP_CHANNELS, dim=1)


@torch.no_grad()
def begin(network: InterpreterNetwork, head: FrameHead, shown: NDArray[np.float16]) -> None:
    """Give each direction two units of Fc1, one of either sign, which see it with a mean of 0 and a deviation of 1.

    Units that are left over keep what they began with.

    Args:
        network: with standardised features (training.standardise) and regions that share Fc1.
        shown: (n, 9, 2048) features of training instants (`sample`).
    """
    layer = network.dynamics.fc1
    assert isinstance(layer, StandardisedLinear)
    found = directions(head, network.config.trait, network.config.fc1 // 2)
    seen = ((torch.from_numpy(shown).float() - layer.mean) / layer.scale).flatten(end_dim=1) @ found.T
    deviation, mean = torch.std_mean(seen, dim=0)
    weight, bias = found / deviation[:, None], -mean / deviation
    count = len(found)
    layer.layer.weight[: 2 * count] = torch.cat([weight, -weight])
    layer.layer.bias[: 2 * count] = torch.cat([bias, -bias])


def sample(features: Features, clips: Sequence[Clip], seed: int) -> NDArray[np.float16]:
    """(n, 9, 2048): an instant of each of some training clips."""
    rng = np.random.default_rng(seed)
    shown = (features.instants(clips[row])[0] for row in rng.permutation(len(clips))[:SAMPLE])
    return np.stack([instants[rng.integers(len(instants))] for instants in shown])
