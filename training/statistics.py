"""The papers' numbers: pooled errors and accuracies with their spread, and tests between them (SPEC A8).

Clips of one subject resemble each other, so a spread or a p-value over clips is too small. Everything is therefore
given twice: over clips, as the papers do, and over the means of subjects.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from smile.tensors import GENDERS
from training.datasets import KINDS, YOUNG_MAX, age_group
from training.predictions import Prediction
from training.published import cell, decade

Floats = Sequence[float] | NDArray[np.float64]
ROUNDING = 1e-12
"""Share of the largest value up to which a standard deviation is no spread: float64 rounds at some 1e-16 of it."""


@dataclass(frozen=True)
class Mean:
    """A mean over clips, and what it is worth.

    Attributes:
        value: of all clips together; years for errors, a share of 1 for accuracy.
        n: clips.
        sd: standard deviation over clips (ddof 1); None for fewer than two.
        se: sd / sqrt(n).
        subjects: how many people the clips show.
        subject_value: mean of the subjects' means.
        subject_se: standard error of that mean, over subjects.
    """

    value: float
    n: int
    sd: float | None
    se: float | None
    subjects: int
    subject_value: float
    subject_se: float | None


@dataclass(frozen=True)
class Comparison:
    """The outcome of one test.

    Attributes:
        name: of the test.
        n: how many clips, subjects or differing pairs it is made of; (n, m) for two samples.
        difference: of the means, first minus second; years or a share of 1.
        statistic: t; None for exact tests.
        p: two-sided; None where the data leave the test undefined.
    """

    name: str
    n: int | tuple[int, int]
    difference: float
    statistic: float | None
    p: float | None


def score(item: Prediction) -> float:
    """Absolute error in years, or 1 for a correct gender and 0 for a wrong one."""
    return item.error() if item.trait == "age" else float(item.correct)


def mean(items: Sequence[Prediction], of: Callable[[Prediction], float] = score) -> Mean | None:
    """Mean of `of` over the clips of one method; None where there are none."""
    return summary([of(item) for item in items], [item.subject for item in items]) if items else None


def summary(scores: Floats, subjects: Sequence[str]) -> Mean:
    """Mean of one score for each clip, of which there is at least one.

    Args:
        subjects: whom each clip shows.
    """
    values, people = np.asarray(scores, np.float64), np.array(list(_of_subjects(scores, subjects).values()))
    sd, subject_sd = _sd(values), _sd(people)
    return Mean(
        float(values.mean()),
        len(values),
        sd,
        None if sd is None else sd / math.sqrt(len(values)),
        len(people),
        float(people.mean()),
        None if subject_sd is None else subject_sd / math.sqrt(len(people)),
    )


def groups(items: Sequence[Prediction]) -> dict[str, Mean]:
    """Means of all the papers' subdivisions of one method's clips; those without a clip are left out.

    Keys: all; posed, spontaneous; male, female; to_19, over_19; the four cells of P0 Table 5 such as posed_to_19; ages
    by decade such as 20-29 and by the papers' groups such as "ages 20-36"; "fold 0" and so on.
    """
    members: dict[str, list[Prediction]] = {"all": list(items)}
    members |= {label: [] for label in (*KINDS, *GENDERS, f"to_{YOUNG_MAX}", f"over_{YOUNG_MAX}")}
    for item in sorted(items, key=lambda item: (item.kind, item.age > YOUNG_MAX)):
        members.setdefault(cell(item), []).append(item)
    for item in sorted(items, key=lambda item: item.age):
        members[item.kind].append(item)
        members[item.gender].append(item)
        members[f"{'to' if item.age <= YOUNG_MAX else 'over'}_{YOUNG_MAX}"].append(item)
        members.setdefault(decade(item.age), []).append(item)
    for item in sorted(items, key=lambda item: item.age):
        members.setdefault(f"ages {age_group(item.age)}", []).append(item)
    for item in sorted(items, key=lambda item: item.fold):
        members.setdefault(f"fold {item.fold}", []).append(item)
    means = {label: mean(found) for label, found in members.items()}
    return {label: found for label, found in means.items() if found is not None}


def fold_mean(items: Sequence[Prediction]) -> Mean | None:
    """Mean over the folds' own means (the papers pool instead); `n` and the spreads count folds, not clips."""
    folds: dict[int, list[float]] = {}
    for item in items:
        folds.setdefault(item.fold, []).append(score(item))
    if not folds:
        return None
    values = np.array([np.mean(scores) for scores in folds.values()])
    sd = _sd(values)
    se = None if sd is None else sd / math.sqrt(len(values))
    people = len({item.subject for item in items})
    return Mean(float(values.mean()), len(values), sd, se, people, float(values.mean()), se)


def confusion(items: Iterable[Prediction]) -> dict[str, dict[str, int]]:
    """True gender -> labelled gender -> clips."""
    counts = {true: dict.fromkeys(GENDERS, 0) for true in GENDERS}
    for item in items:
        counts[item.gender][item.labelled] += 1
    return counts


