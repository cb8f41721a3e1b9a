"""Similarity alignment of a face by its two eyes to the 96x96 crop that the backbone sees (SPEC C1, our choice).

Coordinates are continuous: x right, y down, pixel k of a row covers [k, k+1), so its centre is k + 0.5.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

CROP_PX = 96
EYE_DISTANCE_PX = 48.0
LEFT_EYE_PX = (24.0, 26.0)
"""Where the image-left eye lands in the crop, (x, y); the image-right eye lands EYE_DISTANCE_PX further right."""
MIN_EYE_DISTANCE_PX = 24.0
"""Eyes closer than this in the clip would be enlarged more than twice: too little to look at."""


def similarity(left_eye: NDArray[np.float64], right_eye: NDArray[np.float64]) -> NDArray[np.float64]:
    """The similarity that carries the eyes to their places in the crop.

    Args:
        left_eye, right_eye: (2,) image-left and image-right eye centre, (x, y) in pixels of the frame.

    Returns:
        (2, 3) float64 M with crop = M @ [x, y, 1].
    """
    (ax, ay), (dx, dy) = left_eye, right_eye - left_eye
    length2 = dx * dx + dy * dy
    c, s = EYE_DISTANCE_PX * dx / length2, EYE_DISTANCE_PX * dy / length2
    tx, ty = LEFT_EYE_PX
    return np.array([[c, s, tx - c * ax - s * ay], [-s, c, ty + s * ax - c * ay]])


def warp(frame: NDArray[np.uint8], matrix: NDArray[np.float64], side: int = CROP_PX) -> NDArray[np.uint8]:
    """Resample a frame into the crop, or into another square.

    Bilinear; a large face is first reduced by whole factors with area averaging, so that no detail aliases. Outside the
    frame the border is repeated.

    Args:
        frame: (H, W, 3) uint8 RGB.
        matrix: (2, 3) similarity, frame -> crop.
        side: of the crop in pixels.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[0, 1]))
    reduction = max(1, int(1.0 / scale))
    if reduction > 1:
        frame, matrix = _reduced(frame, matrix, side, reduction)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # cv2 counts from pixel centres
    crop = cv2.warpAffine(frame, shifted, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def share_inside(frame: NDArray[np.uint8], matrix: NDArray[np.float64]) -> float:
    """Share of the crop that shows the frame; in the rest `warp` repeats its border."""
    height, width = frame.shape[:2]
    crop = _corners(matrix, CROP_PX)[[0, 1, 3, 2]].astype(np.float32)
    whole = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    common, _ = cv2.intersectConvexConvex(crop, whole)
    area = float(cv2.contourArea(crop))
    return common / area if area > 0 else 0.0


def _corners(matrix: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """(4, 2) corners of the crop, (x, y) in pixels of the frame."""
    inverse = cv2.invertAffineTransform(matrix)  # np.linalg.inv leaves OpenBLAS's threads spinning: half the CPU time
    square = np.array([(0, 0), (side, 0), (0, side), (side, side)])
    return np.asarray(square @ inverse[:, :2].T + inverse[:, 2])


def _reduced(
    frame: NDArray[np.uint8], matrix: NDArray[np.float64], side: int, factor: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut out what the crop shows and shrink it by a whole factor; the matrix follows."""
    height, width = frame.shape[:2]
    corners = _corners(matrix, side)
    low = np.floor(corners.min(axis=0)).astype(int) - factor
    low = np.clip(low, 0, (max(width - factor, 0), max(height - factor, 0)))
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + factor, (width, height))
    size = np.maximum((high - low) // factor, 1)
    window = frame[low[1] : low[1] + size[1] * factor, low[0] : low[0] + size[0] * factor]
    small = cv2.resize(window, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ low
    moved[:, :2] *= factor
    return np.asarray(small, np.uint8), moved
