"""Who smiles in a simulated set: the published proportions, and names as in the database."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.cast import LAST_CODE, VIDEOS_PER_DECADE, Clip, Subject, apportion, decade_counts, draw_clips


def clips_of(subjects: int, clips: int, seed: int = 0) -> list[Clip]:
    """Clips of subjects whose stills need not exist."""
    subjects_of, clips_per_decade = decade_counts(subjects, clips)
    decades = np.repeat(np.arange(len(subjects_of)), subjects_of)
    people = [
        (int(decade), Subject(f"{code:03d}", "male", max(8, 10 * int(decade)), "x", "male", 10 * int(decade)))
        for code, decade in enumerate(decades, start=1)
    ]
    return draw_clips(people, clips_per_decade, np.random.default_rng(seed))


def test_default_set_has_the_published_counts() -> None:
    """400 subjects and 1,240 clips fall exactly into the printed cells of kind and age, and into the decades."""
    clips = clips_of(400, 1240)
    cells = Counter((clip.spontaneous, clip.subject.age <= 19) for clip in clips)
    assert cells == {(True, True): 242, (True, False): 355, (False, True): 249, (False, False): 394}
    decades = Counter(clip.subject.age // 10 for clip in clips)
    assert [decades[decade] for decade in range(8)] == [158, 333, 215, 171, 250, 66, 30, 17]
    assert len({clip.subject.code for clip in clips}) == 400


def test_names_are_the_databases() -> None:
    """Names follow the database's pattern, are unique, carry code and kind, and number a subject's clips upwards."""
    numbers = defaultdict(list)
    for clip in clips_of(40, 300):
        named = re.fullmatch(r"(\d{3})_(deliberate|spontaneous)_smile_(\d+)\.mp4", clip.name)
        assert named is not None
        assert named[1] == clip.subject.code and (named[2] == "spontaneous") == clip.spontaneous
        numbers[named[1]].append(int(named[3]))
    assert all(sorted(set(of_one)) == of_one for of_one in numbers.values())


@given(st.integers(1, LAST_CODE), st.integers(0, 2000))
def test_every_subject_has_a_clip(subjects: int, more: int) -> None:
    """For sets of any size the counts add up and no decade has fewer clips than subjects."""
    subjects_of, clips_per_decade = decade_counts(subjects, subjects + more)
    assert sum(subjects_of) == subjects and sum(clips_per_decade) == subjects + more
    assert all(clips >= people for clips, people in zip(clips_per_decade, subjects_of, strict=True))


@pytest.mark.parametrize("total", [1, 7, 100, 1240])
def test_shares_are_within_one_of_exact(total: int) -> None:
    """Largest remainders: without a floor every count is the exact share rounded up or down."""
    exact = np.array(VIDEOS_PER_DECADE) * total / sum(VIDEOS_PER_DECADE)
    counts = np.array(apportion(VIDEOS_PER_DECADE, total, [0] * len(exact)))
    assert counts.sum() == total and (np.abs(counts - exact) < 1).all()
