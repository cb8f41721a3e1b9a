"""A head for convolutions that come without one: fitted to their maps, before training moves them.

A head that knows nothing sends gradients of noise through convolutions that are good already, at full rates.
"""

from concurrent.futures import Executor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from smile.regions import GRID
from training import parallel, precision
from training.backbone_plan import Plan
from training.still_loss import Labels, loss
from training.still_network import FrameHead, StillNetwork

VIEWS = 8192
"""Training crops that it is fitted to, at most."""
EPOCHS, BATCH = 20, 128
RATE = 2e-3
CHUNK = 32
"""Crops that are encoded at once."""


def fit(
    network: StillNetwork, crops: NDArray[np.uint8], age: Tensor, gender: Tensor, plan: Plan, pool: Executor
) -> None:
    """Train `network.head` alone, by the loss of the whole network; one cycle of AdamW up to RATE and down to nothing.

    Args:
        crops: (n, S, S, 3) uint8 RGB training crops. age, gender: (n,) float32 years and int64 indices.
        pool: threads that encode crops side by side.
    """
    maps = _means(network, crops, pool)
    device = maps.device
    head = FrameHead().to(device)
    steps = EPOCHS * -(-len(maps) // BATCH)
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=plan.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(plan.seed)
    for _ in range(EPOCHS):
        for picked in torch.randperm(len(maps), generator=generator).to(device).split(BATCH):
            optimiser.zero_grad()
            age_logits, gender_logits = head(maps[picked])
            loss(age_logits, gender_logits, Labels.of(age[picked], gender[picked], plan), plan).backward()
            optimiser.step()
            schedule.step()
    network.head.load_state_dict(head.state_dict())


def _means(network: StillNetwork, crops: NDArray[np.uint8], pool: Executor) -> Tensor:
    """(n, S, S, 3) uint8 RGB -> (n, 512, 3, 3) region means of their maps, which are all that a head reads."""
    device = next(network.parameters()).device

    @torch.no_grad()
    def encode(at: int) -> Tensor:
        with precision.autocast(device.type):
            maps = network.map(torch.from_numpy(crops[at : at + CHUNK]).to(device))
        return adaptive_avg_pool2d(maps.float(), GRID)

    training = network.training
    network.eval()
    starts = range(0, len(crops), CHUNK)
    means = list(parallel.progress(pool.map(encode, starts), f"head, blocks of {CHUNK} crops", len(starts)))
    network.train(training)
    return torch.cat(means)
