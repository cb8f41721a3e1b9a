"""Which face of a clip is looked at, and where it is in each frame.

The largest when first seen, then the one nearest to where it was last. Once in a while the whole frame is searched
again; a face that has become much larger than the followed one takes its place.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from smile.mesh import Detector, Landmarks, Mesh, Roi, roi_around

SEARCH_EVERY = 25
"""Frames between searches of the whole frame while a face is followed, and of its tiles while there is none."""
TILE_PX = 480
"""Side of the tiles that a large frame is searched in for small faces: the full-range detector sees a face from about
a tenth of its picture on, which here is one too small to be read."""
SAME_FACE_SHIFT = 0.75
SAME_FACE_GROWTH = 1.5
"""A face further from the last place than this share of its size, or this much larger or smaller, is another one."""
TAKEOVER_GROWTH = 1.5
"""A face this much larger than the followed one takes its place."""


class FaceLandmarker:
    """Follows one face through one clip. A context manager; to be used by one thread.

    Attributes:
        stretch: number of the face followed; grows by `forget` and whenever another face takes over.
        faces: how many faces the last search of a whole frame saw.
    """

    def __init__(self) -> None:
        self.stretch = 0
        self.faces = 0
        self._mesh = Mesh()
        self._detector = Detector()
        self._far_detector: Detector | None = None
        self._last: Landmarks | None = None
        self._frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the graphs, their memory and threads."""
        for graph in (self._mesh, self._detector, self._far_detector):
            if graph is not None:
                graph.close()

    def forget(self) -> None:
        """Give up the face that was followed: the next one may be anybody, wherever."""
        self._last = None
        self.stretch += 1

    def locate(self, rgb: NDArray[np.uint8]) -> Landmarks | None:
        """Landmarks of the followed face in the next frame of the clip, None where it is not seen.

        Args:
            rgb: (H, W, 3) uint8 RGB, square pixels.
        """
        due = self._frames % SEARCH_EVERY == 0
        self._frames += 1
        found = None
        if self._last is not None:
            found = self._mesh(rgb, roi_around(self._last))
            if found is not None and not _same_face(found, self._last):
                found = None
        if found is None or due:
            found = self._choose(found, self._search(rgb, tiles=due))
        if found is not None:
            self._last = found
        return found

    def _search(self, rgb: NDArray[np.uint8], tiles: bool) -> list[Landmarks]:
        """Faces of the whole frame, largest first; where there is none, small ones."""
        faces = self._confirmed(rgb, self._detector(rgb))
        if not faces and self._last is None:
            if self._far_detector is None:
                self._far_detector = Detector(full_range=True)
            faces = self._confirmed(rgb, self._far_detector(rgb))
            if not faces and tiles:
                faces = self._confirmed(rgb, _in_tiles(rgb, self._far_detector))
        self.faces = len(faces)
        return faces

    def _confirmed(self, rgb: NDArray[np.uint8], rois: Iterable[Roi]) -> list[Landmarks]:
        """The faces that the mesh sees at `rois`, each once, largest first."""
        faces: list[Landmarks] = []
        for roi in rois:
            rough = self._mesh(rgb, roi)
            face = None if rough is None else self._mesh(rgb, roi_around(rough))
            if face is not None and not any(_same_face(face, other) for other in faces):
                faces.append(face)
        return sorted(faces, key=_size, reverse=True)

    def _choose(self, tracked: Landmarks | None, faces: list[Landmarks]) -> Landmarks | None:
        """The face to follow: the largest if there was none before, else the tracked or the nearest to the last."""
        last = self._last
        if last is None:
            return faces[0] if faces else None
        if tracked is None:
            same = (face for face in faces if _same_face(face, last))
            return min(same, key=lambda face: _shift(face, last), default=None)
        if faces and _size(faces[0]) > TAKEOVER_GROWTH * _size(tracked):
            self.stretch += 1
            return faces[0]
        self.faces = max(self.faces, 1)
        return tracked


def _in_tiles(rgb: NDArray[np.uint8], detector: Detector) -> Iterator[Roi]:
    """Detections in overlapping tiles that cover a frame larger than one tile, in pixels of the frame."""
    rows, columns = (_tile_starts(length) for length in rgb.shape[:2])
    if len(rows) * len(columns) > 1:
        for top, left in product(rows, columns):
            for roi in detector(rgb[top : top + TILE_PX, left : left + TILE_PX]):
                yield replace(roi, x=roi.x + left, y=roi.y + top)


def _tile_starts(length: int) -> list[int]:
    beyond = max(0, length - TILE_PX)
    return [round(start) for start in np.linspace(0, beyond, 1 + -(-4 * beyond // (3 * TILE_PX)))]


def _size(face: Landmarks) -> float:
    return float(np.ptp(face, axis=0).max())


def _shift(face: Landmarks, other: Landmarks) -> float:
    """Distance of two faces in sizes of the smaller one."""
    return float(np.hypot(*(face.mean(axis=0) - other.mean(axis=0)))) / min(_size(face), _size(other))


def _same_face(face: Landmarks, other: Landmarks) -> bool:
    growth = _size(face) / _size(other)
    return 1 / SAME_FACE_GROWTH < growth < SAME_FACE_GROWTH and _shift(face, other) < SAME_FACE_SHIFT
