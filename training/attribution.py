"""What each pair of regions adds to one answer: readings that can be held against the paper's importance.

All of them look at one trained network and a set of clips, by the dynamic features d_i that its encoder gives.
"""

import torch
from torch import Tensor

from networks.interpreter import Interpreter, weighted_sum
from networks.network import InterpreterNetwork
from smile.masks import EACH_AND_PAIRS, zero_masks
from smile.regions import PAIRS, REGIONS

PATH_STEPS = 16
"""Points of the midpoint rule along the path of integrated gradients."""


def contributions(network: InterpreterNetwork, dynamics: Tensor, output: int = 0) -> Tensor:
    """Share of each pair in the answer, by integrated gradients over f_agg (P0 eq. 6).

    f_agg is the sum of lambda_ij r_ij, so the path from its mean over the clips to a clip's own splits exactly into
    pairs: c_ij = G . (lambda_ij r_ij - mean of lambda_ij r_ij), with G the mean gradient of the head k along the path.

    Args:
        network: with an importance of pairs (`full`, `no_ri`, `no_lf_no_ri`), in evaluation mode.
        dynamics: (B, 9, H) d_i.
        output: which of the head's outputs.

    Returns:
        (B, 36). Each row adds up to the raw output of the clip minus that at the mean of f_agg, as far as the
        integration is exact.
    """
    interpreter = network.interpreter
    assert isinstance(interpreter, Interpreter)
    with torch.no_grad():
        relations = interpreter.relations(dynamics)
        importance = interpreter.importance(relations)
        parts = importance.unsqueeze(-1) * relations
        parts = parts - parts.mean(dim=0)
        own = weighted_sum(importance, relations)
        origin = own.mean(dim=0)
    total = torch.zeros_like(own)
    for step in range(PATH_STEPS):
        point = (origin + (step + 0.5) / PATH_STEPS * (own - origin)).requires_grad_()
        answer = network.estimator(point.unsqueeze(1))[:, 0, output]
        total += torch.autograd.grad(answer.sum(), point)[0]
    return (parts @ (total / PATH_STEPS).unsqueeze(-1))[..., 0]


@torch.no_grad()
def zeroings(network: InterpreterNetwork, dynamics: Tensor, output: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """The raw output as it is (B,), with each region zeroed (B, 9), and with both regions of each pair (B, 36)."""
    keep = torch.from_numpy(zero_masks(EACH_AND_PAIRS))
    answers = network.interpret(dynamics.unsqueeze(1) * keep.unsqueeze(-1)).output[..., output]
    return answers[:, 0], answers[:, 1 : 1 + len(REGIONS)], answers[:, 1 + len(REGIONS) :]


def interactions(plain: Tensor, alone: Tensor, together: Tensor) -> Tensor:
    """What zeroing two regions does beyond the sum of zeroing each, (B, 36), from what `zeroings` returns."""
    first, second = torch.tensor(PAIRS).T
    return plain.unsqueeze(1) - alone[:, first] - alone[:, second] + together
