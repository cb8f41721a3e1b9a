"""Clips that are one recording, which must not be on two sides of a fold (training.protocol.check_leaks).

They are the same file, or their faces look alike; of those that only look so somebody may write a list.
"""

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets import Clip, Dataset
from training.whole import write_text

HASH_GRID = 16
"""Perceptual hashes compare neighbouring cells of a HASH_GRID x HASH_GRID reduction of the crop."""
NEAR_DUPLICATE = 0.08
"""Share of differing bits up to which two clips count as the same recording. Among 4,000 stills of UTKFace, 99 % differ
by at most 0.07 from a brighter JPEG copy of themselves, and of 8 million pairs ten differ by less than 0.11. Those are
stills in the wild: people who were filmed frontally in one room and light may differ by less."""
ALIKE = "alike.txt"
"""In the folder of a study or run: groups of several people's clips that look like one recording, not accepted yet."""


class DuplicatesError(ValueError):
    """A file of accepted duplicates that cannot be used; the message names the line."""


def read_accepted(path: Path | None, dataset: Dataset) -> list[frozenset[str]]:
    """Groups of clips that only look like one recording: their names on one line, quoted where they hold spaces.

    Raises DuplicatesError where the file cannot be read, or a line names no clip of the data set or fewer than two.
    """
    if path is None:
        return []
    known = {clip.name for clip in dataset.clips}
    groups = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DuplicatesError(f"{path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            group = frozenset(shlex.split(line, comments=True))
        except ValueError as error:
            raise DuplicatesError(f"{path}:{number}: {error}") from error
        if unknown := sorted(group - known):
            raise DuplicatesError(f"{path}:{number}: {dataset.name} has no clip {', '.join(unknown)}")
        if len(group) == 1:
            raise DuplicatesError(f"{path}:{number}: a group has two clips or more")
        groups += [group] if group else []
    return groups


def not_accepted(
    groups: list[list[str]], dataset: Dataset, accepted: list[frozenset[str]], out: Path
) -> list[list[str]]:
    """Groups that show several people and were not accepted as a whole; they are written to ALIKE in `out` as well.

    Args:
        groups: from `near_duplicates`.
        accepted: from `read_accepted`.
    """
    person = {clip.name: clip.subject for clip in dataset.clips}
    several = [group for group in groups if len({person[name] for name in group}) > 1]
    left = [group for group in several if not any(known.issuperset(group) for known in accepted)]
    if left:
        write_text(out / ALIKE, "".join(f"{shlex.join(group)}\n" for group in left))
    else:
        (out / ALIKE).unlink(missing_ok=True)
    return left


def same_files(clips: Iterable[Clip]) -> list[list[str]]:
    """Groups of two and more clips whose files are equal, byte for byte."""
    by_size: dict[int, list[Clip]] = {}
    for clip in clips:
        by_size.setdefault(clip.path.stat().st_size, []).append(clip)
    groups: dict[bytes, list[str]] = {}
    for alike in by_size.values():
        for clip in alike if len(alike) > 1 else ():  # files of different sizes need not be read
            with open(clip.path, "rb") as file:
                groups.setdefault(hashlib.file_digest(file, "sha256").digest(), []).append(clip.name)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def clip_hash(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(T, H, W, C) uint8 crops of a clip, RGB or grey -> packed bits of the first, the middle and the last one.

    Each bit tells whether a cell is brighter than its right-hand neighbour: it survives another size, compression or
    brightness, but not another face.
    """
    chosen = crops[[0, len(crops) // 2, -1]].astype(np.float32).mean(axis=3)
    edges = np.linspace(0, crops.shape[2], HASH_GRID + 2).astype(int)
    rows = np.linspace(0, crops.shape[1], HASH_GRID + 1).astype(int)
    cells = np.add.reduceat(np.add.reduceat(chosen, rows[:-1], axis=1), edges[:-1], axis=2)
    cells /= np.diff(rows)[:, None] * np.diff(edges)
    return np.packbits(cells[:, :, 1:] > cells[:, :, :-1])


def near_duplicates(hashes: Mapping[str, NDArray[np.uint8]], share: float = NEAR_DUPLICATE) -> list[list[str]]:
    """Groups of two and more clips whose perceptual hashes are chained by differences of at most `share` of the bits.

    Args:
        hashes: name of the clip -> `clip_hash` of its crops.
    """
    names = sorted(hashes)
    if not names:
        return []
    bits = np.unpackbits(np.stack([hashes[name] for name in names]), axis=1).astype(np.float32)
    ones = bits.sum(axis=1)
    differing = ones[:, None] + ones[None, :] - 2 * (bits @ bits.T)
    root = list(range(len(names)))
    for a, b in np.argwhere(np.triu(differing <= share * bits.shape[1], k=1)):
        old, new = root[b], root[a]
        root = [new if other == old else other for other in root]
    groups: dict[int, list[str]] = {}
    for name, leader in zip(names, root, strict=True):
        groups.setdefault(leader, []).append(name)
    return [group for group in groups.values() if len(group) > 1]
