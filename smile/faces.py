"""Frames -> aligned crops of one face: it is followed (`smile.landmarker`), short gaps are bridged (SPEC C1)."""

from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smile import alignment, frontal
from smile.errors import FaceTooSmall, NoFace
from smile.landmarker import FaceLandmarker
from smile.mesh import EYE_LINE, Landmarks
from smile.video import Sample

EYES = ((33, 133), (263, 362))
"""Outer and inner corner of the eye at image left and of the one at image right, in an upright face."""
MOUTH_CORNERS = (61, 291)
SIDES_AND_NOSE = (234, 1, 454)
"""Edge of the face before the ear at image left, nose tip, edge at image right."""

BRIDGE_INSTANTS = 5
"""Longest loss of the face that is bridged by holding the last matrix: 0.2 s at 25 Hz. A single sample is always
bridged, however far apart those of a thinned or slow clip are: one frame in which the face is missed would end it."""
LARGE_YAW_DEG = 30.0
"""Beyond it a frame counts as a large pose: the far side of the face is foreshortened and the mouth ratio with it."""
LOST_YAW_DEG = 45.0
"""Beyond it the nose hides the far cheek and the mesh guesses: the frame counts as one without the face."""
NOSE_DEPTH = 1.293
"""(nose tip - face edge) in depth / half the width between the edges, in mediapipe's canonical face."""


