"""Sequences that are put together from finished features: stills as clips, and simulated smiles made longer.

Many faces are needed to learn what age looks like, and rendering is slow: training stills join the smiles as sequences.
Nothing moves in them, but at some moment one view of the still follows upon another, and what is remembered of the
first instants must count as much as the last. Rendered excerpts are short where whole smiles are long: they are played
to and fro as well, from any instant on. A network that sees short sequences alone drifts in longer ones.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smile.sampling import MIN_SAMPLES

LONGEST = 96
"""Instants of the longest sequence that is put together; whole simulated smiles have 75 on average."""
LONG_SHARE = 0.2
"""Of the sequences of stills; the others have MIN_SAMPLES instants, which cost least."""


class Sequence(NamedTuple):
    """Instants of files in an order of their own.

    Attributes:
        files: features of clips, or of views of stills, (n, 9, 2048) float16 each.
        file: (T,) index into `files`.
        row: (T,) index into that file.
    """

    files: tuple[Path, ...]
    file: NDArray[np.uint8]
    row: NDArray[np.int32]

    def regions(self) -> NDArray[np.float16]:
        """(T, 9, 2048) float16."""
        return np.stack([_mapped(self.files[file])[row] for file, row in zip(self.file, self.row, strict=True)])


def of_stills(before: Path, after: Path, row: int, rng: np.random.Generator | None) -> Sequence:
    """Two views of one still, one after the other; the same file where the still has one view.

    Args:
        row: of the still in both.
        rng: draws length and moment of change; without it the sequence has MIN_SAMPLES instants of `after`.
    """
    if rng is None:
        return Sequence((after,), np.zeros(MIN_SAMPLES, np.uint8), np.full(MIN_SAMPLES, row, np.int32))
    length = _length(rng) if rng.random() < LONG_SHARE else MIN_SAMPLES
    change = rng.integers(length)
    return Sequence((before, after), (np.arange(length) >= change).astype(np.uint8), np.full(length, row, np.int32))


def to_and_fro(path: Path, count: int, rng: np.random.Generator) -> Sequence:
    """A clip of `count` instants from any of them on, forwards first or backwards, turned back at either end."""
    length = _length(rng)
    cycle = np.concatenate([np.arange(count), np.arange(count - 2, 0, -1)])
    place = (rng.integers(len(cycle)) + np.arange(length)) % len(cycle)
    return Sequence((path,), np.zeros(length, np.uint8), cycle[place].astype(np.int32))


def _length(rng: np.random.Generator) -> int:
    """MIN_SAMPLES to LONGEST, evenly on a logarithmic scale."""
    return int(np.exp(rng.uniform(np.log(MIN_SAMPLES), np.log(LONGEST + 1))))


@lru_cache(maxsize=256)
def _mapped(path: Path) -> NDArray[np.float16]:
    return np.load(path, mmap_mode="r")
