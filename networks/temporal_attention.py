"""Temporal attention: how much each instant of a clip counts (S eq. 4-5; SPEC B1)."""

import torch
from torch import Tensor, nn


def valid(frame_count: Tensor, instants: Tensor) -> Tensor:
    """(B, T) 1 where an instant lies within its clip, 0 where it is padding; `instants` is (B, T, ...)."""
    steps = torch.ones_like(instants[..., 0]).cumsum(dim=1)  # 1 ... T without a constant of the traced length
    return (steps <= frame_count.unsqueeze(-1)).to(instants.dtype)


class TemporalAttention(nn.Module):
    """e_t = sigmoid(v . tanh(M z_t + b) + c), o_t = e_t / sum e: plain normalisation, no softmax."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.m = nn.Linear(features, features)
        self.v = nn.Linear(features, 1)  # its bias is c

    def forward(self, states: Tensor, frame_count: Tensor) -> Tensor:
        """(B, T, n) z_t and (B,) valid instants -> (B, T) o_t, sum 1 over the valid ones, 0 beyond."""
        scores = self.v(self.m(states).tanh())[..., 0].sigmoid() * valid(frame_count, states)
        return scores / scores.sum(dim=1, keepdim=True)


class LastInstant(nn.Module):
    """Without temporal attention a recurrent network is read at its last instant."""

    def forward(self, states: Tensor, frame_count: Tensor) -> Tensor:
        """As TemporalAttention: 1 at the last valid instant."""
        within = valid(frame_count, states)
        return within * (1 - valid(frame_count - 1, states))


class EveryInstant(nn.Module):
    """Without recurrence either, every frame counts alike."""

    def forward(self, states: Tensor, frame_count: Tensor) -> Tensor:
        """As TemporalAttention: 1 / T at each valid instant."""
        within = valid(frame_count, states)
        return within / within.sum(dim=1, keepdim=True)
