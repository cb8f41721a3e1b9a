"""The nine facial regions, their order, their pairs and their triplets (SPEC A3, A5).

A 96x96 aligned face is divided into 3x3 equal regions, numbered 0-8 in raster order. Each owns a 2x2 block of cells of
the backbone's 6x6 map and a 32x32 px window of the crop. Names are the paper's: "left" is *image left in an unmirrored
frame*, that is the subject's right; `Region.anatomical_side` says so. In a mirrored clip (a selfie preview) the two
sides change places, and so do the regions: `Region.mirror_id`.

Kim & Ro list the names but show the windows only in a figure: that the nine form an exact tiling is inferred.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

GRID = 3
"""Regions per row and per column."""

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Region:
    """One of the nine regions.

    Attributes:
        id: 0-8, raster order.
        name: the paper's name; its "left" is image left in an unmirrored frame.
        row, column: place in the 3x3 grid, 0-based from the top left.
        anatomical_side: the subject's own side in an unmirrored frame, None on the midline.
    """

    id: int
    name: str
    anatomical_side: Side | None

    @property
    def row(self) -> int:
        return self.id // GRID

    @property
    def column(self) -> int:
        return self.id % GRID

    @property
    def centre(self) -> tuple[float, float]:
        """(p, q) = (x, y) of the centre as fractions of the crop's width and height (SPEC A3)."""
        return (2 * self.column + 1) / (2 * GRID), (2 * self.row + 1) / (2 * GRID)

    @property
    def mirror_id(self) -> int:
        """Id of the region at the same height on the other side of the face."""
        return self.row * GRID + (GRID - 1 - self.column)


REGIONS: tuple[Region, ...] = (
    Region(0, "left_eye", "right"),
    Region(1, "forehead", None),
    Region(2, "right_eye", "left"),
    Region(3, "left_cheek", "right"),
    Region(4, "nose", None),
    Region(5, "right_cheek", "left"),
    Region(6, "left_mouth_side", "right"),
    Region(7, "mouth", None),
    Region(8, "right_mouth_side", "left"),
)
NAMES: tuple[str, ...] = tuple(region.name for region in REGIONS)
PAIRS: tuple[tuple[int, int], ...] = tuple(combinations(range(len(REGIONS)), 2))
"""Every pair i < j in lexicographic order: the order of the 36 importances (SPEC A4)."""
TRIPLETS: tuple[tuple[int, int, int], ...] = tuple(combinations(range(len(REGIONS)), 3))
