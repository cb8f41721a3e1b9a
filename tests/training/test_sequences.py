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
def test_two_views_are_shown_one_after_the_other(seed: int) -> None:
    """The first view, then the second; long enough, and never without the second."""
    sequence = of_stills((Path("a"), 3), (Path("b"), 4), np.random.default_rng(seed))
    assert MIN_SAMPLES <= len(sequence.place) <= LONGEST
    assert sequence.rows == ((0, 3), (1, 4))
    assert (np.diff(sequence.place) >= 0).all() and sequence.place[-1] == 1


@given(st.integers(MIN_SAMPLES, 40), st.integers(0, 2**31))
def test_a_clip_is_played_to_and_fro_without_a_jump(count: int, seed: int) -> None:
    """One instant after the other, turned back at the first and at the last one only."""
    sequence = to_and_fro(Path("a"), count, np.random.default_rng(seed))
    row = np.array(sequence.rows)[sequence.place, 1]
    steps = np.diff(row)
    assert MIN_SAMPLES <= len(row) <= LONGEST and row.min() >= 0 and row.max() < count
    assert (np.abs(steps) == 1).all()
    turns = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    assert set(row[turns]) <= {0, count - 1}


def test_half_of_the_stills_are_short_and_some_are_long() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([len(of_stills((Path("a"), 0), (Path("b"), 0), rng).place) for _ in range(DRAWS)])
    assert 0.4 < (lengths == MIN_SAMPLES).mean() < 0.7 and lengths.max() > LONGEST / 2


def test_features_are_those_of_the_rows(files: tuple[Path, Path]) -> None:
    sequence = of_stills((files[0], 4), (files[1], 1), np.random.default_rng(1))
    assert np.array_equal(sequence.instants()[:, 0, 0], [14, 21])
    still = of_stills((files[0], 2), (files[1], 2), None)
    assert len(still.place) == MIN_SAMPLES and (still.instants()[still.place] == 22).all()
    played = to_and_fro(files[0], 5, np.random.default_rng(1))
    assert np.array_equal(played.instants()[:, 0, 0], [10 + row for _, row in played.rows])
