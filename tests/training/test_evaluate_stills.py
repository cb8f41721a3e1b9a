import json

import numpy as np
import pytest
from skimage.data import astronaut

from training import evaluate_stills, stills
from training.still_network import StillNetwork, fold

CROPS = np.stack([astronaut()[top : top + 96, 160:256] for top in (20, 60, 120, 200)])


@pytest.mark.parametrize("name", evaluate_stills.CORRUPTIONS)
def test_a_corruption_changes_pixels_but_not_who_is_who(name: str) -> None:
    """Each crop comes back changed, in its shape, and still most like itself."""
    corrupted = evaluate_stills.CORRUPTIONS[name](CROPS)
    assert corrupted.shape == CROPS.shape and corrupted.dtype == np.uint8
    assert all((a != b).mean() > 0.2 for a, b in zip(corrupted, CROPS, strict=True))
    alike = np.corrcoef(corrupted.reshape(4, -1), CROPS.reshape(4, -1))[:4, 4:]
    assert alike.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_a_turned_face_keeps_its_eyes_in_place() -> None:
    """Both eyes stay where the aligner puts them, and the face becomes taller by the cosine that it loses in width."""
    at = np.indices((96, 96)).astype(np.uint8)
    came_from = evaluate_stills.turned(np.dstack([at[1], at[0], at[0]])[None])[0].astype(int)
    for x in (24, 72):
        assert np.abs(came_from[26, x, :2] - (x, 26)).max() <= 1
    assert came_from[86, 48, 1] - 26 == pytest.approx(60 * np.cos(np.deg2rad(evaluate_stills.TURN_DEGREES)), rel=0.03)


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


def test_a_report_counts_every_still_in_each_kind_of_slice() -> None:
    """Clean and corrupted scores cover all stills, and so do decades, genders, race labels and dates together."""
    wide = np.pad(CROPS, ((0, 0), (16, 16), (16, 16), (0, 0)))
    data = stills.Stills(
        names=np.array(["a.jpg", "b.jpg", "c.jpg", "d.jpg"]),
        age=np.array([5, 25, 95, 101], np.float32),
        gender=np.array([0, 1, 1, 0]),
        race=np.array([0, 3, 3, 1]),
        date=np.array([20170101, 20170102, 20170103, 20170104]),
        hashes=np.zeros((4, 2), np.uint64),
        crops=wide,
    )
    network = StillNetwork()
    report = evaluate_stills.evaluate(fold(network, "test"), network.head.eval(), data, np.arange(4))
    for name in ("clean", "clean_with_mirror", *evaluate_stills.CORRUPTIONS):
        assert report[name]["n"] == 4
    for kind in ("decade", "gender", "race_label", "date"):
        assert sum(part["n"] for part in report["slices"][kind].values()) == 4
    assert report["slices"]["decade"]["90+"]["n"] == 2
    assert report["slices"]["gender_over_10"]["male"]["n"] == 1
    json.dumps(report)
