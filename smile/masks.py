"""Which regions' dynamics are taken away, one set after another, to see what becomes of the answer (SPEC A6)."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from smile.regions import PAIRS, REGIONS

EACH_AND_PAIRS: tuple[tuple[int, ...], ...] = (*((region.id,) for region in REGIONS), *PAIRS)
"""Each region, then each pair."""


def zero_masks(sets: Sequence[Collection[int]]) -> NDArray[np.float32]:
    """(1 + len(sets), 9) factors on d_i: nothing zeroed, then the regions of each set."""
    masks = np.ones((1 + len(sets), len(REGIONS)), np.float32)
    for row, regions in enumerate(sets, start=1):
        masks[row, list(regions)] = 0
    return masks
