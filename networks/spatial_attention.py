"""Spatial attention: how much each cell of a feature map counts (S eq. 1; SPEC B1, B4)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from networks.siam_config import Mechanism


class SpatialAttention(nn.Module):
    """A_ij = sigmoid(u . tanh(W F_ij + b) + c), and each F_ij is multiplied by its A_ij.

    `agnostic` shares W, b and u among the cells; `indexed` gives each cell its own W and b, `mediate` its own u,
    `fully_indexed` all of them. c is always shared.

    Args:
        channels: of the map.
        side: cells per side of the map.
        width: d, rows of W.
    """

    def __init__(self, mechanism: Mechanism, channels: int, side: int, width: int) -> None:
        super().__init__()
        cells = side * side
        own_w = cells if mechanism in ("indexed", "fully_indexed") else 1
        own_u = cells if mechanism in ("mediate", "fully_indexed") else 1
        self.w = nn.Parameter(torch.empty(own_w, width, channels))
        self.b = nn.Parameter(torch.zeros(own_w, width))
        self.u = nn.Parameter(torch.empty(own_u, width))
        self.c = nn.Parameter(torch.zeros(()))
        nn.init.normal_(self.w, std=channels**-0.5)
        nn.init.normal_(self.u, std=width**-0.5)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, side, side) -> attended map of the same shape, and A (N, side, side) in (0, 1).

        Cells with weights of their own are the groups of a convolution: each frame is computed alone, so its answer
        does not depend on the batch that it comes in.
        """
        frames, channels, side = maps.shape[:3]
        own, width = self.b.shape
        cells = maps.flatten(start_dim=2)  # (N, C, cells)
        if own > 1:
            cells = cells.transpose(1, 2).reshape(frames, own * channels, 1)
        hidden = conv1d(cells, self.w.reshape(own * width, channels, 1), self.b.reshape(own * width), groups=own)
        hidden = hidden.tanh()
        hidden = hidden.reshape(frames, own, width) if own > 1 else hidden.transpose(1, 2)  # (N, cells, d)
        attention = ((hidden * self.u).sum(dim=-1) + self.c).sigmoid().reshape(frames, side, side)
        return maps * attention.unsqueeze(1), attention
