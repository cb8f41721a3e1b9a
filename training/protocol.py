"""The papers' protocol: ten folds that share no subject, an inner validation part, and the check for leaks (SPEC A8).

The papers' own split is not published. Ours deals the subjects of each stratum (age group x gender) to the folds, so
that folds differ by at most one subject in total and in each stratum, and are close in the number of clips. The same
deal, within the other nine folds, gives the tenth of their subjects that tunes a run.

    python -m training.protocol DATA --out folds.json
"""

import argparse
import hashlib
import json
import shlex
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import datasets, published
from training.datasets import Clip, Dataset, DatasetError

FOLDS = 10
INNER_PARTS = 10
"""One of so many parts of the training subjects is for validation."""
HASH_GRID = 16
"""Perceptual hashes compare neighbouring cells of a HASH_GRID x HASH_GRID reduction of the crop."""
NEAR_DUPLICATE = 0.08
"""Share of differing bits up to which two clips count as the same recording. Among 4,000 stills of UTKFace, 99 % differ
by at most 0.07 from a brighter JPEG copy of themselves, and of 8 million pairs ten differ by less than 0.11."""


class ProtocolError(ValueError):
    """Folds that do not belong to the data set, or that were changed by hand."""


class Leak(ValueError):
    """A subject or a near-duplicate clip on two sides of a split; the message names them."""


@dataclass(frozen=True)
class Fold:
    """Sorted subjects: `test` is scored once, `validation` tunes, everybody else trains."""

    test: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True)
class Sides:
    """The clips of one fold."""

    training: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]


@dataclass(frozen=True)
class Split:
    """All folds of a data set.

    Attributes:
        data_set, digest: name and digest of the data set that was split.
    """

    data_set: str
    digest: str
    seed: int
    folds: tuple[Fold, ...]

    @property
    def hash(self) -> str:
        """16 hex digits over everything else: what predictions and weights name."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def sides(self, dataset: Dataset, fold: int) -> Sides:
        """Clips of one fold.

        Raises:
            ProtocolError: `dataset` is not the one that was split, or there are not so many folds.
            Leak: a subject is on two sides.
        """
        if dataset.digest != self.digest:
            raise ProtocolError(f"the folds were made for {self.data_set} ({self.digest}), not for {dataset.name}")
        if not 0 <= fold < len(self.folds):
            raise ProtocolError(f"there is no fold {fold}: the {len(self.folds)} folds are 0 to {len(self.folds) - 1}")
        test, validation = set(self.folds[fold].test), set(self.folds[fold].validation)
        sides = Sides(
            tuple(clip for clip in dataset.clips if clip.subject not in test | validation),
            tuple(clip for clip in dataset.clips if clip.subject in validation),
            tuple(clip for clip in dataset.clips if clip.subject in test),
        )
        check_leaks(sides)
        return sides


def split(dataset: Dataset, folds: int = FOLDS, seed: int = 0) -> Split:
    """Folds of a data set. They depend on the labels and the seed, not on the order of the listing.

    Raises ProtocolError where there are fewer subjects than two per fold.
    """
    subjects = dataset.subjects
    if folds < 2 or len(subjects) < 2 * folds:
        raise ProtocolError(f"{len(subjects)} subjects are too few for {folds} folds")
    parts = deal(subjects, folds, np.random.default_rng([seed, folds]))
    made = []
    for index, test in enumerate(parts):
        others = {subject: clips for subject, clips in subjects.items() if subject not in test}
        validation = deal(others, INNER_PARTS, np.random.default_rng([seed, folds, index]))[0]
        made.append(Fold(tuple(test), tuple(validation)))
    return Split(dataset.name, dataset.digest, seed, tuple(made))


def deal(subjects: Mapping[str, Sequence[Clip]], parts: int, rng: np.random.Generator) -> list[list[str]]:
    """Divide subjects into parts that are alike in (age group x gender), in subjects and in clips; each sorted.

    A subject goes to the part that has the fewest of its stratum; among those, of all subjects. Then subjects of equal
    stratum change places as long as that brings the fullest and the emptiest part nearer in clips.
    """
    strata: dict[tuple[str, str], list[str]] = {}
    for subject in sorted(subjects):
        first = subjects[subject][0]
        strata.setdefault((first.age_group, first.gender), []).append(subject)
    stratum_of = {subject: stratum for stratum, members in strata.items() for subject in members}
    dealt: list[list[str]] = [[] for _ in range(parts)]
    for stratum in sorted(strata):
        here: Counter[int] = Counter()
        for subject in rng.permutation(strata[stratum]).tolist():
            lot = rng.permutation(parts).tolist()
            part = min(range(parts), key=lambda p: (here[p], len(dealt[p]), lot[p]))
            dealt[part].append(subject)
            here[part] += 1
    _even_out(dealt, {subject: len(clips) for subject, clips in subjects.items()}, stratum_of)
    return [sorted(part) for part in dealt]


def _even_out(parts: list[list[str]], clips: Mapping[str, int], stratum_of: Mapping[str, tuple[str, str]]) -> None:
    """Exchange subjects between the fullest and the emptiest part, the exchange that helps most first, in place."""
    while True:
        totals = [sum(clips[subject] for subject in part) for part in parts]
        full, empty = parts[totals.index(max(totals))], parts[totals.index(min(totals))]
        gap = max(totals) - min(totals)
        gains = [
            (abs(gap - 2 * (clips[a] - clips[b])), a, b)
            for a in full
            for b in empty
            if stratum_of[a] == stratum_of[b] and 0 < clips[a] - clips[b] < gap
        ]
        if not gains:
            return
        _, a, b = min(gains)
        full[full.index(a)], empty[empty.index(b)] = b, a


def save(split: Split, path: Path) -> None:
    path.write_text(json.dumps(asdict(split) | {"hash": split.hash}, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Split:
    """Inverse of `save`. Raises ProtocolError where the file does not bear its own hash."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        expected = record.pop("hash")
        folds = tuple(Fold(tuple(fold["test"]), tuple(fold["validation"])) for fold in record.pop("folds"))
        found = Split(**record, folds=folds)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"{path} holds no folds: {error}") from error
    if found.hash != expected:
        raise ProtocolError(f"{path} was changed: its hash is {found.hash}, it says {expected}")
    return found


