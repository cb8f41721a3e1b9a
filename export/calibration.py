"""Crops on which int8 ranges are chosen and precisions compared.

Without crops of one's own: the public-domain portrait of Eileen Collins that scikit-image carries, aligned as the
service aligns, under many small misalignments, lights, colours and noises.
"""

from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from export.steps import GATE_FRAMES
from smile import alignment, frontal
from smile.landmarker import FaceLandmarker
from smile.mesh import Landmarks
from smile.tensors import BACKBONE, Graph

CROPS = 64
LEFT_EYE, RIGHT_EYE = (204.2, 102.3), (247.1, 104.4)
"""Eye centres in the portrait, (x, y) in pixels, found with the project's own landmarker."""


def portrait_crops(count: int = CROPS, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 96, 96, 3) uint8 RGB; the same for the same seed."""
    from skimage.data import astronaut

    portrait = astronaut()  # type: ignore[no-untyped-call]
    rng = np.random.default_rng(seed)
    return np.stack([_varied(portrait, rng) for _ in range(count)])


def portrait_faces(count: int = CROPS, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 114, 114) uint8 grey, warped as SIAM sees them; the same for the same seed."""
    from skimage.data import astronaut

    portrait = astronaut()  # type: ignore[no-untyped-call]
    with FaceLandmarker() as landmarker:
        landmarks = landmarker.locate(portrait)
    assert landmarks is not None
    rng = np.random.default_rng(seed)
    return np.stack([_varied_face(portrait, landmarks, rng) for _ in range(count)])


def load_crops(path: Path, graph: Graph = BACKBONE) -> NDArray[np.uint8]:
    """Crops of an .npz (its one array) or of a directory of images, as the only input of `graph` takes them.

    Raises:
        ValueError: nothing there, or not aligned crops of that shape.
    """
    if path.is_dir():
        how = cv2.IMREAD_COLOR_RGB if graph.inputs[0].axes[-1] == 3 else cv2.IMREAD_GRAYSCALE
        read = [cv2.imread(str(file), how) for file in sorted(path.iterdir())]
        crops = [image for image in read if image is not None]
        if not crops:
            raise ValueError(f"{path} holds no images")
        if any(crop.shape != crops[0].shape for crop in crops):
            raise ValueError(f"{path}: the images differ in size")
        stack = np.stack(crops)
    else:
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                stack = arrays[arrays.files[0]]
        except (TypeError, IndexError, EOFError, BadZipFile) as error:
            raise ValueError(f"{path} is no .npz with an array of crops") from error
    expected = graph.inputs[0].axes[1:]
    if stack.shape[1:] != expected or stack.dtype != np.uint8 or not len(stack):
        raise ValueError(f"{path} holds {stack.dtype} {stack.shape}, not uint8 (N, {', '.join(map(str, expected))})")
    return stack.astype(np.uint8)


def dealt(crops: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Crops to calibrate on and crops to compare on: GATE_FRAMES for each in turn, so that those of one clip, which
    follow one another, stay together."""
    blocks = [crops[at : at + GATE_FRAMES] for at in range(0, len(crops), GATE_FRAMES)]
    return np.concatenate(blocks[::2]), np.concatenate(blocks[1::2])


def _varied(portrait: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    eyes = np.array([LEFT_EYE, RIGHT_EYE]) + rng.normal(0, 1.0, (2, 2))
    crop = alignment.warp(portrait, alignment.similarity(eyes[0], eyes[1]))
    return _seen_anew(crop, rng)


def _varied_face(portrait: NDArray[np.uint8], landmarks: Landmarks, rng: np.random.Generator) -> NDArray[np.uint8]:
    moved = landmarks + rng.normal(0, 0.7, landmarks.shape).astype(np.float32)
    (face,) = frontal.frontal_faces([frontal.cut(portrait, moved)])
    return _seen_anew(face, rng)


def _seen_anew(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another light, colour and noise, maybe mirrored."""
    light = (crop / 255.0) ** rng.uniform(0.6, 1.6) * rng.uniform(0.6, 1.3)
    light = light * rng.uniform(0.85, 1.15, crop.shape[2:])
    noisy = 255.0 * light + rng.normal(0, rng.uniform(0, 5), crop.shape)
    flipped = noisy[:, ::-1] if rng.random() < 0.5 else noisy
    return np.clip(flipped, 0, 255).round().astype(np.uint8)
