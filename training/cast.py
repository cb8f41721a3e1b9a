"""Who smiles in a simulated set: subjects, their stills and clips, in the proportions of the UvA-NEMO database."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from smile.tensors import GENDERS
from training import planted
from training.planted import AGES, Label
from training.portraits import Entry, Source, different, portrait
from training.render import actor
from training.stills import perceptual_hash

LAST_CODE = 564
"""Subject codes run from 001 to this, with gaps (SPEC C6)."""
VIDEOS_PER_DECADE = (158, 333, 215, 171, 250, 66, 30, 17)
"""Ages 0-9, 10-19, ..., 70-79 (paper_tables.yaml, age_decade_videos)."""
YOUNG_DECADES = 2
SPONTANEOUS_YOUNG, SPONTANEOUS_OLDER = 242 / 491, 355 / 749
"""Share of spontaneous smiles up to 19 years and above (SPEC A8)."""
SAME_BITS = 6
"""Perceptual hashes (64 bits) that differ in no more may show the same photograph."""
FEMALE_SUBJECTS = 185 / 400


@dataclass(frozen=True)
class Subject:
    """One person of the set.

    Attributes:
        code: three digits.
        gender, age: as written in the details file.
        still: path within the source.
        still_gender, still_age: of the person on the still; differ from what is written where a relation is planted.
    """

    code: str
    gender: str
    age: int
    still: str
    still_gender: str
    still_age: int


@dataclass(frozen=True)
class Clip:
    """One video of the set: its file name, who smiles, and whether spontaneously."""

    name: str
    subject: Subject
    spontaneous: bool


def draw_cast(
    source: Source, entries: Sequence[Entry], subjects: int, clips: int, label: Label | None, rng: np.random.Generator
) -> list[Clip]:
    """Draw the subjects and their clips.

    Without a planted label ages follow the database's decades; with one, written ages are uniform over AGES and
    independent of the still.

    Raises:
        ValueError: fewer clips than subjects, more subjects than codes, or not enough usable stills of some age.
    """
    if not 1 <= subjects <= min(clips, LAST_CODE):
        raise ValueError(f"{subjects} subjects: at least 1, at most {LAST_CODE} and one for each of the {clips} clips")
    clips_of = apportion(VIDEOS_PER_DECADE, clips)
    subjects_of = apportion(clips_of, subjects, at_least=1)
    decades = np.repeat(np.arange(len(clips_of)), subjects_of)
    women = np.zeros(subjects, bool)
    women[rng.permutation(subjects)[: round(FEMALE_SUBJECTS * subjects)]] = True
    stills = _Stills(source, entries, rng)
    codes = sorted(rng.choice(np.arange(1, LAST_CODE + 1), subjects, replace=False))
    people = []
    for code, row in tqdm(zip(codes, rng.permutation(subjects), strict=True), "choosing stills", subjects):
        found = stills.take(int(decades[row]), GENDERS[int(women[row])])
        age, gender = found.age, found.gender
        if label is not None:
            age = int(rng.integers(AGES[0], AGES[1] + 1))
            gender = planted.written_gender(age)
        people.append((int(decades[row]), Subject(f"{code:03d}", gender, age, found.path, found.gender, found.age)))
    return _clips(people, clips_of, rng)


def apportion(weights: Sequence[int], total: int, at_least: int = 0) -> list[int]:
    """Split `total` in proportion to `weights` by largest remainders; what has weight gets `at_least`, if it lasts."""
    shares = np.array(weights) * total / sum(weights)
    counts = np.floor(shares).astype(int)
    for index in np.argsort(counts - shares, kind="stable")[: total - counts.sum()]:
        counts[index] += 1
    for index in np.flatnonzero((counts < at_least) & (np.array(weights) > 0)):
        if counts.max() > at_least:
            counts[counts.argmax()] -= at_least - counts[index]
            counts[index] = at_least
    return counts.tolist()


class _Stills:
    """Hands out usable stills, each person once (as far as perceptual hashes tell)."""

    def __init__(self, source: Source, entries: Sequence[Entry], rng: np.random.Generator) -> None:
        self._source, self._rng = source, rng
        self._hashes: list[int] = []
        self._waiting: dict[tuple[int, str], list[Entry]] = {}
        for entry in (entries[int(i)] for i in rng.permutation(len(entries))):
            if AGES[0] <= entry.age <= AGES[1]:
                self._waiting.setdefault((entry.age // 10, entry.gender), []).append(entry)

    def take(self, decade: int, gender: str) -> Entry:
        """A still of this decade and gender whose age is near a uniformly drawn one."""
        waiting = self._waiting.get((decade, gender), [])
        wanted = self._rng.integers(max(10 * decade, AGES[0]), min(10 * decade + 9, AGES[1]) + 1)
        while waiting:
            entry = min(waiting, key=lambda entry: abs(entry.age - wanted))
            waiting.remove(entry)
            image = self._source.read(entry.path)
            mark = perceptual_hash(image)
            still = portrait(image, entry.path)
            if still is not None and different(self._hashes, mark, SAME_BITS) and actor(still).suits():
                self._hashes.append(mark)
                return entry
        raise ValueError(f"{self._source.path}: no usable still is left for {gender}, {10 * decade}-{10 * decade + 9}")


def _clips(people: list[tuple[int, Subject]], clips_of: list[int], rng: np.random.Generator) -> list[Clip]:
    """Share the clips of each decade among its subjects and the kinds among the clips of each age group."""
    of_subject: list[tuple[int, Subject]] = []
    for decade, count in enumerate(clips_of):
        members = [subject for place, subject in people if place == decade]
        extra = rng.multinomial(count - len(members), np.full(len(members), 1 / len(members))) if members else []
        for subject, more in zip(members, extra, strict=True):
            of_subject += [(decade, subject)] * (1 + int(more))
    clips = []
    for young, share in ((True, SPONTANEOUS_YOUNG), (False, SPONTANEOUS_OLDER)):
        group = [subject for decade, subject in of_subject if (decade < YOUNG_DECADES) == young]
        spontaneous = np.arange(len(group)) < round(share * len(group))
        for subject, kind in zip(group, rng.permutation(spontaneous), strict=True):
            clips.append((subject, bool(kind)))
    used: Counter[str] = Counter()
    named = []
    for subject, kind in sorted(clips, key=lambda clip: clip[0].code):
        used[subject.code] += int(rng.integers(1, 3))
        name = f"{subject.code}_{'spontaneous' if kind else 'deliberate'}_smile_{used[subject.code]}.mp4"
        named.append(Clip(name, subject, kind))
    return named
