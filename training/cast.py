"""Who smiles in a simulated set: subjects, their stills and clips, in the proportions of the UvA-NEMO database."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from smile.pose import yaw_deg
from smile.tensors import GENDERS
from training import planted
from training.datasets import YOUNG_MAX
from training.planted import AGES, Label
from training.portraits import MAX_YAW_DEG, Entry, Source, different, portrait
from training.published import paper
from training.render import actor
from training.stills import perceptual_hash

LAST_CODE = 564
"""Subject codes run from 001 to this, with gaps (SPEC C6)."""
_PUBLISHED = paper()["counts"]["UvA-NEMO Smile"]
VIDEOS_PER_DECADE: tuple[int, ...] = tuple(_PUBLISHED["decades"].values())
"""Clips of ages 0-9, 10-19, ..., 70-79."""
SPONTANEOUS_TO_19, SPONTANEOUS_OVER_19 = (
    _PUBLISHED[f"spontaneous_{ages}"] / (_PUBLISHED[f"spontaneous_{ages}"] + _PUBLISHED[f"posed_{ages}"])
    for ages in ("to_19", "over_19")
)
"""Shares of spontaneous smiles up to 19 years and above (SPEC A8)."""
PLANTED_MAX_YAW_DEG = 10.0
"""Turned further, a cheek and a corner of the mouth are too narrow to be seen to move by themselves."""
SAME_BITS = 6
"""Perceptual hashes (64 bits) that differ in no more may show the same photograph."""
FEMALE_SUBJECTS: float = _PUBLISHED["female_subjects"] / _PUBLISHED["subjects"]


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
    subjects_of, clips_of = decade_counts(subjects, clips)
    decades = np.repeat(np.arange(len(clips_of)), subjects_of)
    women = np.zeros(subjects, bool)
    women[rng.permutation(subjects)[: round(FEMALE_SUBJECTS * subjects)]] = True
    stills = _Stills(source, entries, rng, MAX_YAW_DEG if label is None else PLANTED_MAX_YAW_DEG)
    codes = sorted(rng.choice(np.arange(1, LAST_CODE + 1), subjects, replace=False))
    people, present = [], set()
    for code, row in tqdm(zip(codes, rng.permutation(subjects), strict=True), "choosing stills", subjects):
        decade = int(decades[row])
        youngest, oldest = max(10 * decade, AGES[0]), min(10 * decade + 9, AGES[1])
        # The first of each decade has its end of the range, so that the youngest and oldest of the database are there.
        wanted = int(rng.integers(youngest, oldest + 1))
        if decade not in present:
            wanted = youngest if decade < len(clips_of) // 2 else oldest
        present.add(decade)
        found = stills.take(decade, GENDERS[int(women[row])], wanted)
        age, gender = found.age, found.gender
        if label is not None:
            age = int(rng.integers(AGES[0], AGES[1] + 1))
            gender = planted.written_gender(age)
        people.append((decade, Subject(f"{code:03d}", gender, age, found.path, found.gender, found.age)))
    return draw_clips(people, clips_of, rng)


def decade_counts(subjects: int, clips: int) -> tuple[list[int], list[int]]:
    """Subjects and clips of each decade, in the proportions of VIDEOS_PER_DECADE; every subject has a clip."""
    everywhere = int(subjects >= len(VIDEOS_PER_DECADE))
    subjects_of = apportion(VIDEOS_PER_DECADE, subjects, [everywhere] * len(VIDEOS_PER_DECADE))
    inhabited = [videos if count else 0 for videos, count in zip(VIDEOS_PER_DECADE, subjects_of, strict=True)]
    return subjects_of, apportion(inhabited, clips, subjects_of)


def apportion(weights: Sequence[int], total: int, floor: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights` by largest remainders, then lift what lies under its `floor`."""
    shares = np.array(weights) * total / sum(weights)
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: total - counts.sum()]] += 1
    while (counts < floor).any():
        counts[(counts - floor).argmin()] += 1
        counts[(counts - floor).argmax()] -= 1
    return [int(count) for count in counts]


class _Stills:
    """Hands out usable stills, each person once (as far as perceptual hashes tell)."""

    def __init__(self, source: Source, entries: Sequence[Entry], rng: np.random.Generator, max_yaw_deg: float) -> None:
        self._source, self._max_yaw_deg = source, max_yaw_deg
        self._hashes: list[int] = []
        self._waiting: dict[tuple[int, str], list[Entry]] = {}
        for entry in (entries[int(i)] for i in rng.permutation(len(entries))):
            if AGES[0] <= entry.age <= AGES[1]:
                self._waiting.setdefault((entry.age // 10, entry.gender), []).append(entry)

    def take(self, decade: int, gender: str, age: int) -> Entry:
        """A still of this decade and gender, as near to `age` as there is one left."""
        waiting = self._waiting.get((decade, gender), [])
        while waiting:
            entry = min(waiting, key=lambda entry: abs(entry.age - age))
            waiting.remove(entry)
            image = self._source.read(entry.path)
            mark = perceptual_hash(image)
            still = portrait(image, entry.path)
            if still is None or abs(yaw_deg(still.landmarks)) > self._max_yaw_deg:
                continue
            if different(self._hashes, mark, SAME_BITS) and actor(still).suits():
                self._hashes.append(mark)
                return entry
        raise ValueError(f"{self._source.path}: no usable still is left for {gender}, {10 * decade}-{10 * decade + 9}")


def draw_clips(people: list[tuple[int, Subject]], clips_of: list[int], rng: np.random.Generator) -> list[Clip]:
    """Share the clips of each decade among its subjects, and the two kinds among the clips of each age group.

    Args:
        people: (decade of the still, subject).
    """
    of_subject: list[tuple[int, Subject]] = []
    for decade, count in enumerate(clips_of):
        members = [subject for place, subject in people if place == decade]
        if members:
            more = rng.multinomial(count - len(members), np.full(len(members), 1 / len(members)))
            of_subject += [(decade, members[k]) for k in np.repeat(np.arange(len(members)), 1 + more)]
    clips = []
    for young, share in ((True, SPONTANEOUS_TO_19), (False, SPONTANEOUS_OVER_19)):
        group = [subject for decade, subject in of_subject if (10 * decade <= YOUNG_MAX) == young]
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
