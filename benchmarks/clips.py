"""The clips that are measured: the demo clip, forth and back, scaled onto a wider picture."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

DEMO = Path(__file__).resolve().parent.parent / "demo/astronaut_smile.mp4"
SIZES = {"640x360": (640, 360, 30), "1920x1080": (1920, 1080, 50)}
"""Width, height, frames per second. 1920x1080 at 50 is UvA-NEMO's."""


def write(path: Path, size: str, seconds: float) -> Path:
    """An H.264 clip of `seconds`, its face two thirds of the picture high, with a camera's noise."""
    width, height, rate = SIZES[size]
    noise = np.random.default_rng(0).normal(0, 2, (height, width, 3))
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate, {"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, rate)
        for number, face in enumerate(islice(_faces(height), int(seconds * rate))):
            picture = np.full((height, width, 3), 96, np.float64)
            left = (width - face.shape[1]) // 2
            picture[:, left : left + face.shape[1]] = face
            picture += np.roll(noise, 7 * number, axis=1)
            frame = av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _faces(height: int) -> Iterator[NDArray[Any]]:
    with av.open(DEMO) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    scaled = [cv2.resize(frame, (height * frame.shape[1] // frame.shape[0], height)) for frame in frames]
    return cycle([*scaled, *reversed(scaled)])
