"""Corruptions change what a camera changes, and leave who is seen, and where."""

import numpy as np
import pytest
from skimage.data import astronaut

from training import corruptions

CROPS = np.stack([astronaut()[top : top + 96, 160:256] for top in (20, 60, 120, 200)])


@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
def test_a_corruption_changes_pixels_but_not_who_is_who(name: str) -> None:
    """Each crop comes back changed, in its shape, and still most like itself."""
    corrupted = corruptions.CORRUPTIONS[name](CROPS)
    assert corrupted.shape == CROPS.shape and corrupted.dtype == np.uint8
    assert all((a != b).mean() > 0.2 for a, b in zip(corrupted, CROPS, strict=True))
    alike = np.corrcoef(corrupted.reshape(4, -1), CROPS.reshape(4, -1))[:4, 4:]
    assert alike.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_a_turned_face_keeps_its_eyes_in_place() -> None:
    """Both eyes stay where the aligner puts them, and the face becomes taller by the cosine that it loses in width."""
    at = np.indices((96, 96)).astype(np.uint8)
    came_from = corruptions.turned(np.dstack([at[1], at[0], at[0]])[None])[0].astype(int)
    for x in (24, 72):
        assert np.abs(came_from[26, x, :2] - (x, 26)).max() <= 1
    assert came_from[86, 48, 1] - 26 == pytest.approx(60 * np.cos(np.deg2rad(corruptions.TURN_DEGREES)), rel=0.03)
