"""Near-duplicate groups of the stills, and the split that every training step shares.

The data set gives no identities and holds copies, some mirrored, some with other labels: whole groups of
near-duplicates go to one part. The split is stored in the repository by hashes of file names (labels and a date).
"""

import argparse
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.stills import ARCHIVE, SPLIT, Stills, load

PARTS = {"train": 0.78, "validation": 0.05, "calibration": 0.07, "test": 0.10}
"""Share of the stills in each part; `test` scores what is released and chooses nothing."""
CANDIDATE_BITS = 12
"""Near-duplicates: perceptual hashes of 64 bits that differ in at most so many ..."""
SAME_CORRELATION = 0.95
"""... and aligned crops that correlate at least so much. At 0.92 strangers chain into one group of 633, at 0.95 the
largest group has 6 members and nearly every pair looked at was a copy."""


def groups(stills: Stills) -> NDArray[np.int64]:
    """Near-duplicate groups: connected components of 'alike in hash and in pixels, one of the two perhaps mirrored'.

    Hashes alone chain strangers together: whoever looks straight into the camera has nearly the same one.

    Returns:
        (n,) int64, the smallest row of each row's group.
    """
    count = len(stills.names)
    signs = np.unpackbits(stills.hashes.astype(">u8").view(np.uint8).reshape(count, 2, 8), axis=2) * 2.0 - 1.0
    signs = signs.astype(np.float32)
    plain = np.stack([thumbnail(crop) for crop in stills.crops])
    mirrored = np.stack([thumbnail(np.ascontiguousarray(crop[:, ::-1])) for crop in stills.crops])
    parent = np.arange(count)

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for at in range(0, count, 1024):
        for side, thumbnails in enumerate((plain, mirrored)):
            differing = (64 - signs[at : at + 1024, 0] @ signs[:, side].T) / 2
            first, second = np.nonzero(differing <= CANDIDATE_BITS)
            first += at
            alike = (plain[first] * thumbnails[second]).sum(axis=1) >= SAME_CORRELATION
            for a, b in zip(first[alike], second[alike], strict=True):
                low, high = sorted((root(int(a)), root(int(b))))
                parent[high] = low
    return np.array([root(row) for row in range(count)])


def thumbnail(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(576,) float32: the crop in grey at 24x24, mean 0, norm 1, so that a product of two is their correlation."""
    grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (24, 24), interpolation=cv2.INTER_AREA)
    centred = grey.ravel().astype(np.float32) - grey.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), np.float32)


def split(stills: Stills, group: NDArray[np.int64], seed: int = 2018) -> dict[str, NDArray[np.int64]]:
    """Rows of each of PARTS: whole groups, shares kept within every decade and gender (of a group's first still)."""
    rng = np.random.default_rng(seed)
    heads = np.unique(group)
    stratum = (stills.age[heads] // 10).astype(int) * 2 + stills.gender[heads]
    bounds = np.cumsum(list(PARTS.values()))
    part_of = np.empty(len(stills.age), np.int64)
    for value in np.unique(stratum):
        members = rng.permutation(heads[stratum == value])
        places = (np.arange(len(members)) + rng.random()) / len(members)
        part_of[members] = np.searchsorted(bounds[:-1], places % 1.0, side="right")
    part_of = part_of[group]
    return {name: np.flatnonzero(part_of == index) for index, name in enumerate(PARTS)}


def save_split(stills: Stills, parts: dict[str, NDArray[np.int64]], path: Path = SPLIT) -> None:
    """Store the split: hashes of the names of every part but `train`, which is the rest."""
    held = {name: sorted(stills.keys[rows].tolist()) for name, rows in parts.items() if name != "train"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"sha256": _digest(held), "stills": len(stills.names), **held}, indent=0) + "\n")


def load_split(stills: Stills, path: Path = SPLIT) -> dict[str, NDArray[np.int64]]:
    """Rows of each part as stored.

    Raises:
        ValueError: the file was changed since it was written, or the stills are others than it was made of.
    """
    stored = json.loads(path.read_text())
    held = {name: stored[name] for name in PARTS if name != "train"}
    if _digest(held) != stored["sha256"]:
        raise ValueError(f"{path} does not match its own hash")
    part_of = {key: name for name, keys in held.items() for key in keys}
    names = np.array([part_of.get(str(key), "train") for key in stills.keys])
    parts = {name: np.flatnonzero(names == name) for name in PARTS}
    if empty := [name for name, rows in parts.items() if not len(rows)]:
        raise ValueError(f"none of the {len(names):,} stills is of the part {', '.join(empty)} of {path}: other names?")
    return parts


def split_id(path: Path = SPLIT) -> str:
    """Hash of the stored split, to be written beside whatever was trained on it."""
    return str(json.loads(path.read_text())["sha256"])


def _digest(held: dict[str, list[str]]) -> str:
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Deal the labelled stills into parts anew; never after anything was trained on the old split."
    )
    parser.add_argument("--archive", type=Path, default=ARCHIVE)
    data = load(parser.parse_args().archive)
    save_split(data, split(data, groups(data)))
    print({name: len(rows) for name, rows in load_split(data).items()}, split_id()[:16])


if __name__ == "__main__":
    main()
