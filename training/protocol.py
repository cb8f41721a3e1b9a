"""The papers' protocol: ten folds that share no subject, an inner validation part, and the check for leaks (SPEC A8).

The papers' own split is not published. Ours deals the subjects of each stratum (age group x gender) to the folds, so
that folds differ by at most one subject in total and in each stratum, and are close in the number of clips. The same
deal, within the other nine folds, gives the tenth of their subjects that tunes a run.

    python -m training.protocol DATA --out folds.json
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from training import datasets, published
from training.datasets import Clip, Dataset
from training.duplicates import ALIKE, read_accepted, same_files
from training.ending import in_one_line
from training.options import count_from
from training.whole import write_text

FOLDS = 10
INNER_PARTS = 10
"""One of so many parts of the training subjects is for validation."""
Groups = Iterable[Collection[str]]
LOOK = (
    f". The limit was set on stills in the wild; people filmed in one room and light may be as alike. {ALIKE} in the "
    "output folder lists all such groups: look at them, and go on with --accept-duplicates FILE, a file of those lines "
    "that are not one recording"
)


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

    Raises ProtocolError where there are fewer subjects than two per fold, or too few for an inner validation part.
    """
    subjects = dataset.subjects
    if folds < 2 or len(subjects) < 2 * folds:
        raise ProtocolError(f"{len(subjects)} subjects are too few for {folds} folds")
    parts = deal(subjects, folds, np.random.default_rng([seed, folds]))
    made = []
    for index, test in enumerate(parts):
        others = {subject: clips for subject, clips in subjects.items() if subject not in test}
        validation = deal(others, INNER_PARTS, np.random.default_rng([seed, folds, index]))[0]
        if not validation:
            raise ProtocolError(
                f"{len(subjects)} subjects are too few for {folds} folds: of the {len(others)} that fold {index} does "
                "not test, none is left to validate by"
            )
        made.append(Fold(tuple(test), tuple(validation)))
    return Split(dataset.name, dataset.digest, seed, tuple(made))


def check_given(dataset: Dataset, folds: int, seed: int, accepted: Path | None) -> None:
    """What can be told before the clips are read. Raises ProtocolError as `split`, DuplicatesError as read_accepted."""
    split(dataset, folds, seed)
    read_accepted(accepted, dataset)


def deal(subjects: Mapping[str, Sequence[Clip]], parts: int, rng: np.random.Generator) -> list[list[str]]:
    """Divide subjects into parts that are alike in (age group x gender), in subjects and in clips; each sorted.

    A subject, of the stratum of the first clip, goes to the part that has the fewest of its stratum; among those, of
    all subjects. Then subjects of equal stratum change places as long as that brings the fullest and the emptiest part
    nearer in clips.
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
    write_text(path, json.dumps(asdict(split) | {"hash": split.hash}, indent=1) + "\n")


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


def check_leaks(sides: Sides, same: Groups = (), alike: Groups = ()) -> None:
    """Raises Leak where a subject, or clips of one group, sit on more than one side.

    Args:
        same, alike: groups of names of clips that are one file, and of those that only look so (training.duplicates).
    """
    places: dict[str, str] = {}
    clip_side: dict[str, str] = {}
    for side in ("training", "validation", "test"):
        for clip in getattr(sides, side):
            if places.setdefault(clip.subject, side) != side:
                raise Leak(f"subject {clip.subject} is in {places[clip.subject]} and in {side} ({clip.name})")
            clip_side[clip.name] = side
    for groups, what, remedy in ((same, "the same recording", ""), (alike, "what looks like one recording", LOOK)):
        for group in groups:
            on = {clip_side[name] for name in group if name in clip_side}
            if len(on) > 1:
                listed = ", ".join(f"{name} in {clip_side[name]}" for name in sorted(group) if name in clip_side)
                raise Leak(f"{what} on several sides: {listed}{remedy}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.protocol", description="Make and check the folds.")
    parser.add_argument("data", type=Path, help="folder of UvA-NEMO, or a manifest")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=count_from(2), default=FOLDS)
    parser.add_argument("--seed", type=count_from(0), default=0)
    published.add_counts(parser)
    options = parser.parse_args(arguments)
    with in_one_line():
        dataset = datasets.read(options.data)
        published.check(dataset, options.accept_counts)
        made = split(dataset, options.folds, options.seed)
        twins = same_files(dataset.clips)
        for fold in range(len(made.folds)):
            check_leaks(made.sides(dataset, fold), twins)
        save(made, options.out)
    print(f"{dataset.name}: {len(dataset.clips)} clips of {len(dataset.subjects)} subjects, folds {made.hash}")
    for index in range(len(made.folds)):
        sides = made.sides(dataset, index)
        print(f"  fold {index}: {len(made.folds[index].test)} subjects, {len(sides.test)} clips in test")


if __name__ == "__main__":
    main()
