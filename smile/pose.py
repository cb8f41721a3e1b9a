"""How a face is turned and whether it is all in the picture, from its landmarks."""

import numpy as np
from numpy.typing import NDArray

from smile.mesh import Landmarks

EYES = ((33, 133), (263, 362))
"""Outer and inner corner of the eye at image left and of the one at image right, in an upright face."""
MOUTH_CORNERS = (61, 291)
SIDES_AND_NOSE = (234, 1, 454)
"""Edge of the face before the ear at image left, nose tip, edge at image right."""
NOSE_DEPTH = 1.293
"""(nose tip - face edge) in depth / half the width between the edges, in mediapipe's canonical face."""
LARGE_YAW_DEG = 30.0
"""Beyond it a frame counts as a large pose: the far side of the face is foreshortened and the mouth ratio with it."""
LOST_YAW_DEG = 45.0
"""Beyond it the nose hides the far cheek and the mesh guesses: the frame counts as one without the face."""
SLACK = 0.1
"""Share of the eyes' distance by which eyes and mouth may lie outside the frame: landmarks err."""


def eye_centres(face: Landmarks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(2,) middle of the two corners of each eye, (x, y) in pixels of the frame: image left and image right once the
    face is upright, so a face upside down is turned upright as well."""
    left, right = (face[list(corners)].astype(np.float64).mean(axis=0) for corners in EYES)
    return left, right


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


def is_readable(face: Landmarks, frame: NDArray[np.uint8]) -> bool:
    """Whether the mesh saw what it tells: the face is no profile, and eyes and mouth lie in the (H, W, 3) frame."""
    left_eye, right_eye = eye_centres(face)
    slack = SLACK * np.hypot(*(right_eye - left_eye))
    features = face[[*EYES[0], *EYES[1], *MOUTH_CORNERS]]
    is_inside = np.all((features >= -slack) & (features <= frame.shape[1::-1] + slack))
    return bool(is_inside) and abs(yaw_deg(face)) <= LOST_YAW_DEG
