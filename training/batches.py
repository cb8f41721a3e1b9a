"""Cached clips -> padded batches: of similar length, the same for any number of processes, read when needed."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils.data import DataLoader, Dataset, Sampler

from networks.config import NetworkConfig
from smile.tensors import GENDERS
from training.datasets import Clip
from training.feature_store import Features
from training.still_network import FrameAnswers

BUCKET_BATCHES = 8
"""Clips are sorted by length within so many batches: little padding, and still a random order."""
VALIDATION_FRAMES = 2
"""Frames of a clip by which an `image_cnn` is selected; its answers are of all."""


class Batch(NamedTuple):
    """B clips.

    Attributes:
        inputs: (B, U, 9, 2048) float16, the instants that differ; (B, K, 96, 96, 3) uint8 RGB for `image_cnn`.
        place: (B, T) int64, where in `inputs` each instant of the sequence is found; 0 beyond `frame_count`.
        frame_count: (B,) int64; K for `image_cnn`.
        target: (B,) float32 years, or int64 index of smile.tensors.GENDERS; (B, 2) float32 probabilities of these where
            they are learned from frames.
        rows: (B,) int64 index into `Clips.clips`.
    """

    inputs: Tensor
    place: Tensor
    frame_count: Tensor
    target: Tensor
    rows: Tensor

    def sequences(self) -> Tensor:
        """(B, T, 9, 2048) float16, instant after instant."""
        return self.inputs.take_along_dim(self.place[:, :, None, None], dim=1)


def excerpts(batch: Batch) -> Batch:
    """A random run of at least half of each clip's instants, by torch's global random numbers."""
    count, device = batch.frame_count, batch.inputs.device
    chance = torch.rand(2, len(count), device=device)
    least = (count + 1) // 2
    length = least + (chance[0] * (count - least + 1)).long()
    start = (chance[1] * (count - length + 1)).long()
    instant = torch.arange(int(length.max()), device=device)
    valid = instant < length[:, None]
    place = batch.place.take_along_dim(torch.where(valid, start[:, None] + instant, 0), dim=1)
    return batch._replace(place=torch.where(valid, place, 0), frame_count=length)


class Clips(Dataset[int]):
    """Clips by index; `collate` reads them, so that each is copied once, into its place in the batch.

    Args:
        frames: how many crops of each clip `image_cnn` sees, evenly spaced; None for all of them. A single one is
            drawn at random, by `rng`: that is what it trains with.
        single: what is said of single frames, where targets are learned from that. share: of it in the target; the
            rest is the label.
    """

    def __init__(
        self,
        features: Features,
        clips: Sequence[Clip],
        network: NetworkConfig,
        frames: int | None = None,
        single: FrameAnswers | None = None,
        share: float = 0.0,
    ) -> None:
        self.clips = tuple(clips)
        self.network = network
        self.lengths = [features.frame_counts[clip.name] for clip in self.clips]
        self._features = features
        self.rng = np.random.default_rng(0)
        self._frames = frames
        self.single, self._share = single, share

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, row: int) -> int:
        return row

    def collate(self, rows: list[int]) -> Batch:
        parts = self._crops(rows) if self.network.ablation == "image_cnn" else self._regions(rows)
        return Batch(*parts, self._target([self.clips[row] for row in rows]), torch.tensor(rows))

    def _target(self, clips: Sequence[Clip]) -> Tensor:
        if self.network.trait == "age":
            label = torch.tensor([clip.age for clip in clips], dtype=torch.float32)
        else:
            label = torch.tensor([GENDERS.index(clip.gender) for clip in clips])
        if self.single is None:
            return label
        said = torch.from_numpy(np.stack([self._features.said(clip, self.single) for clip in clips]))
        if self.network.trait == "age":
            return torch.lerp(label, said[:, 0], self._share)
        return torch.lerp(one_hot(label, len(GENDERS)).float(), said[:, 1:], self._share)

    def _regions(self, rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        counts = torch.tensor([self.lengths[row] for row in rows])
        shown = [self._features.instants(self.clips[row]) for row in rows]
        first, _ = shown[0]
        padded = np.zeros((len(rows), max(len(instants) for instants, _ in shown), *first.shape[1:]), first.dtype)
        places = np.zeros((len(rows), int(counts.max())), np.int64)
        for row, (instants, place) in enumerate(shown):
            padded[row, : len(instants)] = instants
            places[row, : len(place)] = place
        return torch.from_numpy(padded), torch.from_numpy(places), counts

    def _crops(self, rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        crops = np.stack([self._features.crops(self.clips[row]) for row in rows])
        if self._frames == 1:
            crops = crops[np.arange(len(rows)), self.rng.integers(crops.shape[1], size=len(rows))][:, None]
        elif self._frames:
            crops = crops[:, np.linspace(0, crops.shape[1] - 1, self._frames + 2).round().astype(int)[1:-1]]
        count = crops.shape[1]
        return torch.from_numpy(crops), torch.arange(count).expand(len(rows), -1), torch.full((len(rows),), count)


class BucketedBatches(Sampler[list[int]]):
    """Shuffled batches of clips of similar length.

    An epoch's batches depend on the seed and the epoch alone. Where several processes train together each takes every
    n-th clip of every batch, so that they see together what one would see. Batches differ by at most one clip. Of a
    batch with fewer clips than processes each takes all: none is left without, and the mean over all of them stays.

    Args:
        batch: clips of one step, over all processes.
        seed, epoch: no seed leaves the clips in their order.
    """

    def __init__(
        self, lengths: Sequence[int], batch: int, seed: int | None = None, epoch: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self._lengths = np.array(lengths)
        self._count = max(1, round(len(lengths) / batch))
        self._seed, self._rank, self._world = seed, rank, world
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches():
            shared = len(batch) >= self._world
            yield (batch[self._rank :: self._world] if shared else batch).tolist()

    def _batches(self) -> list[NDArray[np.int64]]:
        rows = np.arange(len(self._lengths))
        if self._seed is None:
            return np.array_split(rows, self._count)
        rng = np.random.default_rng([self._seed, self._epoch])
        rows = rng.permutation(rows)
        pools = np.array_split(rows, max(1, round(self._count / BUCKET_BATCHES)))
        ordered = np.concatenate([pool[np.argsort(self._lengths[pool], kind="stable")] for pool in pools])
        batches = np.array_split(ordered, self._count)
        return [batches[place] for place in rng.permutation(len(batches))]


def loader(clips: Clips, batches: BucketedBatches, workers: int = 0) -> DataLoader:
    """Reads without touching torch's global random numbers, which are the network's."""
    return DataLoader(
        clips, batch_sampler=batches, collate_fn=clips.collate, num_workers=workers, generator=torch.Generator()
    )
