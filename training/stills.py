"""Labelled stills -> aligned crops, cached once.

    utkface.zip -> FaceMesh eye corners -> (128, 128, 3) crop: the service's 96x96 crop with 16 px more on each side
    crops and labels -> .cache/stills/<key>/{crops.npy,table.npz}; the key hashes the archive and the geometry

training.still_split deals them into parts.

    python -m training.stills        # resumable

The archive is the one that SMILE_STILLS names; its files are named as UTKFace names them, AGE_GENDER_RACE_DATE.jpg.
"""

import argparse
import hashlib
import itertools
import json
import os
import re
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from smile import alignment
from smile.landmarker import FaceLandmarker
from smile.pose import eye_centres
from smile.tensors import GENDERS
from training import ROOT, parallel
from training.ending import in_one_line
from training.whole import whole

VARIABLE = "SMILE_STILLS"
ARCHIVE = Path(os.environ.get(VARIABLE, ROOT / "../shared/data/faces/utkface.zip")).resolve()
CACHE = ROOT / ".cache/stills"
SPLIT = ROOT / "training/splits/utkface.json"

MARGIN_PX = 16
"""Room around the service's crop for shifts, turns and scales of the augmentation."""
STORED_PX = alignment.CROP_PX + 2 * MARGIN_PX
PAD_PX = 60
"""The archive's chips are cut tight: FaceMesh finds 99.8 % of the faces once they are padded by so much."""
RACES = ("White", "Black", "Asian", "Indian", "Others")
"""The data set's own label names, in its order."""
CHUNK = 512
CHIP = ".chip.jpg"
_NAME = re.compile(rf"(?:.*/)?(\d+)_([01])_([0-4])_(\d{{8}})\d*\.jpg(?:{re.escape(CHIP)})?")


class NoStills(ValueError):
    """There are no labelled stills to learn from."""


