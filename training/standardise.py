"""Features around zero for the first layer of a network in training, at no cost to what is released (SPEC C3).

Activations after a ReLU have a large mean. Under Fc1's dropout that mean is noise which drowns everything else: with
P1's rates a narrow network then learns nothing. (x - mean) / scale before Fc1 is another parametrisation of Fc1, and is
folded into its weights and bias in the end.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from networks.network import InterpreterNetwork
from training.datasets import Clip
from training.feature_store import Features

SAMPLE = 64
"""Training clips that the statistics are taken of."""


class StandardisedLinear(nn.Module):
    """A linear layer on (x - mean) / scale, computed on x as it is."""

    mean: Tensor

    def __init__(self, layer: nn.Linear, mean: Tensor, scale: float) -> None:
        super().__init__()
        self.layer = layer
        self.scale = scale
        self.register_buffer("mean", mean)

    @property
    def weight(self) -> Tensor:
        """As networks.dynamics asks for it: to know the dtype."""
        return self.layer.weight

    def forward(self, x: Tensor) -> Tensor:
        weight = self.layer.weight / self.scale
        return linear(x, weight, self.layer.bias - linear(self.mean, weight))

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """The plain layer that computes the same; this one is spent."""
        self.layer.weight.div_(self.scale)
        self.layer.bias.sub_(self.layer.weight @ self.mean)
        return self.layer


def statistics(features: Features, clips: Sequence[Clip], seed: int) -> tuple[NDArray[np.float32], float]:
    """Mean of each feature (9, 2048) over some training clips, and the standard deviation around it, over all."""
    chosen = np.random.default_rng(seed).permutation(len(clips))[:SAMPLE]
    total = squares = np.zeros(())
    count = 0
    for row in chosen:
        values = features.regions(clips[row]).astype(np.float32)
        total = total + values.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(values).sum(axis=0, dtype=np.float64)
        count += len(values)
    mean = total / count
    return mean.astype(np.float32), float(np.sqrt(max(float((squares / count - mean**2).mean()), 1e-12)))


def standardise(network: InterpreterNetwork, mean: NDArray[np.float32], scale: float) -> None:
    """Put the standardisation before Fc1. `mean` is (9, 2048); where the regions share Fc1 they share its mean."""
    shared = mean.ravel() if network.config.ablation == "holistic" else mean.mean(axis=0)
    layer = network.dynamics.fc1
    assert isinstance(layer, nn.Linear)
    network.dynamics.fc1 = StandardisedLinear(layer, torch.from_numpy(shared), scale)  # type: ignore[assignment]


def fold(network: InterpreterNetwork) -> None:
    """Undo `standardise`: the same function of the features as they are. Nothing where it was not done."""
    layer = network.dynamics.fc1
    if isinstance(layer, StandardisedLinear):
        network.dynamics.fc1 = layer.folded()
