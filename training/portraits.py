"""Labelled stills -> faces ready to be moved: framed to one size, landmarks found, the surroundings filled in.

A source is a zip or a folder of images named `{age}_{gender}_*.jpg`, gender 0 = male, 1 = female, as in UTKFace.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from smile.landmarker import FaceLandmarker
from smile.mesh import Mesh, roi_around
from smile.pose import eye_centres, yaw_deg
from smile.tensors import GENDERS
from training.motion import Still
from training.stills import SPLIT, name_key

FRAME_PX = 256
EYE_DISTANCE_PX = 66.0
"""In the framed still: the whole head of most people fits."""
EYES_AT = (0.5, 0.42)
"""Middle of the eyes in the frame, as fractions of its sides."""
MAX_YAW_DEG = 22.0
"""A head turned further cannot be warped believably."""
MIN_SOURCE_EYES_PX = 30.0
"""Smaller faces would be enlarged more than twice."""
SURROUND_PX = 24
"""Beyond the still its mirror image continues, blurred more and more over so many pixels."""
_NAME = re.compile(r"(?:.*/)?(\d{1,3})_([01])_[^/]*\.(?:jpe?g|png)", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A labelled still of a source: path within it, age in years, gender."""

    path: str
    age: int
    gender: str


class Source:
    """A zip archive or a folder of labelled stills.

    Raises:
        ValueError: nothing in it is named as expected.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = zipfile.ZipFile(path) if path.is_file() else None
        names = self._zip.namelist() if self._zip else [str(p.relative_to(path)) for p in path.rglob("*")]
        found = [(name, match) for name in sorted(names) if (match := _NAME.fullmatch(name))]
        if not found:
            raise ValueError(f"{path}: no still is named {{age}}_{{gender 0|1}}_*.jpg")
        self.entries = [Entry(name, int(match[1]), GENDERS[int(match[2])]) for name, match in found]

    def only(self, parts: Collection[str], split: Path = SPLIT) -> list[Entry]:
        """The entries of some parts ("train", "test", ...) of the split that the networks for stills are trained by."""
        stored = json.loads(split.read_text())
        held = {key: name for name, keys in stored.items() if isinstance(keys, list) for key in keys}
        return [entry for entry in self.entries if held.get(name_key(Path(entry.path).name), "train") in parts]

    def read(self, path: str) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB. Raises ValueError where it cannot be decoded."""
        data = self._zip.read(path) if self._zip else (self.path / path).read_bytes()
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError(f"{self.path}: {path} is not an image")
        return np.ascontiguousarray(bgr[..., ::-1])


def portrait(image: NDArray[np.uint8], name: str) -> Still | None:
    """Frame a face; None where there is no face, or one that is too small, cut off or turned away.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        a (256, 256, 3) still with landmarks found on the framed picture itself.
    """
    pad = max(image.shape[:2]) * 3 // 10
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
    with FaceLandmarker() as landmarker:
        found = landmarker.locate(np.asarray(padded, np.uint8))
    if found is None:
        return None
    left, right = eye_centres(found - pad)
    distance = float(np.hypot(*(right - left)))
    if distance < MIN_SOURCE_EYES_PX or abs(yaw_deg(found)) > MAX_YAW_DEG:
        return None
    scale = EYE_DISTANCE_PX / distance
    shift = np.array(EYES_AT) * FRAME_PX - scale * (left + right) / 2
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    framed = _framed(image, matrix)
    moved = ((found - pad) * scale + shift).astype(np.float32)
    with closing(Mesh()) as mesh:
        landmarks = mesh(framed, roi_around(moved))
    if landmarks is None or landmarks.min() < 4 or landmarks.max() > FRAME_PX - 4:
        return None
    return Still(framed, landmarks, name)


def _framed(image: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Resample to the frame; beyond the still's border its reflection fades into a blur, so no edge is seen."""
    size = (FRAME_PX, FRAME_PX)
    reflected = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.warpAffine(np.full(image.shape[:2], 255, np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
    inside = cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=(255,))
    beyond = cv2.distanceTransform(255 - inside, cv2.DIST_L2, 5)[..., None]
    result = reflected.astype(np.float32)
    for at, sigma in ((0.0, 3.0), (0.4, 8.0), (1.0, 18.0)):
        blurred = cv2.GaussianBlur(reflected, (0, 0), sigma).astype(np.float32)
        weight = np.clip((beyond / SURROUND_PX - at) / 0.4, 0.0, 1.0)
        result += weight * (blurred - result)
    return np.round(result).clip(0, 255).astype(np.uint8)


def different(hashes: Collection[int], candidate: int, bits: int) -> bool:
    """Whether `candidate` differs in more than `bits` bits from each of `hashes`."""
    return all((other ^ candidate).bit_count() > bits for other in hashes)


def digest(path: Path) -> str:
    """SHA-256 over the names and sizes of a source's files, to recognise it again."""
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            listing = sorted((info.filename, info.file_size, info.CRC) for info in archive.infolist())
    else:
        listing = sorted((str(p.relative_to(path)), p.stat().st_size, 0) for p in path.rglob("*") if p.is_file())
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
