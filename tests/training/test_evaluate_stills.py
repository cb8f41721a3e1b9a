import json

import numpy as np
import pytest
from skimage.data import astronaut

from training import evaluate_stills, stills
from training.corruptions import CORRUPTIONS
from training.still_network import StillNetwork, fold

CROPS = np.stack([astronaut()[top : top + 96, 160:256] for top in (20, 60, 120, 200)])


@pytest.fixture
def stills_of_four() -> stills.Stills:
    wide = np.pad(CROPS, ((0, 0), (16, 16), (16, 16), (0, 0)))
    return stills.Stills(
        names=np.array(["a.jpg", "b.jpg", "c.jpg", "d.jpg"]),
        age=np.array([5, 25, 95, 101], np.float32),
        gender=np.array([0, 1, 1, 0]),
        race=np.array([0, 3, 3, 1]),
        date=np.array([20170101, 20170102, 20170103, 20170104]),
        hashes=np.zeros((4, 2), np.uint64),
        crops=wide,
    )


def test_wilson_interval() -> None:
    """The textbook interval of 81 out of 263, and a bound that never leaves [0, 1]."""
    assert evaluate_stills.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert evaluate_stills.wilson(10, 10)[1] <= 1 + 1e-12


def test_scores() -> None:
    """Error, bias and accuracy of three answers worked out by hand."""
    found = evaluate_stills.score(
        np.array([10.0, 22.0, 33.0]),
        np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]),
        np.array([10.0, 20.0, 34.0]),
        np.array([0, 1, 0]),
    )
    assert (found["n"], found["mae"], found["bias"]) == (3, 1.0, 0.333)
    assert found["gender_accuracy"] == 0.6667


def test_backbones_are_compared_still_by_still(stills_of_four: stills.Stills) -> None:
    """Two years and a gender better on one still of four; no interval says that the other may be better."""
    sure, unsure = [0.1, 0.9], [0.6, 0.4]
    one = np.array([5.0, 45.0, 95.0, 101.0]), np.array([[0.9, 0.1], sure, sure, [0.9, 0.1]])
    other = np.array([7.0, 45.0, 95.0, 101.0]), np.array([[0.9, 0.1], unsure, sure, [0.9, 0.1]])
    rows = np.arange(4)
    found = evaluate_stills.compared({"clean": one}, {"clean": other}, stills_of_four, rows)["clean"]
    assert (found["mae"]["value"], found["gender_accuracy"]["value"]) == (-0.5, 0.25)
    assert found["mae"]["interval"][1] <= 0 <= found["gender_accuracy"]["interval"][0]


def test_a_report_counts_every_still_in_each_kind_of_slice(stills_of_four: stills.Stills) -> None:
    """Clean and corrupted scores cover all stills, and so do decades, genders, race labels and dates together."""
    network = StillNetwork()
    rows = np.arange(4)
    found = evaluate_stills.still_answers(fold(network, "test"), network.head.eval(), stills_of_four.centre(rows))
    report = evaluate_stills.evaluate(found, stills_of_four, rows)
    for name in ("clean", "mirrored", "clean_with_mirror", *CORRUPTIONS):
        assert report[name]["n"] == 4
        assert report[name]["moved"] == pytest.approx(np.abs(found[name][0] - found["clean"][0]).mean(), abs=1e-3)
    assert report["clean"]["moved"] == 0 < report["mirrored"]["moved"]
    assert report["clean_with_mirror"]["moved"] == pytest.approx(report["mirrored"]["moved"] / 2, abs=2e-3)
    for kind in ("decade", "gender", "race_label", "date"):
        assert sum(part["n"] for part in report["slices"][kind].values()) == 4
    assert report["slices"]["decade"]["90+"]["n"] == 2
    assert report["slices"]["gender_over_10"]["male"]["n"] == 1
    json.dumps(report)
