"""Sequences that are put together from finished features: stills as clips, and simulated smiles made longer.

Many faces are needed to learn what age looks like, and rendering is slow: training stills join the smiles as sequences.
Nothing moves in them, but at some moment one view of the still follows upon another, and what is remembered of the
first instants must count as much as the last: some show another still at first. Rendered excerpts are short where whole
smiles are long: they are played to and fro as well, from any instant on. A network that sees short sequences alone
drifts in longer ones.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smile.sampling import MIN_SAMPLES

LONGEST = 96
"""Instants of the longest sequence that is put together; whole simulated smiles have 75 on average."""
LONG_SHARE = 0.5
"""Of the sequences of stills; the others have MIN_SAMPLES instants, which cost least. Compared once, over four epochs
of a fifth of the stills, by ages of calibration smiles: halves are 1.99 years apart with a tenth, 1.69 with half."""
View = tuple[Path, int]
"""File of features, and row in it."""


class Sequence(NamedTuple):
    """Instants of files in an order of their own.

    Attributes:
        files: features of clips, or of views of stills, (n, 9, 2048) float16 each.
        rows: (U,) pairs of an index into `files` and one into that file: the instants that differ.
        place: (T,) int64 index into `rows`.
    """

    files: tuple[Path, ...]
    rows: tuple[tuple[int, int], ...]
    place: NDArray[np.int64]

    def instants(self) -> NDArray[np.float16]:
        """(U, 9, 2048) float16."""
        return np.stack([_mapped(self.files[file])[row] for file, row in self.rows])

    def said(self) -> NDArray[np.float32]:
        """(T, 3) float32, by the files beside those of the features (`beside`)."""
        return np.stack([_whole(beside(self.files[file]))[row] for file, row in self.rows])[self.place]


def beside(features: Path) -> Path:
    """Where it is kept what the backbone's own head says of each row of a features file.

    (n, 3) float32, age in years and probabilities of (male, female): mean of the crop's answer and its mirror image's.
    """
    return features.with_suffix(".said.npy")


def of_stills(before: View, after: View, rng: np.random.Generator | None) -> Sequence:
    """Two views, one after the other.

    Args:
        rng: draws length and moment of change; without it the sequence has MIN_SAMPLES instants of `after`.
    """
    (first, first_row), (last, last_row) = before, after
    if rng is None:
        return Sequence((last,), ((0, last_row),), np.zeros(MIN_SAMPLES, np.int64))
    length = _length(rng) if rng.random() < LONG_SHARE else MIN_SAMPLES
    change = rng.integers(length)
    return Sequence((first, last), ((0, first_row), (1, last_row)), (np.arange(length) >= change).astype(np.int64))


def to_and_fro(path: Path, count: int, rng: np.random.Generator) -> Sequence:
    """A clip of `count` instants from any of them on, forwards first or backwards, turned back at either end."""
    length = _length(rng)
    cycle = np.concatenate([np.arange(count), np.arange(count - 2, 0, -1)])
    rows, place = np.unique(cycle[(rng.integers(len(cycle)) + np.arange(length)) % len(cycle)], return_inverse=True)
    return Sequence((path,), tuple((0, row) for row in rows.tolist()), place)


def _length(rng: np.random.Generator) -> int:
    """MIN_SAMPLES to LONGEST, evenly on a logarithmic scale."""
    return int(np.exp(rng.uniform(np.log(MIN_SAMPLES), np.log(LONGEST + 1))))


@lru_cache(maxsize=256)
def _mapped(path: Path) -> NDArray[np.float16]:
    return np.load(path, mmap_mode="r")


@lru_cache(maxsize=16_384)
def _whole(path: Path) -> NDArray[np.float32]:
    return np.load(path)