@dataclass(frozen=True)
class Stills:
    """n labelled stills; every array has n rows.

    Attributes:
        names: of the files, without folder.
        age: float32 years. gender: int64, 0 male, 1 female. race: int64 index of RACES. date: int64 yyyymmdd.
        hashes: (n, 2) uint64 perceptual hash of the chip and of its mirror image.
        crops: (n, 128, 128, 3) uint8 RGB, memory-mapped; the service's crop is its middle.
    """

    names: NDArray[np.str_]
    age: NDArray[np.float32]
    gender: NDArray[np.int64]
    race: NDArray[np.int64]
    date: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    crops: NDArray[np.uint8]

    @cached_property
    def keys(self) -> NDArray[np.str_]:
        """Hash of each name, as the split stores it."""
        return np.array([name_key(str(name)) for name in self.names])

    def centre(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(len(rows), 96, 96, 3) crops as the service would cut them."""
        inner = slice(MARGIN_PX, MARGIN_PX + alignment.CROP_PX)
        return np.ascontiguousarray(self.crops[rows, inner, inner])


def name_key(name: str) -> str:
    """First 10 hex digits of the SHA-256 of a file name, which some copies of UTKFace lengthen by CHIP."""
    return hashlib.sha256(name.removesuffix(CHIP).encode()).hexdigest()[:10]


def aligned(chip: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The face of a still by the service's landmarks and geometry, with MARGIN_PX more on every side.

    The still is shown twice, so that the landmarks come from the tracked region as they do in a clip.

    Args:
        chip: (H, W, 3) uint8 RGB.

    Returns:
        (128, 128, 3) uint8 RGB, None where no face is found.
    """
    padded = np.pad(chip, ((PAD_PX, PAD_PX), (PAD_PX, PAD_PX), (0, 0)))
    with FaceLandmarker() as landmarker:
        landmarker.locate(padded)
        landmarks = landmarker.locate(padded)
    if landmarks is None:
        return None
    matrix = alignment.similarity(*eye_centres(landmarks - PAD_PX))
    wide = np.empty((STORED_PX, STORED_PX, 3), np.uint8)
    for top, left in itertools.product((0, 2 * MARGIN_PX), repeat=2):
        tile = matrix.copy()
        tile[:, 2] += MARGIN_PX - left, MARGIN_PX - top
        wide[top : top + alignment.CROP_PX, left : left + alignment.CROP_PX] = alignment.warp(chip, tile)
    return wide


def perceptual_hash(rgb: NDArray[np.uint8]) -> int:
    """64 signs of the lowest 8x8 cosine coefficients (without the mean) of the image at 32x32, against their median."""
    grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(grey.astype(np.float32))[:9, :9].ravel()[1:65]
    bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def load(archive: Path = ARCHIVE, cache: Path = CACHE, processes: int = 2) -> Stills:
    """The archive's stills, from the cache where they are there, else prepared first (minutes; resumable).

    Raises:
        NoStills: there is no such archive, or none of its files is named as UTKFace names them.
    """
    try:
        with zipfile.ZipFile(archive) as handle:
            entries = sorted((info.filename, info.CRC) for info in handle.infolist() if _NAME.fullmatch(info.filename))
    except (OSError, zipfile.BadZipFile) as error:
        raise NoStills(f"{archive} is no zip of stills ({error}); {VARIABLE} tells where one lies") from error
    if not entries:
        raise NoStills(f"{archive} holds no file named AGE_GENDER_RACE_DATE.jpg, as UTKFace names them")
    geometry = (alignment.CROP_PX, alignment.EYE_DISTANCE_PX, alignment.LEFT_EYE_PX, MARGIN_PX, PAD_PX)
    key = hashlib.sha256(json.dumps([entries, geometry]).encode()).hexdigest()[:16]
    folder = cache / key
    if not (folder / "table.npz").exists():
        _prepare(archive, [name for name, _ in entries], folder, processes)
    with np.load(folder / "table.npz") as table:
        return Stills(**{name: table[name] for name in table.files}, crops=np.load(folder / "crops.npy", mmap_mode="r"))


def _prepare(archive: Path, names: list[str], folder: Path, processes: int) -> None:
    """Align every still, chunk by chunk (a finished chunk is never repeated), then join the chunks."""
    chunks = folder / "chunks"
    chunks.mkdir(parents=True, exist_ok=True)
    jobs = [(archive, names[at : at + CHUNK], chunks / f"{at:06d}.npz") for at in range(0, len(names), CHUNK)]
    waiting = [job for job in jobs if not job[2].exists()]
    done = len(jobs) - len(waiting)
    for _ in parallel.run_all(_prepare_chunk, waiting, "aligning", processes, parallel.hush, done=done):
        pass
    parts = []
    for _, _, path in jobs:
        with np.load(path) as chunk:
            parts.append(dict(chunk))
    crops = np.concatenate([part.pop("crops") for part in parts])
    np.save(folder / "crops.npy", crops)
    found = np.concatenate([part["names"] for part in parts])
    print(f"{len(found)} of {len(names)} faces found")
    with whole(folder / "table.npz") as file:
        np.savez(file, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    for _, _, path in jobs:
        path.unlink()
    chunks.rmdir()


def _prepare_chunk(job: tuple[Path, list[str], Path]) -> None:
    archive, names, target = job
    kept, hashes, crops = [], [], []
    with zipfile.ZipFile(archive) as handle:
        for name in names:
            chip = _decoded(handle.read(name))
            crop = None if chip is None else aligned(chip)
            if chip is not None and crop is not None:
                kept.append(name)
                hashes.append((perceptual_hash(chip), perceptual_hash(np.ascontiguousarray(chip[:, ::-1]))))
                crops.append(crop)
    told = np.array([labels(name) for name in kept], np.int64).reshape(-1, 4)
    with whole(target) as file:
        np.savez(
            file,
            names=np.array([Path(name).name for name in kept], np.str_),
            age=told[:, 0].astype(np.float32),
            gender=told[:, 1],
            race=told[:, 2],
            date=told[:, 3],
            hashes=np.array(hashes, np.uint64).reshape(-1, 2),
            crops=np.array(crops, np.uint8).reshape(-1, STORED_PX, STORED_PX, 3),
        )


def _decoded(file: bytes) -> NDArray[np.uint8] | None:
    """(H, W, 3) uint8 RGB of a picture, None where the file is none."""
    bgr = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) if file else None
    return None if bgr is None else np.asarray(bgr[..., ::-1], np.uint8, order="C")


def labels(name: str) -> tuple[int, int, int, int]:
    """(age, gender, race, yyyymmdd) of a file of the archive."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"not a UTKFace file name: {name}")
    age, gender, race, date = (int(text) for text in match.groups())
    return age, gender, race, date


def slices(data: Stills, rows: NDArray[np.int64]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Masks over `rows`: by decade (90 and over together), gender, gender over ten, race label, capture date."""
    age, gender, race, date = data.age[rows], data.gender[rows], data.race[rows], data.date[rows]
    decade = np.minimum(age // 10, 9).astype(int)
    late = np.median(data.date)
    return {
        "decade": {f"{10 * d}-{10 * d + 9}" if d < 9 else "90+": decade == d for d in np.unique(decade)},
        "gender": {name: gender == code for code, name in enumerate(GENDERS)},
        "gender_over_10": {name: (gender == code) & (age > 10) for code, name in enumerate(GENDERS)},
        "race_label": {name: race == code for code, name in enumerate(RACES)},
        "date": {"earlier": date < late, "later": date >= late},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare the labelled stills: aligned crops and labels.")
    parser.add_argument("--archive", type=Path, default=ARCHIVE)
    with in_one_line(NoStills):
        load(parser.parse_args().archive)


if __name__ == "__main__":
    main()
