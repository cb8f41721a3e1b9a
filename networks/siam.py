"""The Spatially-Indexed Attention Model (Pei et al.; SPEC B1), and its two halves as the exported graphs."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from networks.appearance import Appearance
from networks.siam_config import SiamConfig
from networks.temporal_attention import EveryInstant, LastInstant, TemporalAttention
from networks.traits import AgeScale
from smile.tensors import SIAM_FEATURES


class SiamEstimate(NamedTuple):
    """What the network says about B clips.

    Attributes:
        output: (B, 1) standardised age; `network.answer` turns it into years.
        frames: (B, T) what each instant says; their sum weighted by `temporal` is `output`.
        temporal: (B, T) o_t, sum 1, 0 where padded.
    """

    output: Tensor
    frames: Tensor
    temporal: Tensor


class Siam(nn.Module):
    """Warped faces of a clip -> age."""

    def __init__(self, config: SiamConfig) -> None:
        super().__init__()
        self.config = config
        size = config.features
        self.appearance = Appearance(config)
        self.recurrent = (
            nn.RNN(size, size, 2, nonlinearity="relu", dropout=config.recurrent_dropout) if config.recurrent else None
        )
        self.recurrent_dropout = nn.Dropout(config.recurrent_dropout)  # nn.RNN drops between its layers only
        self.temporal: nn.Module
        if config.temporal:
            self.temporal = TemporalAttention(size)
        else:
            self.temporal = LastInstant() if config.recurrent else EveryInstant()
        self.regression = nn.Linear(size, 1)
        self.answer = AgeScale()
        self._initialise()

    def look(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 114, 114) uint8 grey -> p_t (N, n) and spatial attention (N, side, side)."""
        return self.appearance(faces)

    def remember(self, appearance: Tensor, frame_count: Tensor) -> SiamEstimate:
        """Put the frames of padded clips together; what lies beyond `frame_count` has no influence.

        Args:
            appearance: (B, T, n) p_t, float16 or float32.
            frame_count: (B,) int64, valid instants, 1 to T.
        """
        states = appearance.to(self.regression.weight.dtype)
        if self.recurrent is not None:
            states, _ = self.recurrent(states.transpose(0, 1))
            states = self.recurrent_dropout(states).transpose(0, 1)
        weights = self.temporal(states, frame_count)
        frames = self.regression(states)[..., 0]  # k . sum o_t z_t + b = sum o_t (k . z_t + b)
        return SiamEstimate((weights * frames).sum(dim=1, keepdim=True), frames, weights)

    def forward(self, faces: Tensor, frame_count: Tensor) -> tuple[SiamEstimate, Tensor]:
        """(B, T, 114, 114) uint8 and (B,) valid instants -> estimate and spatial attention (B, T, side, side)."""
        appearance, spatial = self.look(faces.flatten(end_dim=1))
        return self.remember(appearance.unflatten(0, faces.shape[:2]), frame_count), spatial.unflatten(
            0, faces.shape[:2]
        )

    @torch.no_grad()
    def _initialise(self) -> None:
        """SPEC B2: orthogonal recurrence, zero biases. torch adds two bias vectors of which the paper has one."""
        if self.recurrent is None:
            return
        for layer in range(self.recurrent.num_layers):
            nn.init.kaiming_normal_(getattr(self.recurrent, f"weight_ih_l{layer}"), nonlinearity="relu")
            nn.init.orthogonal_(getattr(self.recurrent, f"weight_hh_l{layer}"))
            nn.init.zeros_(getattr(self.recurrent, f"bias_ih_l{layer}"))
            nn.init.zeros_(getattr(self.recurrent, f"bias_hh_l{layer}")).requires_grad_(False)


class SiamFrames(nn.Module):
    """The half that looks at single frames, as the graph smile.tensors.SIAM_FRAMES.

    Raises:
        ValueError: a network whose answers that graph cannot carry.
    """

    def __init__(self, network: Siam) -> None:
        super().__init__()
        config = network.config
        if not (config.spatial and config.attention_after == 2 and config.features == SIAM_FEATURES):
            raise ValueError(
                f"the graph has spatial attention after the second convolution and {SIAM_FEATURES} features, "
                f"not {config}"
            )
        self.appearance = network.appearance

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and outputs exactly as smile.tensors.SIAM_FRAMES lists them."""
        features, attention = self.appearance(faces)
        return features.float().clamp(max=torch.finfo(torch.float16).max).half(), attention


class SiamSequence(nn.Module):
    """The half that puts a clip together, as the graph smile.tensors.SIAM_SEQUENCE."""

    def __init__(self, network: Siam) -> None:
        super().__init__()
        self.network = network

    def forward(self, appearance: Tensor, frame_count: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and outputs exactly as smile.tensors.SIAM_SEQUENCE lists them: age in years."""
        estimate = self.network.remember(appearance, frame_count)
        return self.network.answer(estimate.output).unsqueeze(-1), estimate.temporal
