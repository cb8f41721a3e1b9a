"""Stills and simulated smiles -> the batches that SIAM's released weights are trained on.

A still is one face that lasts for MIN_SAMPLES instants, a smile is a sequence of different faces; either way each face
goes through the convolutions once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from smile.sampling import MIN_SAMPLES
from training.siam_stills import StillFaces

STILLS = 32
"""Stills in a batch."""
SMILES = 8
"""Smiles in a batch."""


class FaceBatch(NamedTuple):
    """B sequences that show F different faces.

    Attributes:
        faces: (F, 114, 114) uint8 grey.
        frame_of: (B, T) int64, which face each instant shows; anything beyond `frame_count`.
        frame_count: (B,) int64.
        age: (B,) float32 years.
    """

    faces: Tensor
    frame_of: Tensor
    frame_count: Tensor
    age: Tensor


@dataclass(frozen=True)
class Faces:
    """What one part of the split offers.

    Attributes:
        stills: rows of `warped`. smiles: clips of training.simulated_clips and the ages shown in them.
        ages: of every row of `warped`, years.
    """

    warped: StillFaces
    ages: NDArray[np.float32]
    stills: NDArray[np.int64]
    smiles: Sequence[tuple[Path, float]]


class FaceBatches(Dataset[FaceBatch]):
    """The batches of one pass over a part, each by its number: the same for the same seed and epoch.

    Args:
        epoch: None for plain views in order, otherwise views and order depend on it.
    """

    def __init__(self, faces: Faces, seed: int, epoch: int | None) -> None:
        self._faces, self._seed, self._epoch = faces, seed, epoch
        stills, smiles = faces.stills, np.arange(len(faces.smiles))
        if epoch is not None:
            rng = np.random.default_rng([seed, epoch])
            stills, smiles = rng.permutation(stills), rng.permutation(smiles)
        self._batches = [(True, rows) for rows in _dealt(stills, STILLS)]
        self._batches += [(False, rows) for rows in _dealt(smiles, SMILES)]
        if epoch is not None:
            self._batches = [self._batches[place] for place in rng.permutation(len(self._batches))]

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> FaceBatch:
        """Raises IndexError beyond the last."""
        still, rows = self._batches[number]
        return self._of_stills(rows) if still else self._of_smiles(rows)

    def _of_stills(self, rows: NDArray[np.int64]) -> FaceBatch:
        warped = self._faces.warped
        if self._epoch is None:
            views = [warped.plain(row) for row in rows]
        else:
            views = [warped.view(row, np.random.default_rng([self._seed, self._epoch, row])) for row in rows]
        frame_of = torch.arange(len(rows))[:, None].expand(-1, MIN_SAMPLES)
        counts = torch.full((len(rows),), MIN_SAMPLES)
        return FaceBatch(torch.from_numpy(np.stack(views)), frame_of, counts, torch.from_numpy(self._faces.ages[rows]))

    def _of_smiles(self, rows: NDArray[np.int64]) -> FaceBatch:
        clips = [smile_faces(self._faces.smiles[row][0]) for row in rows]
        counts = torch.tensor([len(clip) for clip in clips])
        starts = counts.cumsum(0) - counts
        instants = torch.minimum(torch.arange(int(counts.max())), counts[:, None] - 1)
        ages = torch.tensor([self._faces.smiles[row][1] for row in rows], dtype=torch.float32)
        return FaceBatch(torch.from_numpy(np.concatenate(clips)), starts[:, None] + instants, counts, ages)


@lru_cache(maxsize=2048)
def smile_faces(path: Path) -> NDArray[np.uint8]:
    """(T, 114, 114) uint8 grey of a simulated smile; about 1 MB each."""
    with np.load(path) as clip:
        faces: NDArray[np.uint8] = clip["faces"]
    return faces


def _dealt(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return np.array_split(rows, -(-len(rows) // size)) if len(rows) else []
