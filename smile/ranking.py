"""Which groups of regions matter together: Algorithm 1 of Kim & Ro, for groups of any size (SPEC A5)."""

from dataclasses import dataclass
from itertools import combinations
from math import fsum

import numpy as np
from numpy.typing import NDArray

from smile.regions import PAIRS, REGIONS


@dataclass(frozen=True)
class Relation:
    """One group of regions.

    Attributes:
        rank: 1 is the most important group of its size.
        regions: ids, ascending.
        importance: the paper's chi, the sum of the importances of the pairs inside the group; for a pair its lambda.
            It grows with the size of the group: divide by its number of pairs to compare sizes.
    """

    rank: int
    regions: tuple[int, ...]
    importance: float


def rank(importance: NDArray[np.float32] | NDArray[np.float64], size: int) -> list[Relation]:
    """All groups of `size` regions, most important first; ties in lexicographic order of the ids.

    Args:
        importance: (36,) importance of each pair, in the order of `smile.regions.PAIRS`; sums to 1. One clip's, or the
            mean over the clips of a group of people: the sums are linear, so it is the mean of the clips' chi.
        size: N_I, from 2 to the number of regions.

    Returns:
        one Relation for each of the C(9, size) groups. Their importances add up to C(7, size - 2) times that of the
        pairs, as many as the groups that each pair belongs to.

    Raises:
        ValueError: a shape or a size other than these, or an importance that is not finite.
    """
    if importance.shape != (len(PAIRS),) or not np.isfinite(importance).all():
        raise ValueError(f"importance must be {len(PAIRS)} finite numbers")
    if not 2 <= size <= len(REGIONS):
        raise ValueError(f"a group has 2 to {len(REGIONS)} regions, not {size}")
    of_pair = dict(zip(PAIRS, importance.astype(np.float64).tolist(), strict=True))
    groups = [
        (fsum(of_pair[pair] for pair in combinations(ids, 2)), ids) for ids in combinations(range(len(REGIONS)), size)
    ]
    groups.sort(key=lambda group: (-group[0], group[1]))
    return [Relation(place, ids, chi) for place, (chi, ids) in enumerate(groups, start=1)]
