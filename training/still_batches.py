"""What the backbone learns from: augmented stills, rare ages and genders more often; the order is the seed's alone."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from training import augment
from training.backbone_run import Run
from training.stills import Stills


def sampling_weights(age: NDArray[np.float32], gender: NDArray[np.int64], balance: float) -> NDArray[np.float64]:
    """Frequency of each still's five-year band (80 and over are one) and gender, to the power of -balance."""
    band = np.minimum(age // 5, 16).astype(int) * 2 + gender
    weights = np.bincount(band)[band].astype(np.float64) ** -balance
    return np.asarray(weights / weights.sum())


def epoch_order(weights: NDArray[np.float64], seed: int, epoch: int) -> NDArray[np.int64]:
    """As many draws as there are stills, in random order, each still floor or ceil of its expected times."""
    rng = np.random.default_rng([seed, epoch])
    points = (np.arange(len(weights)) + rng.random()) / len(weights)
    edges = np.cumsum(weights)
    return rng.permutation(np.searchsorted(edges / edges[-1], points))


def batches(data: Stills, rows: NDArray[np.int64], run: Run) -> Iterator[tuple[NDArray, NDArray[np.int64]]]:
    """Augmented crops and their rows, from where the run is on without end, a few batches ahead of the training step.

    A run that began with another's weights goes on behind what those have seen, instead of seeing it again.
    """
    plan = run.plan
    weights = sampling_weights(data.age[rows], data.gender[rows], plan.balance)
    orders: dict[int, NDArray[np.int64]] = {}

    def draw(position: int) -> int:
        epoch, place = divmod(position, len(rows))
        if epoch not in orders:
            orders.clear()
            orders[epoch] = epoch_order(weights, plan.seed, epoch)
        return int(rows[orders[epoch][place]])

    def make(position: int, picked: NDArray[np.int64], size: int) -> tuple[NDArray, NDArray[np.int64]]:
        seeds = [(plan.seed, position + index) for index in range(len(picked))]
        return augment.batch(data.crops[picked], seeds, size, plan.degraded, images), picked

    with ThreadPoolExecutor(2) as images, ThreadPoolExecutor(1) as ahead:
        waiting: list[Future[tuple[NDArray, NDArray[np.int64]]]] = []
        position = run.before + run.seen
        while True:
            while len(waiting) < 3:
                picked = np.array([draw(position + index) for index in range(plan.batch)])
                waiting.append(ahead.submit(make, position, picked, plan.size(run.progress)))
                position += plan.batch
            yield waiting.pop(0).result()