def check_leaks(sides: Sides, duplicates: Iterable[Collection[str]] = ()) -> None:
    """Raises Leak where a subject, or clips of one group of near-duplicates, sit on more than one side.

    Args:
        duplicates: groups of names of clips, from `same_files` and `near_duplicates`.
    """
    places: dict[str, str] = {}
    clip_side: dict[str, str] = {}
    for side in ("training", "validation", "test"):
        for clip in getattr(sides, side):
            if places.setdefault(clip.subject, side) != side:
                raise Leak(f"subject {clip.subject} is in {places[clip.subject]} and in {side} ({clip.name})")
            clip_side[clip.name] = side
    for group in duplicates:
        on = {clip_side[name] for name in group if name in clip_side}
        if len(on) > 1:
            listed = ", ".join(f"{name} in {clip_side[name]}" for name in sorted(group) if name in clip_side)
            raise Leak(f"the same recording on several sides: {listed}")


def read_accepted(path: Path, dataset: Dataset) -> list[frozenset[str]]:
    """Groups of clips that only look like one recording: their names on one line, quoted where they hold spaces.

    Raises ProtocolError where the file cannot be read, or a line names no clip of the data set or fewer than two.
    """
    known = {clip.name for clip in dataset.clips}
    groups = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            group = frozenset(shlex.split(line, comments=True))
        except ValueError as error:
            raise ProtocolError(f"{path}:{number}: {error}") from error
        if unknown := sorted(group - known):
            raise ProtocolError(f"{path}:{number}: {dataset.name} has no clip {', '.join(unknown)}")
        if len(group) == 1:
            raise ProtocolError(f"{path}:{number}: a group has two clips or more")
        groups += [group] if group else []
    return groups


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


def perceptual_hash(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
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
        hashes: name of the clip -> `perceptual_hash` of its crops.
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


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.protocol", description="Make and check the folds.")
    parser.add_argument("data", type=Path, help="folder of UvA-NEMO, or a manifest")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accept-counts", action="store_true", help="go on where the published counts are not met")
    options = parser.parse_args(arguments)
    try:
        dataset = datasets.read(options.data)
        published.check(dataset, options.accept_counts)
        made = split(dataset, options.folds, options.seed)
        duplicates = same_files(dataset.clips)
        for fold in range(len(made.folds)):
            check_leaks(made.sides(dataset, fold), duplicates)
    except (DatasetError, ProtocolError, Leak, published.CountsDiffer) as error:
        sys.exit(f"error: {error}")
    save(made, options.out)
    print(f"{dataset.name}: {len(dataset.clips)} clips of {len(dataset.subjects)} subjects, folds {made.hash}")
    for index in range(len(made.folds)):
        sides = made.sides(dataset, index)
        print(f"  fold {index}: {len(made.folds[index].test)} subjects, {len(sides.test)} clips in test")


if __name__ == "__main__":
    main()
