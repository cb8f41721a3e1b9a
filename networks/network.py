"""The Facial Dynamics Interpreter Network of one trait (P0 Fig. 1), and two of them joined into the exported graph."""

from typing import NamedTuple

from torch import Tensor, nn

from networks.config import NetworkConfig, Trait
from networks.dynamics import Dynamics
from networks.image_cnn import ImageCNN
from networks.interpreter import Estimator, Interpreter, RegionalAttention, WholeFace
from networks.traits import answer_layer
from smile.regions import PAIRS, REGIONS
from smile.tensors import REGION_FEATURES


class Estimate(NamedTuple):
    """What a network says about B clips under M masks.

    Attributes:
        output: (B, M, 1) standardised age or (B, M, 2) logits; `network.answer` turns it into years or probabilities.
        importance: (B, M, 36) lambda of each pair; (B, M, 9) of each region for `regional`, (B, M, 1) for `holistic`.
    """

    output: Tensor
    importance: Tensor


class InterpreterNetwork(nn.Module):
    """Region features of a clip -> one trait. Every ablation but `image_cnn` (SPEC A7)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        if config.ablation == "holistic":
            self.interpreter: nn.Module = WholeFace()
            self.dynamics = Dynamics(len(REGIONS) * REGION_FEATURES, config)
        else:
            self.interpreter = RegionalAttention(config) if config.ablation == "regional" else Interpreter(config)
            self.dynamics = Dynamics(REGION_FEATURES, config)
        pairwise = isinstance(self.interpreter, Interpreter)
        self.estimator = Estimator(config.relation[1] if pairwise else config.lstm, config)
        self.answer = answer_layer(config.trait)

    def encode(self, regions: Tensor, frame_count: Tensor, place: Tensor | None = None) -> Tensor:
        """(B, T, 9, 2048) features and (B,) int64 valid instants -> d_i (B, 9, H); (B, 1, H) for `holistic`.

        `place` as in networks.dynamics.
        """
        if self.config.ablation == "holistic":
            regions = regions.flatten(start_dim=2).unsqueeze(2)
        return self.dynamics(regions, frame_count, place)

    def interpret(self, dynamics: Tensor) -> Estimate:
        """(B, M, R, H) d_i, as encoded or perturbed -> Estimate."""
        aggregated, importance = self.interpreter(dynamics)
        return Estimate(self.estimator(aggregated), importance)

    def forward(self, regions: Tensor, frame_count: Tensor, region_mask: Tensor | None = None) -> Estimate:
        """Estimate the trait, once for each mask.

        Args:
            regions: (B, T, 9, 2048) float16 or float32.
            frame_count: (B,) int64, valid instants, 1 to T.
            region_mask: (B, M, 9) float32 factors on d_i; None leaves them as they are (M = 1).

        Raises:
            ValueError: a mask for the holistic network, which has no regions.
        """
        dynamics = self.encode(regions, frame_count).unsqueeze(1)
        if region_mask is not None:
            if self.config.ablation == "holistic":
                raise ValueError("the holistic network has no regions to mask")
            dynamics = dynamics * region_mask.unsqueeze(-1)
        return self.interpret(dynamics)


class Relations(nn.Module):
    """An age network and a gender network as the one graph smile.tensors.RELATIONS.

    Raises:
        ValueError: another trait than its place says, or an ablation without importances of pairs.
    """

    def __init__(self, age: InterpreterNetwork | ImageCNN, gender: InterpreterNetwork | ImageCNN) -> None:
        super().__init__()
        self.age = _pairwise(age, "age")
        self.gender = _pairwise(gender, "gender")

    def forward(
        self, regions: Tensor, frame_count: Tensor, region_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs and outputs exactly as smile.tensors.RELATIONS lists them: age in years, probabilities of gender."""
        age = self.age(regions, frame_count, region_mask)
        gender = self.gender(regions, frame_count, region_mask)
        return self.age.answer(age.output), self.gender.answer(gender.output), age.importance, gender.importance


def _pairwise(network: InterpreterNetwork | ImageCNN, trait: Trait) -> InterpreterNetwork:
    if network.config.trait != trait:
        raise ValueError(f"the {trait} network was made for {network.config.trait}")
    if not isinstance(network, InterpreterNetwork) or not isinstance(network.interpreter, Interpreter):
        raise ValueError(f"{network.config.ablation!r} gives no importance for the {len(PAIRS)} pairs")
    return network


def build(config: NetworkConfig) -> InterpreterNetwork | ImageCNN:
    """The untrained network that `config` describes."""
    return ImageCNN(config) if config.ablation == "image_cnn" else InterpreterNetwork(config)
