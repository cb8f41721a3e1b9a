"""Faces in frames -> aligned crops: one FaceMesh per clip, the largest face followed, short gaps bridged (SPEC C1).

Landmarks are mediapipe's 468 points; "left" is image left before the roll is undone. Nothing here knows of files.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smile import alignment
from smile.errors import FaceTooSmall, NoFace

os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
from mediapipe.python.solutions.face_mesh import FaceMesh  # noqa: E402

if TYPE_CHECKING:
    from smile.video import Sample

Landmarks = NDArray[np.float32]
"""(468, 2) float32, pixels of the frame, x right, y down."""

OUTER_EYE_CORNERS = (33, 263)
INNER_EYE_CORNERS = (133, 362)
MOUTH_CORNERS = (61, 291)
BRIDGE_INSTANTS = 5
"""Longest loss of the face that is bridged by holding the last matrix: 0.2 s at 25 Hz."""


class FaceLandmarker:
    """The followed face of one clip. Holds a mediapipe graph: use as a context manager, in one thread, for one clip."""

    def __init__(self) -> None:
        self._mesh: Any = FaceMesh(max_num_faces=1, refine_landmarks=False)
        self.faces = 0

    def __enter__(self) -> "FaceLandmarker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the graph and its threads."""
        self._mesh.close()

    def locate(self, rgb: NDArray[np.uint8]) -> Landmarks | None:
        """Landmarks of the followed face in the next frame of the clip, None where it is not seen.

        Args:
            rgb: (H, W, 3) uint8 RGB, upright.
        """
        found = self._mesh.process(rgb).multi_face_landmarks
        self.faces = len(found) if found else 0
        if not found:
            return None
        height, width = rgb.shape[:2]
        return np.array([(point.x * width, point.y * height) for point in found[0].landmark], dtype=np.float32)


@dataclass(frozen=True)
class AlignedFace:
    """The followed face in one sample of the clip.

    Attributes:
        instants, time_s: of the sample.
        crop: (96, 96, 3) uint8 RGB.
        matrix: (2, 3) float64, frame -> crop.
        mouth_ratio: mouth-corner distance / outer-eye-corner distance, nan where bridged.
        bridged: no landmarks in this frame, matrix held from the last one.
        stretch: number, from 0, of the unbroken stretch of the clip; grows after each loss longer than the bridge.
    """

    instants: tuple[int, ...]
    time_s: float
    crop: NDArray[np.uint8]
    matrix: NDArray[np.float64]
    mouth_ratio: float
    bridged: bool
    stretch: int


@dataclass
class FaceReport:
    """What was seen of faces in a clip; filled by `align` as it goes."""

    frames_seen: int = 0
    frames_with_face: int = 0
    frames_bridged: int = 0
    faces_max: int = 0
    frames_large_pose: int = 0
    frames_cut: int = 0
    _eye_distances: Counter[int] = field(default_factory=Counter, repr=False)

    @property
    def eye_distance_px(self) -> float:
        """Median distance of the eye centres in whole pixels of the frame; nan where no face was seen."""
        below = 0
        for distance, count in sorted(self._eye_distances.items()):
            below += count
            if 2 * below >= self.frames_with_face:
                return float(distance)
        return float("nan")


def check(report: FaceReport) -> None:
    """Raise what is wrong with the faces of a whole clip.

    Raises:
        NoFace: no frame shows a face.
        FaceTooSmall: the followed face is smaller than the aligner needs.
    """
    if not report.frames_with_face:
        raise NoFace(f"No face was found in any of the {report.frames_seen} frames looked at.")
    if report.eye_distance_px < alignment.MIN_EYE_DISTANCE_PX:
        raise FaceTooSmall(
            f"The eyes are {report.eye_distance_px:.0f} pixels apart; at least {alignment.MIN_EYE_DISTANCE_PX:.0f} are "
            "needed. Film the face from closer or at a higher resolution."
        )


def eye_centres(landmarks: Landmarks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(2,) centres of the eyes left and right in the upright face, (x, y) in pixels of the frame."""
    left, right = (
        landmarks[[outer, inner]].astype(np.float64).mean(axis=0)
        for outer, inner in zip(OUTER_EYE_CORNERS, INNER_EYE_CORNERS, strict=True)
    )
    return left, right


def mouth_ratio(landmarks: Landmarks) -> float:
    """Distance of the mouth corners / distance of the outer eye corners: about 0.5 at rest, 0.7 in a broad smile."""
    mouth, eyes = (landmarks[a] - landmarks[b] for a, b in (MOUTH_CORNERS, OUTER_EYE_CORNERS))
    return float(np.hypot(*mouth) / np.hypot(*eyes))


def align(samples: Iterable["Sample"], report: FaceReport) -> Iterator[AlignedFace]:
    """Follow the face through a clip and cut out its aligned crops, as a stream.

    Frames without landmarks are held back until the face returns within BRIDGE_INSTANTS, else dropped.
    """
    held: list[AlignedFace] = []
    last: AlignedFace | None = None
    stretch = 0
    with closing(FaceLandmarker()) as landmarker:
        for sample in samples:
            report.frames_seen += 1
            landmarks = landmarker.locate(sample.rgb)
            report.faces_max = max(report.faces_max, landmarker.faces)
            if landmarks is not None:
                left, right = eye_centres(landmarks)
                report.frames_with_face += 1
                report._eye_distances[round(float(np.hypot(*(right - left))))] += 1
                matrix = alignment.similarity(left, right)
                crop = alignment.warp(sample.rgb, matrix)
                report.frames_bridged += len(held)
                yield from held
                held.clear()
                last = AlignedFace(sample.instants, sample.time_s, crop, matrix, mouth_ratio(landmarks), False, stretch)
                yield last
            elif last is not None and sample.instants[-1] - last.instants[-1] <= BRIDGE_INSTANTS:
                crop = alignment.warp(sample.rgb, last.matrix)
                held.append(
                    replace(
                        last,
                        instants=sample.instants,
                        time_s=sample.time_s,
                        crop=crop,
                        mouth_ratio=float("nan"),
                        bridged=True,
                    )
                )
            elif last is not None:
                held.clear()
                last, stretch = None, stretch + 1
