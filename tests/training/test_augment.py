from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from smile import alignment
from training import augment, coding, stills

WIDE = cv2.resize(astronaut()[30:200, 140:310], (stills.STORED_PX, stills.STORED_PX), interpolation=cv2.INTER_AREA)
PLAIN = WIDE[stills.MARGIN_PX : -stills.MARGIN_PX, stills.MARGIN_PX : -stills.MARGIN_PX]


@pytest.mark.parametrize("size", [48, alignment.CROP_PX])
def test_a_batch_is_its_seeds(size: int) -> None:
    """A view depends on its own seed alone, whichever thread makes it, and different seeds give different views."""
    seeds = [(0, index) for index in range(12)]
    with ThreadPoolExecutor(3) as pool:
        views = augment.batch(np.stack([WIDE] * 12), seeds, size, 1.0, pool)
    assert views.shape == (12, size, size, 3) and views.dtype == np.uint8
    assert np.array_equal(views[5], augment.augment(WIDE, np.random.default_rng((0, 5)), size, 1.0))
    assert len({view.tobytes() for view in views}) == 12


def test_only_a_share_of_the_views_is_degraded() -> None:
    """A flat picture stays flat under framing and light alone, and does not where every view is degraded."""
    flat = np.full((stills.STORED_PX, stills.STORED_PX, 3), 128, np.uint8)

    def still_flat(degraded: float) -> list[bool]:
        rngs = [np.random.default_rng((1, index)) for index in range(40)]
        return [np.ptp(augment.augment(flat, rng, degraded=degraded), axis=(0, 1)).max() == 0 for rng in rngs]

    assert all(still_flat(0.0))
    assert sum(still_flat(1.0)) < sum(still_flat(0.25)) < 40


def test_views_stay_on_the_face() -> None:
    """On average over flips and errors of the aligner, a view shows what the service's crop shows."""
    rng = np.random.default_rng(0)
    mean = np.mean([augment.reframe(WIDE, rng).astype(np.float64) for _ in range(300)], axis=0)
    symmetric = (PLAIN.astype(np.float64) + PLAIN[:, ::-1]) / 2
    assert np.corrcoef(mean.ravel(), symmetric.ravel())[0, 1] > 0.95


def test_a_turned_head_keeps_its_eyes_in_place() -> None:
    """However it is turned, both eyes stay where the aligner puts them; the nose between them does not, and never is
    anything torn: neighbours in the turned picture were close together before."""
    at = np.indices((stills.STORED_PX,) * 2).astype(np.uint8)
    rng = np.random.default_rng(0)
    eye_y, eye_x = np.array(alignment.LEFT_EYE_PX[::-1], int) + stills.MARGIN_PX
    moved = []
    for _ in range(40):
        came_from = augment.turn(np.dstack([at[1], at[0], at[0]]), rng).astype(int)
        for x in (eye_x, eye_x + int(alignment.EYE_DISTANCE_PX)):
            assert np.abs(came_from[eye_y, x, :2] - (x, eye_y)).max() <= 2
        moved.append(came_from[eye_y + 20, 64, 0] - 64)
        inside = came_from[stills.MARGIN_PX : -stills.MARGIN_PX, stills.MARGIN_PX : -stills.MARGIN_PX]
        assert max(np.abs(np.diff(inside, axis=axis)).max() for axis in (0, 1)) < 16
    assert min(moved) < -5 and max(moved) > 5


@pytest.mark.parametrize("degrade", [augment.blur, augment.compress, augment.record, augment.film])
def test_degrading_costs_detail_but_keeps_the_picture(degrade) -> None:
    """Blur and codec remove fine detail on average, and nothing is shifted away, whatever moved before."""
    rng = np.random.default_rng(0)
    views = [degrade(PLAIN, rng) for _ in range(40)]
    assert all(view.shape == PLAIN.shape and view.dtype == np.uint8 for view in views)
    mean = np.mean([view.astype(np.float64) for view in views], axis=0)
    assert np.corrcoef(mean.ravel(), PLAIN.ravel())[0, 1] > 0.97
    assert np.abs(cv2.Laplacian(mean, cv2.CV_64F)).mean() < np.abs(cv2.Laplacian(PLAIN, cv2.CV_64F)).mean()


@pytest.mark.parametrize("coded, quantisers", [(coding.last_in_vp8, (10, 35, 63)), (coding.last_in_mpeg4, (2, 10, 31))])
def test_a_frame_loses_more_the_coarser_it_is_coded(coded, quantisers) -> None:
    """The last of the pictures comes back from the video codec, near the original where the quantiser is fine; where
    it is predicted from a coarse one it is another than where it is a key frame."""
    moving = [np.roll(PLAIN, shift, axis=1) for shift in (6, 4, 2, 0)]
    errors = [np.abs(coded(moving, quantiser).astype(int) - PLAIN).mean() for quantiser in quantisers]
    assert 0 < errors[0] < errors[1] < errors[2] and errors[0] < 5
    assert not np.array_equal(coded(moving, quantisers[2]), coded(moving[-1:], quantisers[2]))


def test_an_occlusion_leaves_most_of_the_face() -> None:
    """Something is covered at times, never more than a third of the crop."""
    rng = np.random.default_rng(0)
    covered = [(augment.occlude(PLAIN, rng) != PLAIN).any(axis=2).mean() for _ in range(50)]
    assert max(covered) < 1 / 3 and np.median(covered) > 0.01
