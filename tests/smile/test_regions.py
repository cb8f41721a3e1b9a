"""The nine regions and their groups."""

import numpy as np
import pytest

from smile.alignment import CROP_PX
from smile.regions import GRID, NAMES, PAIRS, REGIONS, TRIPLETS


def test_counts_and_order() -> None:
    """Nine regions give 36 pairs and 84 triplets, each once, in lexicographic order."""
    assert (len(REGIONS), len(PAIRS), len(TRIPLETS)) == (9, 36, 84)
    assert list(PAIRS) == sorted(set(PAIRS)) and all(i < j for i, j in PAIRS)
    assert list(TRIPLETS) == sorted(set(TRIPLETS))
    assert [region.id for region in REGIONS] == list(range(9))


def test_regions_tile_the_crop() -> None:
    """The windows around the centres cover every pixel of the crop exactly once, and window k is region k's."""
    owner = np.full((CROP_PX, CROP_PX), -1)
    side = CROP_PX // GRID
    for region in REGIONS:
        x, y = (round(fraction * CROP_PX) - side // 2 for fraction in region.centre)
        window = owner[y : y + side, x : x + side]
        assert window.shape == (side, side) and (window == -1).all()
        assert (x, y) == (32 * region.column, 32 * region.row)
        window[:] = region.id
    assert (owner >= 0).all()


def test_mirroring_swaps_the_sides() -> None:
    """The mirror image of a region is at the same height, has the other side's name, and mirrors back."""
    for region in REGIONS:
        mirror = REGIONS[region.mirror_id]
        assert mirror.mirror_id == region.id
        assert mirror.centre == pytest.approx((1 - region.centre[0], region.centre[1]))
        swapped = NAMES[region.id].replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")
        assert mirror.name == swapped


def test_names_are_image_sides() -> None:
    """A region called left lies left in the image and on the subject's right."""
    for region in REGIONS:
        if "left" in region.name:
            assert region.column == 0 and region.anatomical_side == "right"
        elif "right" in region.name:
            assert region.column == GRID - 1 and region.anatomical_side == "left"
        else:
            assert region.column == 1 and region.anatomical_side is None
