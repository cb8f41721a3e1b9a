"""Labelled stills as SIAM's alignment keeps frames: an upright patch around the face with its 68 landmarks.

    <cache>/<key>/<first row>.npz    pixels (n, 160, 160) uint8 grey, points (n, 68, 2) float32 in pixels of the patch

Few faces can be rendered as smiles and many are needed to learn what age looks like: a training still joins the smiles
as a short sequence of one face. A finished file is never computed again.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smile import frontal, piecewise
from smile.frontal_shape import FACEMESH_POINTS
from smile.landmarker import FaceLandmarker
from training import ROOT, augment, parallel
from training.feature_store import preprocessing
from training.portraits import Source, digest
from training.stills import PAD_PX, Stills
from training.whole import whole

CACHE = ROOT / ".cache/siam_stills"
CHUNK = 512
LANDMARK_PX = 1.0
"""Standard deviation of what a landmark is moved by in a training view, in pixels of the patch, whose side is 160."""


@dataclass(frozen=True)
class StillFaces:
    """Of every still, in the order of training.stills.

    Attributes:
        pixels: (n, 160, 160) uint8 grey. points: (n, 68, 2) float32.
    """

    pixels: NDArray[np.uint8]
    points: NDArray[np.float32]

    def plain(self, row: int) -> NDArray[np.uint8]:
        """(114, 114) uint8 grey, as the service would warp it."""
        return piecewise.warp(self.pixels[row], self.points[row])

    def view(self, row: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """(114, 114) uint8 grey for training: mirrored or not, other light, landmarks a little off; some degraded."""
        image = np.repeat(self.pixels[row][..., None], 3, axis=2)
        if rng.random() < 0.5:
            image = augment.relight(image, rng)
        if rng.random() < augment.DEGRADED:
            image = augment.degrade(image, rng)
        points = self.points[row] + rng.normal(0, LANDMARK_PX, self.points.shape[1:]).astype(np.float32)
        face = piecewise.warp(image, points).mean(axis=2).round().astype(np.uint8)
        return np.ascontiguousarray(face[:, ::-1]) if rng.random() < 0.5 else face


def prepare(archive: Path, data: Stills, cache: Path = CACHE, processes: int | None = None) -> StillFaces:
    """The patches of all stills, from the cache where they are there.

    Raises:
        ValueError: a still in which no face is found; those of training.stills all show one.
    """
    versions = [digest(archive), preprocessing(), PAD_PX, frontal.PATCH_PX, frontal.MARGIN, FACEMESH_POINTS]
    folder = cache / hashlib.sha256(json.dumps(versions).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    paths = {Path(entry.path).name: entry.path for entry in Source(archive).entries}
    names = [paths[str(name)] for name in data.names]
    jobs = [(archive, names[at : at + CHUNK], folder / f"{at:06d}.npz") for at in range(0, len(names), CHUNK)]
    waiting = [job for job in jobs if not job[2].exists()]
    for _ in parallel.run_all(
        _work, waiting, "faces of stills", processes, parallel.hush, done=len(jobs) - len(waiting)
    ):
        pass
    pixels, points = zip(*(_read(target) for _, _, target in jobs), strict=True)
    return StillFaces(np.concatenate(pixels), np.concatenate(points))


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    with np.load(path) as arrays:
        return arrays["pixels"], arrays["points"]


@lru_cache(maxsize=1)
def _source(archive: Path) -> Source:
    return Source(archive)


def _work(job: tuple[Path, list[str], Path]) -> None:
    archive, names, target = job
    patches = [_patch(_source(archive).read(name), name) for name in names]
    points = [frontal.in_patch(patch, patch.points.astype(np.float64)) for patch in patches]
    with whole(target) as file:
        np.savez(file, pixels=np.stack([patch.pixels for patch in patches]), points=np.stack(points))


def _patch(chip: NDArray[np.uint8], name: str) -> frontal.FacePatch:
    """As training.stills.aligned: shown twice, so that the landmarks come from the tracked region."""
    padded = np.pad(chip, ((PAD_PX, PAD_PX), (PAD_PX, PAD_PX), (0, 0)))
    with FaceLandmarker() as landmarker:
        landmarker.locate(padded)
        landmarks = landmarker.locate(padded)
    if landmarks is None:
        raise ValueError(f"no face is found in {name}")
    return frontal.cut(padded, landmarks)
