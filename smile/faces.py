"""Frames -> aligned crops of one face: it is followed (`smile.landmarker`), short gaps are bridged (SPEC C1)."""

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smile import alignment, frontal
from smile.errors import FaceTooSmall, NoFace
from smile.landmarker import FaceLandmarker
from smile.mesh import EYE_LINE, Landmarks
from smile.pose import LARGE_YAW_DEG, MOUTH_CORNERS, eye_centres, is_readable, yaw_deg
from smile.sampling import stride_at
from smile.video import Sample

WHOLE = 0.9
"""Share of its crop within the frame from which on a face counts as whole."""
BRIDGE_INSTANTS = 5
"""Longest loss of the face that is bridged by holding the last matrix: 0.2 s at 25 Hz. A single sample is always
bridged, however far apart those of a thinned or slow clip are: one frame in which the face is missed would end it."""


def mouth_ratio(face: Landmarks) -> float:
    """Distance of the mouth corners / distance of the outer eye corners: about 0.5 at rest, 0.7 in a broad smile."""
    mouth = face[MOUTH_CORNERS[0]] - face[MOUTH_CORNERS[1]]
    eyes = face[EYE_LINE[0]] - face[EYE_LINE[1]]
    return float(np.hypot(*mouth) / np.hypot(*eyes))


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

    @property
    def eye_distance_px(self) -> float:
        """Of the eye centres, in pixels of the sample."""
        return alignment.EYE_DISTANCE_PX / float(np.hypot(*self.matrix[0, :2]))


@dataclass
class FaceReport:
    """What was seen of faces in a clip, filled by `align` as it goes; its size does not depend on the clip.

    Attributes:
        frames_seen: samples looked at.
        frames_with_face: those with landmarks of the followed face that can be read (smile.pose.is_readable).
        frames_bridged: those without that were emitted with a held matrix.
        faces_max: largest number of faces seen at once.
        instants_seen, instants_with_face: instants of the grid that such samples stand for: in a thinned clip the
            later samples stand for more.
        instants_large_pose: with the head turned by more than LARGE_YAW_DEG, profile views included.
        instants_cut: with a part of the face outside the frame: of its crop, or even eyes or mouth.
    """

    frames_seen: int = 0
    frames_with_face: int = 0
    frames_bridged: int = 0
    faces_max: int = 0
    instants_seen: int = 0
    instants_with_face: int = 0
    instants_large_pose: int = 0
    instants_cut: int = 0

    def check(self) -> None:
        """Judge a whole clip. Raises NoFace where no frame shows a face that can be read."""
        if not self.frames_with_face:
            cut = " other than cut off by the edge of the picture" if self.instants_cut else ""
            turned = " other than in profile" if self.instants_large_pose else ""
            raise NoFace(f"No face was found in the {self.frames_seen} frames looked at{cut or turned}.")


def check_size(eye_distance_px: float, scale: float = 1.0) -> None:
    """Refuse a face that is smaller than the aligner needs.

    Args:
        eye_distance_px: in samples.
        scale: size of these over that of the clip (smile.video.VideoInfo), in whose pixels the error speaks.

    Raises:
        FaceTooSmall: it is.
    """
    if eye_distance_px < alignment.MIN_EYE_DISTANCE_PX:
        raise FaceTooSmall(
            f"The eyes are {eye_distance_px / scale:.0f} pixels apart and {alignment.MIN_EYE_DISTANCE_PX / scale:.0f} "
            "are needed: film from closer or at a higher resolution."
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
            landmarks = landmarker.locate(sample.rgb)
            matrix = _matrix(sample, landmarks, report)
            report.faces_max = max(report.faces_max, landmarker.faces)
            if landmarks is not None and matrix is not None:
                if last is not None and landmarker.stretch == last.stretch:
                    report.frames_bridged += len(held)
                    yield from held
                held.clear()
                last = _aligned(sample, landmarks, matrix, landmarker.stretch, patches)
                yield last
            elif last is None:
                landmarker.forget()
            elif not held or sample.instants[-1] - last.instants[-1] <= BRIDGE_INSTANTS:
                held.append(_held(sample, last))
            else:
                held.clear()
                last = None
                landmarker.forget()


def _matrix(sample: Sample, face: Landmarks | None, report: FaceReport) -> NDArray[np.float64] | None:
    """(2, 3), frame -> crop, where the face can be read; what is seen of it is counted."""
    instants = sum(map(stride_at, sample.instants))
    report.frames_seen += 1
    report.instants_seen += instants
    if face is None:
        return None
    matrix = alignment.similarity(*eye_centres(face))
    report.instants_large_pose += instants * (abs(yaw_deg(face)) > LARGE_YAW_DEG)
    report.instants_cut += instants * (alignment.share_inside(sample.rgb, matrix) < WHOLE)
    if not is_readable(face, sample.rgb):
        return None
    report.frames_with_face += 1
    report.instants_with_face += instants
    return matrix


def _aligned(
    sample: Sample,
    landmarks: Landmarks,
    matrix: NDArray[np.float64],
    stretch: int,
    patches: frontal.Colours | None,
) -> AlignedFace:
    crop = alignment.warp(sample.rgb, matrix)
    patch = frontal.cut(sample.rgb, landmarks, patches) if patches else None
    return AlignedFace(sample.instants, sample.time_s, crop, matrix, mouth_ratio(landmarks), False, stretch, patch)


def _held(sample: Sample, last: AlignedFace) -> AlignedFace:
    crop = alignment.warp(sample.rgb, last.matrix)
    patch = frontal.held(sample.rgb, last.patch) if last.patch else None
    return AlignedFace(sample.instants, sample.time_s, crop, last.matrix, float("nan"), True, last.stretch, patch)
