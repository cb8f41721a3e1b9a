"""Sequences put together from features of stills and of rendered excerpts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smile.sampling import MIN_SAMPLES
from training.sequences import LONGEST, of_stills, to_and_fro

DRAWS = 300


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two files of five features each, all numbers of one being its own."""
    found = []
    for name, value in (("before", 1), ("after", 2)):
        path = tmp_path_factory.mktemp("features") / f"{name}.npy"
        rows = np.arange(5, dtype=np.float16).reshape(5, 1, 1)
        np.save(path, np.broadcast_to(10 * value + rows, (5, 9, 4)).astype(np.float16))
        found.append(path)
    return found[0], found[1]


@given(st.integers(0, 2**31))
def test_a_still_is_shown_in_two_views(seed: int) -> None:
    """The first view, then the second, of the same still; long enough, and never without the second."""
    sequence = of_stills(Path("a"), Path("b"), 3, np.random.default_rng(seed))
    assert MIN_SAMPLES <= len(sequence.row) <= LONGEST
    assert (np.diff(sequence.file.astype(int)) >= 0).all() and sequence.file[-1] == 1
    assert (sequence.row == 3).all()


@given(st.integers(MIN_SAMPLES, 40), st.integers(0, 2**31))
def test_a_clip_is_played_to_and_fro_without_a_jump(count: int, seed: int) -> None:
    """One instant after the other, turned back at the first and at the last one only."""
    row = to_and_fro(Path("a"), count, np.random.default_rng(seed)).row
    steps = np.diff(row)
    assert MIN_SAMPLES <= len(row) <= LONGEST and row.min() >= 0 and row.max() < count
    assert (np.abs(steps) == 1).all()
    turns = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    assert set(row[turns]) <= {0, count - 1}


def test_most_stills_are_short_and_some_are_long() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([len(of_stills(Path("a"), Path("b"), 0, rng).row) for _ in range(DRAWS)])
    assert (lengths == MIN_SAMPLES).mean() > 0.7 and lengths.max() > LONGEST / 2


def test_features_come_in_the_order_of_the_sequence(files: tuple[Path, Path]) -> None:
    sequence = of_stills(*files, 4, np.random.default_rng(1))
    assert sequence.regions().shape == (len(sequence.row), 9, 4)
    assert np.array_equal(sequence.regions()[:, 0, 0], np.where(sequence.file, 24, 14))
    still = of_stills(*files, 2, None).regions()
    assert len(still) == MIN_SAMPLES and (still == 22).all()
    played = to_and_fro(files[0], 5, np.random.default_rng(1))
    assert np.array_equal(played.regions()[:, 0, 0], 10 + played.row)
