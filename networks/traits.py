"""From a network's raw output to what people read: years, and calibrated probabilities."""

import torch
from torch import Tensor, nn

from networks.config import Trait


class AgeScale(nn.Module):
    """Networks learn (age - mean) / std of the training fold; this undoes it."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))

    def forward(self, output: Tensor) -> Tensor:
        """(..., 1) standardised -> (...) years."""
        return output[..., 0] * self.std + self.mean

    def standardise(self, years: Tensor) -> Tensor:
        """(...) years -> (..., 1), the target of the training loss."""
        return ((years - self.mean) / self.std).unsqueeze(-1)


class GenderTemperature(nn.Module):
    """Logits -> probabilities, softened by a temperature fitted on held-out clips."""

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, output: Tensor) -> Tensor:
        """(..., 2) logits -> (..., 2) probabilities in the order of smile.tensors.GENDERS."""
        return (output / self.temperature).softmax(dim=-1)


def answer_layer(trait: Trait) -> AgeScale | GenderTemperature:
    return AgeScale() if trait == "age" else GenderTemperature()
