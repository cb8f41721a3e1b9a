"""Algorithm 1."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from smile.ranking import rank
from smile.regions import PAIRS, REGIONS, TRIPLETS

SIZES = st.integers(2, len(REGIONS))
IMPORTANCES = arrays(np.float64, len(PAIRS), elements=st.floats(1e-6, 1.0)).map(lambda weights: weights / weights.sum())


@given(IMPORTANCES, SIZES)
def test_invariants(importance: NDArray[np.float64], size: int) -> None:
    """Every group once, ranks 1..C(9,N), descending, and chi adds up to C(7, N-2) since the pairs add up to 1."""
    relations = rank(importance, size)
    assert sorted(relation.regions for relation in relations) == list(combinations(range(len(REGIONS)), size))
    assert [relation.rank for relation in relations] == list(range(1, comb(9, size) + 1))
    chi = [relation.importance for relation in relations]
    assert chi == sorted(chi, reverse=True)
    assert sum(chi) == pytest.approx(comb(7, size - 2), rel=1e-9)


@given(IMPORTANCES)
def test_pairs_are_the_importances_themselves(importance: NDArray[np.float64]) -> None:
    """For N = 2 chi is lambda."""
    found = {relation.regions: relation.importance for relation in rank(importance, 2)}
    assert [found[pair] for pair in PAIRS] == importance.tolist()


def test_a_triplet_is_the_sum_of_its_three_pairs() -> None:
    """chi of {0,4,8} is lambda_04 + lambda_08 + lambda_48; with only these three pairs it comes first."""
    importance = np.zeros(len(PAIRS))
    for pair, weight in {(0, 4): 0.5, (0, 8): 0.3, (4, 8): 0.2}.items():
        importance[PAIRS.index(pair)] = weight
    first, second = rank(importance, 3)[:2]
    assert first.regions == (0, 4, 8) and first.importance == pytest.approx(1.0)
    assert second.importance == pytest.approx(0.5) and second.regions == (0, 1, 4)


@given(st.permutations(range(len(PAIRS))), SIZES)
def test_order_of_addition_does_not_break_ties(order: list[int], size: int) -> None:
    """Regions that are interchangeable stay in lexicographic order, whatever rounding the sums would suffer."""
    uniform = np.full(len(PAIRS), 1 / len(PAIRS))
    groups = [relation.regions for relation in rank(uniform, size)]
    assert groups == sorted(groups)
    ramp = np.linspace(0.001, 0.05, len(PAIRS))[order]
    for above, below in zip(rank(ramp, size), rank(ramp, size)[1:], strict=False):
        assert (above.importance, below.regions) > (below.importance, above.regions)


@pytest.mark.parametrize("size", [1, 10])
def test_other_sizes_are_refused(size: int) -> None:
    """A group has two to nine regions."""
    with pytest.raises(ValueError, match="2 to 9 regions"):
        rank(np.full(len(PAIRS), 1 / len(PAIRS)), size)


@pytest.mark.parametrize("importance", [np.ones(len(TRIPLETS)), np.full(len(PAIRS), np.nan), np.ones((1, len(PAIRS)))])
def test_other_shapes_are_refused(importance: NDArray[np.float64]) -> None:
    """Anything but 36 finite numbers is a mistake of the caller."""
    with pytest.raises(ValueError, match="36 finite numbers"):
        rank(importance, 2)
