"""A head for convolutions that come without one, fitted to their maps: before training moves them, or for a released
backbone, as training.shipped gives it, to be judged by.

    python -m training.still_head runs/shipped/backbone

A head that knows nothing sends gradients of noise through convolutions that are good already, at full rates. Compared
once, on validation stills, for the shipped convolutions: 4.77 years and 94.1 % by the head that was trained along with
them, 4.83 and 93.0 by one fitted to 8,192 views in 20 epochs at a rate of 2e-3, 4.78 and 93.7 by one fitted as here.
"""

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from networks import checkpoint
from smile import alignment
from smile.regions import GRID
from training import augment, parallel, precision, still_split, stills
from training.backbone_plan import Plan
from training.ending import in_one_line
from training.still_batches import epoch_order, sampling_weights
from training.still_loss import Labels, loss
from training.still_network import HEAD, FrameHead, StillNetwork, save_head, unfold
from training.stills import Stills

VIEWS = 2
"""Of each training still, on average: they are drawn as those of a run are."""
EPOCHS, BATCH = 6, 128
RATE, DROPOUT = 5e-4, 0.5
WARM_CROPS = 256
"""Training crops by which the normalisation of a released backbone is found."""
BLOCK, CHUNK = 1024, 32
"""Views that are made at once, and crops that are encoded at once."""


def fitted(network: StillNetwork, data: Stills, rows: NDArray[np.int64], plan: Plan, pool: Executor) -> FrameHead:
    """The head that suits the convolutions of `network`, which stays as it is, by the loss of the whole network; one
    cycle of AdamW up to RATE and down to nothing. In training mode.

    Args:
        rows: (n,) of the training stills.
        pool: threads that encode crops side by side.
    """
    device = next(network.parameters()).device
    weights = sampling_weights(data.age[rows], data.gender[rows], plan.balance)
    order = rows[np.concatenate([epoch_order(weights, plan.seed, view) for view in range(VIEWS)])]
    means = torch.cat(list(_means(network, data, order, plan, pool)))
    age, gender = torch.from_numpy(data.age[order]), torch.from_numpy(data.gender[order])
    head = FrameHead(DROPOUT).to(device)
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=plan.weight_decay)
    steps = EPOCHS * -(-len(means) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    for _ in range(EPOCHS):
        for picked in torch.randperm(len(means)).split(BATCH):
            optimiser.zero_grad()
            age_logits, gender_logits = head(means[picked].float().to(device))
            labels = Labels.of(age[picked].to(device), gender[picked].to(device), plan)
            loss(age_logits, gender_logits, labels, plan).backward()
            optimiser.step()
            schedule.step()
    return head


def _means(
    network: StillNetwork, data: Stills, rows: NDArray[np.int64], plan: Plan, pool: Executor
) -> Iterator[Tensor]:
    """(<= BLOCK, 512, 3, 3) float16 region means of the maps of augmented crops, which are all that a head reads."""
    device = next(network.parameters()).device

    @torch.no_grad()
    def encode(crops: NDArray[np.uint8]) -> Tensor:
        with precision.autocast(device.type):
            maps = network.map(torch.from_numpy(crops).to(device))
        return adaptive_avg_pool2d(maps.float(), GRID).half().cpu()

    training = network.training
    network.eval()
    starts = range(0, len(rows), BLOCK)
    with ThreadPoolExecutor(2) as images:
        for at in parallel.progress(starts, f"head, blocks of {BLOCK} crops", len(starts)):
            shown = rows[at : at + BLOCK]
            seeds = [(plan.seed, int(row), place) for place, row in enumerate(shown, at)]
            crops = augment.batch(data.crops[shown], seeds, alignment.CROP_PX, plan.degraded, images)
            yield torch.cat(list(pool.map(encode, np.split(crops, range(CHUNK, len(crops), CHUNK)))))
    network.train(training)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.still_head", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("backbone", type=Path, help="checkpoint directory of the backbone; the head is written into it")
    folder = parser.parse_args(arguments).backbone
    torch.set_num_threads(1)
    with in_one_line(), ThreadPoolExecutor(os.cpu_count()) as pool:
        backbone, data = checkpoint.load_backbone(folder), stills.load()
        rows = still_split.load_split(data)["train"]
        network = unfold(backbone, torch.from_numpy(data.centre(rows[:WARM_CROPS]))).eval()
        save_head(fitted(network, data, rows, Plan(), pool), folder / HEAD)
    print(folder / HEAD)


if __name__ == "__main__":
    main()
