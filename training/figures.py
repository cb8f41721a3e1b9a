"""The figures of the papers: the most important pair and triplet of each group of people, drawn on an aligned face.

Boxes mark the regions, links the pairs, with the mean importance beside them. The face is the public-domain astronaut
portrait: a figure shows where the regions are, and nobody of the data set.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from networks.config import TRAITS
from smile import alignment, ranking
from smile.landmarker import FaceLandmarker
from smile.pose import eye_centres
from smile.regions import GRID, NAMES, REGIONS
from training import interpretation, predictions
from training.predictions import Prediction
from training.tables import OURS
from training.whole import write_png

SIDE_PX = 288
CAPTION_PX = 54
GAP_PX = 8
SIZES = (2, 3)
COLOURS = ((255, 196, 0), (0, 200, 255))
"""RGB of the boxes and links of pairs and of triplets."""


def portrait() -> NDArray[np.uint8]:
    """(SIDE_PX, SIDE_PX, 3) uint8 RGB: an aligned face, at three times the size of the crop."""
    image = np.ascontiguousarray(skimage.data.astronaut()[:300, 80:380])
    image = np.asarray(cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), np.uint8)
    with FaceLandmarker() as landmarker:
        found = landmarker.locate(image)
    assert found is not None
    matrix = alignment.similarity(*eye_centres(found)) * (SIDE_PX / alignment.CROP_PX)
    return alignment.warp(image, matrix, SIDE_PX)


def panel(face: NDArray[np.uint8], regions: Sequence[int], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The face with boxes around the regions and links between their centres."""
    drawn = face.copy()
    half = SIDE_PX // (2 * GRID) - 4
    centres = [tuple(round(part * SIDE_PX) for part in REGIONS[region].centre) for region in regions]
    for place, (x, y) in enumerate(centres):
        cv2.rectangle(drawn, (x - half, y - half), (x + half, y + half), colour, 2, cv2.LINE_AA)
        for other in centres[place + 1 :]:
            cv2.line(drawn, (x, y), other, colour, 3, cv2.LINE_AA)
    return drawn


def figure(items: Sequence[Prediction], name: str, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One column for each group of people, the best pair above the best triplet.

    Args:
        items: of one trait and one method with importances.
        name: of the data set; drawn into the figure.
    """
    columns = []
    for group, members in interpretation.people(items).items():
        mean = np.array([item.importance for item in members], np.float64).mean(axis=0)
        cells = []
        for size, colour in zip(SIZES, COLOURS, strict=True):
            best = ranking.rank(mean, size)[0]
            lines = [
                f"{group}, {len(members)} clips: {best.importance:.3f}",
                " + ".join(NAMES[region].replace("_", " ") for region in best.regions),
                name,
            ]
            cells += [panel(face, best.regions, colour), _caption(lines)]
        columns.append(np.vstack(cells))
    gap = np.full((columns[0].shape[0], GAP_PX, 3), 255, np.uint8)
    return np.hstack([part for column in columns for part in (column, gap)][:-1])


def write(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Write relations_age.png and relations_gender.png, where importances were predicted. Raises PredictionsError."""
    head, items = predictions.read(paths)
    face = portrait()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for trait in TRAITS:
        ours = [i for i in items if (i.trait, i.method) == (trait, OURS) and i.importance is not None]
        if ours:
            path = folder / f"relations_{trait}.png"
            write_png(path, figure(ours, head.data_set, face))
            written.append(path)
    return written


def _caption(lines: Sequence[str]) -> NDArray[np.uint8]:
    cell = np.full((CAPTION_PX, SIDE_PX, 3), 255, np.uint8)
    for number, line in enumerate(lines):
        cv2.putText(cell, line, (3, 15 + 16 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return cell
