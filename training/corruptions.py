"""What real video does to a face, done to the crops of an evaluation as the augmentation (training.augment) does not.

Each takes and gives (n, 96, 96, 3) uint8 RGB.
"""

import io
from collections.abc import Callable

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from smile import alignment

Images = NDArray[np.uint8]
SMALL_PX = 60
DARKENING = 0.2
DISC_RADIUS_PX = 2.2
QUANTISER = 40
TURN_DEGREES, CAMERA = 40.0, 5.0
"""Yaw, and distance of the camera in distances of the eyes."""


def blurred(crops: Images) -> Images:
    """Out of focus: an even disc, not the augmentation's Gaussian or line."""
    reach = int(np.ceil(DISC_RADIUS_PX))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(DISC_RADIUS_PX + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    spread = disc / disc.sum()
    out = [np.asarray(cv2.filter2D(crop, -1, spread, borderType=cv2.BORDER_REFLECT), np.uint8) for crop in crops]
    return np.stack(out)


def recompressed(crops: Images) -> Images:
    """Intra-coded H.264 at a coarse quantiser, not the augmentation's JPEG."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "1", "qp": str(QUANTISER), "preset": "fast"})
        stream.height, stream.width, stream.pix_fmt = crops.shape[1], crops.shape[2], "yuv420p"
        for crop in crops:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(crop, format="rgb24")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as coded:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in coded.decode(video=0)])


def darkened(crops: Images) -> Images:
    """A fifth of the light and the shot noise that comes with it, not the augmentation's even Gaussian noise."""
    rng = np.random.default_rng(0)
    electrons = crops.astype(np.float32) * DARKENING * 2
    return np.clip(rng.poisson(electrons) / 2, 0, 255).astype(np.uint8)


def small(crops: Images) -> Images:
    """A face 60 px wide, sampled without prefilter and enlarged by Lanczos, which the augmentation never uses."""
    side = crops.shape[1]
    return np.stack(
        [
            cv2.resize(
                cv2.resize(crop, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_CUBIC),
                (side, side),
                interpolation=cv2.INTER_LANCZOS4,
            )
            for crop in crops
        ]
    )


def turned(crops: Images) -> Images:
    """Seen from the side and aligned by the eyes again, which makes it larger: a plane in perspective, not the
    augmentation's head without one."""
    yaw, unit = np.deg2rad(TURN_DEGREES), alignment.EYE_DISTANCE_PX
    left = np.array(alignment.LEFT_EYE_PX)
    to_plane = np.array([[1 / unit, 0, -left[0] / unit - 0.5], [0, 1 / unit, -left[1] / unit], [0, 0, 1]])
    seen = np.array([[np.cos(yaw), 0, 0], [0, 1, 0], [np.sin(yaw) / CAMERA, 0, 1]])
    eyes = [point[:2] / point[2] for point in (seen @ (x, 0, 1) for x in (-0.5, 0.5))]
    back = np.vstack([alignment.similarity(*eyes), (0, 0, 1)])
    centres = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # cv2 counts from pixel centres
    whole = np.linalg.inv(centres) @ back @ seen @ to_plane @ centres
    return np.stack(
        [
            np.asarray(cv2.warpPerspective(crop, whole, crop.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)
            for crop in crops
        ]
    )


CORRUPTIONS: dict[str, Callable[[Images], Images]] = {
    "blurred": blurred,
    "recompressed": recompressed,
    "darkened": darkened,
    "small": small,
    "turned": turned,
}