def eye_centres(face: Landmarks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(2,) middle of the two corners of each eye, (x, y) in pixels of the frame: image left and image right once the
    face is upright, so a face upside down is turned upright as well."""
    left, right = (face[list(corners)].astype(np.float64).mean(axis=0) for corners in EYES)
    return left, right


def mouth_ratio(face: Landmarks) -> float:
    """Distance of the mouth corners / distance of the outer eye corners: about 0.5 at rest, 0.7 in a broad smile."""
    mouth = face[MOUTH_CORNERS[0]] - face[MOUTH_CORNERS[1]]
    eyes = face[EYE_LINE[0]] - face[EYE_LINE[1]]
    return float(np.hypot(*mouth) / np.hypot(*eyes))


def yaw_deg(face: Landmarks) -> float:
    """Turn of the head about its upright axis, from where the nose tip stands between the two edges of the face.

    Along the eye line, nose - middle = depth * sin(yaw) and half the width = width * cos(yaw), seen from afar, so
    tan(yaw) = offset / half width / NOSE_DEPTH. Within 8 degrees of the yaw in FaceMesh's own depths on real clips.

    Returns:
        degrees, positive towards image right; 90 where the edges have changed places.
    """
    left_eye, right_eye = eye_centres(face)
    left, nose, right = face[list(SIDES_AND_NOSE)] @ (right_eye - left_eye)
    half_width = (right - left) / 2
    return float(np.degrees(np.arctan2(nose - (left + right) / 2, max(half_width, 0.0) * NOSE_DEPTH)))


@dataclass(frozen=True)
class AlignedFace:
    """The followed face in one sample of the clip.

    Attributes:
        instants, time_s: of the sample.
        crop: (96, 96, 3) uint8 RGB.
        matrix: (2, 3) float64, frame -> crop.
        mouth_ratio: mouth-corner distance / outer-eye-corner distance, nan where bridged.
        bridged: no landmarks in this frame, matrix held from the last one.
        stretch: number of the unbroken stretch of the clip; grows after each loss longer than the bridge.
        patch: what SIAM's own alignment needs of the frame, None unless asked for.
    """

    instants: tuple[int, ...]
    time_s: float
    crop: NDArray[np.uint8]
    matrix: NDArray[np.float64]
    mouth_ratio: float
    bridged: bool
    stretch: int
    patch: frontal.FacePatch | None = None


@dataclass
class FaceReport:
    """What was seen of faces in a clip, filled by `align` as it goes; its size does not depend on the clip.

    Attributes:
        frames_seen: samples looked at.
        frames_with_face: those with landmarks of the followed face, profile views excluded.
        frames_bridged: those without that were emitted with a held matrix.
        frames_large_pose: those with the head turned by more than LARGE_YAW_DEG, profile views included.
        frames_cut: those with a face whose crop reaches beyond the frame.
        faces_max: largest number of faces seen at once.
    """

    frames_seen: int = 0
    frames_with_face: int = 0
    frames_bridged: int = 0
    frames_large_pose: int = 0
    frames_cut: int = 0
    faces_max: int = 0
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

    def check(self) -> None:
        """Judge a whole clip.

        Raises:
            NoFace: no frame shows a face.
            FaceTooSmall: the followed face is smaller than the aligner needs.
        """
        if not self.frames_with_face:
            turned = " other than in profile" if self.frames_large_pose else ""
            raise NoFace(f"No face was found in the {self.frames_seen} frames looked at{turned}.")
        distance = self.eye_distance_px
        if distance < alignment.MIN_EYE_DISTANCE_PX:
            raise FaceTooSmall(
                f"The eyes are {distance:.0f} pixels apart and {alignment.MIN_EYE_DISTANCE_PX:.0f} are needed: "
                "film from closer or at a higher resolution."
            )


def align(
    samples: Iterable[Sample], report: FaceReport, *, patches: frontal.Colours | None = None
) -> Generator[AlignedFace, None, None]:
    """Follow the face through a clip and cut out its aligned crops, as a stream.

    A gap of one sample, or of at most BRIDGE_INSTANTS, is bridged; its crops are held back until the face returns, and
    dropped where it does not. The landmarker lives as long as this generator: close it if it is not read to the end.

    Args:
        samples: of one clip, in order.
        report: filled while the stream is read; complete at its end.
        patches: also cut out the patches of smile.frontal, in these colours.
    """
    last: AlignedFace | None = None
    held: list[AlignedFace] = []
    with closing(FaceLandmarker()) as landmarker:
        for sample in samples:
            report.frames_seen += 1
            landmarks = landmarker.locate(sample.rgb)
            report.faces_max = max(report.faces_max, landmarker.faces)
            if landmarks is not None:
                yaw = abs(yaw_deg(landmarks))
                report.frames_large_pose += yaw > LARGE_YAW_DEG
                if yaw > LOST_YAW_DEG:
                    landmarks = None
            if landmarks is not None:
                if last is not None and landmarker.stretch == last.stretch:
                    report.frames_bridged += len(held)
                    yield from held
                held.clear()
                last = _aligned(sample, landmarks, landmarker.stretch, report, patches)
                yield last
            elif last is not None:
                if not held or sample.instants[-1] - last.instants[-1] <= BRIDGE_INSTANTS:
                    held.append(_held(sample, last))
                else:
                    held.clear()
                    last = None
                    landmarker.forget()


def _aligned(
    sample: Sample, landmarks: Landmarks, stretch: int, report: FaceReport, patches: frontal.Colours | None
) -> AlignedFace:
    left_eye, right_eye = eye_centres(landmarks)
    matrix = alignment.similarity(left_eye, right_eye)
    report.frames_with_face += 1
    report.frames_cut += alignment.reaches_beyond(sample.rgb, matrix)
    report._eye_distances[round(float(np.hypot(*(right_eye - left_eye))))] += 1
    crop = alignment.warp(sample.rgb, matrix)
    patch = frontal.cut(sample.rgb, landmarks, patches) if patches else None
    return AlignedFace(sample.instants, sample.time_s, crop, matrix, mouth_ratio(landmarks), False, stretch, patch)


def _held(sample: Sample, last: AlignedFace) -> AlignedFace:
    crop = alignment.warp(sample.rgb, last.matrix)
    patch = frontal.held(sample.rgb, last.patch) if last.patch else None
    return AlignedFace(sample.instants, sample.time_s, crop, last.matrix, float("nan"), True, last.stretch, patch)
