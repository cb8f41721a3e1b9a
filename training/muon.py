"""Muon for kernels: momentum whose singular values are made equal before each step (Jordan et al., 2024).

torch.optim.Muon takes matrices alone and always multiplies in bfloat16, which processors without such instructions
emulate: 20 seconds for a kernel of 512x512x3x3 instead of half a second. Those that have them need a quarter of their
time in float32.
"""

from collections.abc import Iterable
from concurrent.futures import Executor

import torch
from torch import Tensor

from training import precision

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic; five steps bring every singular value to about 0.7 to 1.2."""
STEPS = 5
RMS = 0.2
"""Root mean square of a step's elements at a rate of 1, as AdamW's steps have it."""


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly U V^T of the matrix U S V^T: (m, n) float32, m <= n for speed -> the same shape."""
    a, b, c = NEWTON_SCHULZ
    x = (matrix / matrix.norm().clamp_min(1e-7)).to(precision.fastest(matrix.device.type))
    for _ in range(STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.float()


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised over (output channels, everything else), with decoupled weight decay.

    Args:
        kernels: parameters of two dimensions or more.
        rate: of steps whose elements have an RMS of RMS.
        pool: threads that work on kernels side by side.
    """

    def __init__(
        self, kernels: Iterable[Tensor], rate: float, weight_decay: float, pool: Executor, momentum: float = 0.95
    ) -> None:
        super().__init__(kernels, {"lr": rate, "weight_decay": weight_decay, "momentum": momentum})
        self.pool = pool

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients that are there."""
        for group in self.param_groups:
            list(self.pool.map(lambda kernel, group=group: self._move(kernel, **group), group["params"]))

    @torch.no_grad()
    def _move(self, kernel: Tensor, lr: float, weight_decay: float, momentum: float, **_: object) -> None:
        assert kernel.grad is not None
        state = self.state[kernel]
        if not state:
            state["momentum"] = torch.zeros_like(kernel)
        mean = state["momentum"]
        mean.lerp_(kernel.grad, 1 - momentum)
        direction = orthogonal(kernel.grad.lerp(mean, momentum).flatten(1))
        kernel.mul_(1 - lr * weight_decay)
        kernel.add_(direction.view_as(kernel), alpha=-lr * RMS * max(direction.shape) ** 0.5)
