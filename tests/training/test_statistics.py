"""Pooled numbers come out as the papers print them, and the tests agree with scipy's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from training import statistics
from training.predictions import Prediction

CELLS = {("spontaneous", 15): (242, 194), ("spontaneous", 40): (355, 336), ("posed", 15): (249, 212)} | {
    ("posed", 40): (394, 375)
}


def answer(clip, prediction, trait="age", subject="s", age=30, gender="male", kind="posed", fold=0, method="full"):
    return Prediction(str(clip), str(subject), age, gender, kind, fold, trait, method, prediction)


def as_printed():
    """Answers with the numbers of correct clips that the papers' table implies."""
    return [
        answer(f"{kind}{age}{i}", 0.1 if i < correct else 0.9, "gender", i % 100, age, kind=kind, fold=i % 10)
        for (kind, age), (count, correct) in CELLS.items()
        for i in range(count)
    ]


def test_the_printed_accuracies_come_out_of_their_counts():
    """1,117 of 1,240 clips are 90.08 %, and the four cells are as in P0 Table 5."""
    means = statistics.groups(as_printed())
    shown = {label: round(mean.value * 100, 2) for label, mean in means.items()}
    assert shown["all"] == 90.08 and means["all"].n == 1240
    cells = ("spontaneous_to_19", "spontaneous_over_19", "posed_to_19", "posed_over_19")
    assert [shown[cell] for cell in cells] == [80.17, 94.65, 85.14, 95.18]
    assert [means[cell].n for cell in cells] == [242, 355, 249, 394]
    assert means["to_19"].n == means["10-19"].n == means["ages 13-19"].n == 491
    assert sum(means[f"fold {fold}"].n for fold in range(10)) == 1240
    assert statistics.confusion(as_printed()) == {
        "male": {"male": 1117, "female": 123},
        "female": {"male": 0, "female": 0},
    }


def test_standard_error_is_that_of_the_papers_perturbation_table():
    """A spread of 5.61 years over 402 clips is the printed 0.28."""
    rng = np.random.default_rng(0)
    errors = stats.zscore(rng.exponential(size=402), ddof=1) * 5.61 + 6.0
    mean = statistics.mean([answer(i, 30 + error) for i, error in enumerate(errors)])
    assert mean.value == pytest.approx(6.0) and mean.sd == pytest.approx(5.61)
    assert mean.se == pytest.approx(0.28, abs=5e-3)


def test_copies_of_clips_do_not_make_the_subjects_more_certain():
    """Four equal clips a person halve the error over clips and leave the one over subjects as it was."""
    rng = np.random.default_rng(1)
    errors = rng.normal(5, 2, 60)
    once = statistics.mean([answer(i, 30 + e, subject=i) for i, e in enumerate(errors)])
    four = statistics.mean([answer(f"{i}{k}", 30 + e, subject=i) for i, e in enumerate(errors) for k in range(4)])
    assert four.subject_se == pytest.approx(once.subject_se) == pytest.approx(once.se)
    assert four.se == pytest.approx(once.se / 2, rel=0.01)
    assert four.subjects == 60 and four.n == 240


def test_folds_are_averaged_apart_from_pooling():
    """One clip of 10 years' error in a small fold weighs more in the mean of folds than in the pool."""
    items = [answer(0, 40, fold=0), *(answer(i, 30, fold=1) for i in range(1, 10))]
    assert statistics.mean(items).value == pytest.approx(1)
    assert statistics.fold_mean(items).value == pytest.approx(5) and statistics.fold_mean(items).n == 2


SAMPLES = st.lists(st.floats(-50, 50).map(lambda x: round(x, 3)), min_size=3, max_size=40)


@given(SAMPLES, SAMPLES)
def test_t_tests_agree_with_scipy(first, second):
    """Paired and Welch, on whatever samples have a spread."""
    count = min(len(first), len(second))
    differences = np.array(first[:count]) - np.array(second[:count])
    if np.ptp(differences) > 0.01:
        ours, theirs = (
            statistics.paired_t(first[:count], second[:count]),
            stats.ttest_rel(first[:count], second[:count]),
        )
        assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    if np.ptp(first) > 0.01 and np.ptp(second) > 0.01:
        ours, theirs = statistics.welch_t(first, second), stats.ttest_ind(first, second, equal_var=False)
        assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_mcnemar_is_the_exact_binomial():
    """Of 12 differing clips 10 are in favour: twice the tail of 12 coin tosses."""
    first = [True] * 10 + [False] * 2 + [True] * 50
    second = [False] * 10 + [True] * 2 + [True] * 50
    test = statistics.mcnemar(first, second)
    assert test.n == 12 and test.difference == pytest.approx(8 / 62)
    assert test.p == pytest.approx(2 * sum(math.comb(12, k) for k in range(3)) / 2**12)


def test_undefined_tests_have_no_p_value():
    """No spread but what was rounded, no difference, or one clip: nothing is claimed and nothing warns."""
    for values in (np.arange(1.0, 5.0), 1e6 * np.arange(1.0, 5.0)):
        assert 0 < np.std(values + 0.1 - values) < 1e-9 and statistics.paired_t(values + 0.1, values).p is None
        assert statistics.paired_t(values + 0.1 + 1e-6 * values, values).p < 0.05
    tenths = [0.1, 0.3 - 0.2, 0.1]
    assert statistics.welch_t(tenths, [2, 2]).p is None and statistics.welch_t([2, 2], tenths).p is None
    assert statistics.welch_t(tenths, [2, 3]).p == pytest.approx(statistics.welch_t([0.1] * 3, [2, 3]).p)
    assert statistics.paired_t([1, 1, 1], [0, 0, 0]).p is None
    assert statistics.welch_t([1], [2, 3]).p is None
    assert statistics.welch_t([1, 1], [2, 2]).p is None
    assert statistics.mcnemar([True], [True]).p is None
    assert statistics.mean([]) is None and statistics.fold_mean([]) is None
    assert statistics.mean([answer(0, 31)]).se is None


def test_comparisons_pair_the_same_clips_and_repeat_over_subjects():
    """Only clips that both answered count, and 40 subjects with 4 clips each give tests of 160 and of 40."""
    rng = np.random.default_rng(2)
    better = [answer(i, 30 + rng.normal(0, 2), subject=i % 40) for i in range(160)]
    worse = [answer(i, 30 + rng.normal(0, 5), subject=i % 40, method="no_ri") for i in range(170)]
    clips, subjects = statistics.compare(better, worse)
    assert (clips.n, subjects.n) == (160, 40)
    assert clips.p < 1e-4 and subjects.p < 1e-3 and clips.difference < 0
    assert clips.difference == pytest.approx(subjects.difference)
    names = [test.name for test in statistics.compare(as_printed(), as_printed())]
    assert names[2:] == ["exact McNemar, clips", "exact sign test, subjects"]


def test_groups_of_clips_are_contrasted_with_their_dependence_shown():
    """Posed against spontaneous: Welch as in two samples, and the paired test of those who are in both."""
    items = as_printed()
    posed = [item for item in items if item.kind == "posed"]
    tests = statistics.contrast(posed, [item for item in items if item.kind == "spontaneous"])
    assert [test.n for test in tests] == [(643, 597), (100, 100), 100]
