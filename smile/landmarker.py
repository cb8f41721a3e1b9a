"""Which face of a clip is looked at, and where it is in each frame.

The largest when first seen of those that can be read (`smile.pose`), then the one nearest to where it was last. Once in
a while the whole frame is searched again; a face that has become much larger than the followed one takes its place.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, hypot
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from smile.mesh import Detector, Landmarks, Mesh, Roi, roi_around
from smile.pose import is_readable

SEARCH_EVERY = 25
"""Frames between thorough searches: for others while a face is followed, for small ones while none is."""
TILE_PX = 480
"""Side of the tiles that a large frame without a face is searched in. The full-range detector sees a face from about a
tenth of its picture on, which in a tile is one that is too small to be read: so it can be told that it is."""
LEAST_TILE_PX = 48
"""No face that is large enough fits a smaller one."""
TILE_OVERLAP = 0.2
"""Share of its side that a tile has in common with the next. What is larger is seen in the whole frame."""
CLOSE_PX = 256
"""Shorter side that a frame is shrunk to when it is searched for faces that fill it."""
CLOSE_MARGIN = 0.5
"""Grey around it then, as a share of that side: the detector does not see a face without surroundings. Of 180 stills,
cut down to 65 % of their side, which leaves brows to mouth, it found 36 as they were and 176 within this margin; cut
down to 80 %, 152 and all."""
CLOSE_ASPECT = 4.0
"""A strip with longer sides than this many shorter ones is not filled by a face."""
GREY = 127
SETTLING_LOOKS = 2
"""Times that the mesh looks again at what it found at a detection: boxes and eye lines of the detector are rough."""
SAME_FACE_SHIFT = 0.5
SAME_FACE_GROWTH = 1.33
"""A face further from the last place than this share of the square around it, or this much larger or smaller than the
followed one lately was, is another one."""
SIZE_WEIGHT = 0.2
"""Weight of a new size in what the size lately was: step by step the mesh can slip over to a face that passes in
front."""
TAKEOVER_GROWTH = 1.5
"""A face this much larger than the followed one takes its place."""


@dataclass(frozen=True)
class _Face:
    landmarks: Landmarks
    roi: Roi


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
        self._last: Roi | None = None
        self._side = 0.0
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
        face = None if self._last is None else self._look(rgb, self._last)
        if face is not None and not self._is_followed(face):
            face = None
        if face is None or due:
            face = self._choose(face, self._search(rgb, face, due))
        if face is None:
            return None
        weight = SIZE_WEIGHT if self._is_followed(face) else 1.0
        self._side += weight * (face.roi.side - self._side)
        self._last = face.roi
        return face.landmarks

    def _is_followed(self, face: _Face) -> bool:
        return self._last is not None and _same_place(face.roi, replace(self._last, side=self._side))

    def _look(self, rgb: NDArray[np.uint8], roi: Roi) -> _Face | None:
        landmarks = self._mesh(rgb, roi)
        return None if landmarks is None else _Face(landmarks, roi_around(landmarks))

    def _search(self, rgb: NDArray[np.uint8], tracked: _Face | None, due: bool) -> list[_Face]:
        """Faces of the whole frame, readable ones and then larger ones first; the smallest are looked for only where
        there is no other."""
        faces = [] if tracked is None else [tracked]
        self._add(faces, rgb, self._detector(rgb))
        if due:
            self._add(faces, rgb, _in_tiles(rgb, min(rgb.shape[:2]), self._detector))
        if due or (not faces and self._last is None):
            self._add(faces, rgb, _from_close(rgb, self._detector))
        if not faces and self._last is None:
            if self._far_detector is None:
                self._far_detector = Detector(full_range=True)
            self._add(faces, rgb, self._far_detector(rgb))
            if due and not faces:
                self._add(faces, rgb, _in_tiles(rgb, TILE_PX, self._far_detector))
        self.faces = len(faces)
        return sorted(faces, key=lambda face: (is_readable(face.landmarks, rgb), face.roi.side), reverse=True)

    def _add(self, faces: list[_Face], rgb: NDArray[np.uint8], rois: Iterable[Roi]) -> None:
        """Add those of the `rois` where the mesh sees a face that is not among `faces` yet."""
        for roi in rois:
            if any(_same_place(roi, face.roi) for face in faces):
                continue
            face = self._look(rgb, roi)
            for _ in range(SETTLING_LOOKS):
                face = None if face is None else self._look(rgb, face.roi)
            if face is not None and not any(_same_place(face.roi, other.roi) for other in faces):
                faces.append(face)

    def _choose(self, tracked: _Face | None, faces: list[_Face]) -> _Face | None:
        """The face to follow: the first if there was none before, else the tracked or the nearest to the last."""
        last = self._last
        if last is None:
            return faces[0] if faces else None
        if tracked is None:
            same = filter(self._is_followed, faces)
            return min(same, key=lambda face: _shift(face.roi, last), default=None)
        if faces[0].roi.side > TAKEOVER_GROWTH * tracked.roi.side:
            self.stretch += 1
            return faces[0]
        return tracked


def _from_close(rgb: NDArray[np.uint8], detector: Detector) -> Iterator[Roi]:
    """Detections in the frame within a grey margin, in pixels of the frame."""
    shorter, longer = sorted(rgb.shape[:2])
    if longer > CLOSE_ASPECT * shorter:
        return
    scale = CLOSE_PX / shorter
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    margin = round(CLOSE_MARGIN * CLOSE_PX)
    framed = np.pad(small, ((margin, margin), (margin, margin), (0, 0)), constant_values=GREY)
    for roi in detector(np.asarray(framed, np.uint8)):
        yield replace(roi, x=(roi.x - margin) / scale, y=(roi.y - margin) / scale, side=roi.side / scale)


def _in_tiles(rgb: NDArray[np.uint8], side: int, detector: Detector) -> Iterator[Roi]:
    """Detections in overlapping square tiles of a frame that is larger than one, in pixels of the frame."""
    rows, columns = (_tile_starts(length, side) for length in rgb.shape[:2])
    if side >= LEAST_TILE_PX and len(rows) * len(columns) > 1:
        for top, left in product(rows, columns):
            for roi in detector(rgb[top : top + side, left : left + side]):
                yield replace(roi, x=roi.x + left, y=roi.y + top)


def _tile_starts(length: int, side: int) -> list[int]:
    beyond = max(0, length - side)
    steps = ceil(beyond / (side * (1 - TILE_OVERLAP)))
    return [round(start) for start in np.linspace(0, beyond, 1 + steps)]


def _shift(place: Roi, other: Roi) -> float:
    """Distance of two places in sizes of the smaller one."""
    return hypot(place.x - other.x, place.y - other.y) / min(place.side, other.side)


def _same_place(place: Roi, other: Roi) -> bool:
    return 1 / SAME_FACE_GROWTH < place.side / other.side < SAME_FACE_GROWTH and _shift(place, other) < SAME_FACE_SHIFT