def compare(first: Sequence[Prediction], second: Sequence[Prediction]) -> list[Comparison]:
    """Two methods on the clips that both answered: paired t over clips and over subjects; for gender McNemar too."""
    ours = {item.clip: item for item in first}
    theirs = {item.clip: item for item in second}
    both = sorted(set(ours) & set(theirs))
    a, b = [ours[clip] for clip in both], [theirs[clip] for clip in both]
    tests = [
        paired_t([score(item) for item in a], [score(item) for item in b]),
        paired_t(list(by_subject(a).values()), list(by_subject(b).values()), "paired t, subject means"),
    ]
    if all(item.trait == "gender" for item in a):
        tests.append(mcnemar([item.correct for item in a], [item.correct for item in b]))
        tests.append(_sign_test(list(by_subject(a).values()), list(by_subject(b).values())))
    return tests


def disturbed(
    items: Sequence[Prediction], first: Callable[[Prediction], float], second: Callable[[Prediction], float]
) -> list[Comparison]:
    """Two scores of the same clips of one method: paired t over clips and over subjects."""
    a, b = by_subject(items, first), by_subject(items, second)
    return [
        paired_t([first(item) for item in items], [second(item) for item in items]),
        paired_t(list(a.values()), list(b.values()), "paired t, subject means"),
    ]


def contrast(first: Sequence[Prediction], second: Sequence[Prediction]) -> list[Comparison]:
    """Two groups of clips of one method, such as posed and spontaneous: Welch's t over clips and over subject means.

    Where people are in both groups, their paired t is added: the two samples are then not independent.
    """
    a, b = by_subject(first), by_subject(second)
    tests = [
        welch_t([score(item) for item in first], [score(item) for item in second]),
        welch_t(list(a.values()), list(b.values()), "Welch t, subject means"),
    ]
    both = sorted(set(a) & set(b))
    if both:
        pairs = [a[subject] for subject in both], [b[subject] for subject in both]
        tests.append(paired_t(*pairs, "paired t, subjects in both groups"))
    return tests


def by_subject(items: Iterable[Prediction], of: Callable[[Prediction], float] = score) -> dict[str, float]:
    """Subject -> mean of `of` over the subject's clips, sorted by subject."""
    listed = list(items)
    return _of_subjects([of(item) for item in listed], [item.subject for item in listed])


def paired_t(first: Floats, second: Floats, name: str = "paired t, clips") -> Comparison:
    """Two-sided paired t-test. Without any spread of the differences it is undefined."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    differences = a - b
    difference = float(differences.mean()) if len(differences) else math.nan
    sd = _sd(differences)
    if sd is None or sd <= _rounding(a, b):
        return Comparison(name, len(differences), difference, None, None)
    t = difference / (sd / math.sqrt(len(differences)))
    return Comparison(name, len(differences), difference, t, float(2 * stats.t.sf(abs(t), len(differences) - 1)))


def welch_t(first: Floats, second: Floats, name: str = "Welch t, clips") -> Comparison:
    """Two-sided t-test for two samples of unequal variance, with Welch and Satterthwaite's degrees of freedom."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    difference = float(a.mean() - b.mean()) if len(a) and len(b) else math.nan
    sds = _sd(a), _sd(b)
    if sds[0] is None or sds[1] is None or max(sds[0], sds[1]) <= _rounding(a, b):
        return Comparison(name, (len(a), len(b)), difference, None, None)
    parts = sds[0] ** 2 / len(a), sds[1] ** 2 / len(b)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    t = difference / math.sqrt(sum(parts))
    return Comparison(name, (len(a), len(b)), difference, t, float(2 * stats.t.sf(abs(t), freedom)))


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> Comparison:
    """Exact McNemar test: a sign test on the clips that only one of the methods gets right."""
    return _sign_test([float(x) for x in first], [float(x) for x in second], "exact McNemar, clips")


def _sign_test(first: Floats, second: Floats, name: str = "exact sign test, subjects") -> Comparison:
    """Exact binomial test on who is higher; ties say nothing. With one clip each it is McNemar's test."""
    a, b = np.asarray(first), np.asarray(second)
    higher, lower = int((a > b).sum()), int((a < b).sum())
    difference = float((a - b).mean()) if len(a) else math.nan
    p = float(stats.binomtest(higher, higher + lower).pvalue) if higher + lower else None
    return Comparison(name, higher + lower, difference, None, p)


def _of_subjects(scores: Floats, subjects: Sequence[str]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for subject, score in zip(subjects, scores, strict=True):
        found.setdefault(subject, []).append(float(score))
    return {subject: float(np.mean(found[subject])) for subject in sorted(found)}


def _rounding(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Largest standard deviation that may come of rounding alone."""
    return ROUNDING * float(np.abs([*first, *second]).max())


def _sd(values: NDArray[np.float64]) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None
