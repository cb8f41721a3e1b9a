"""The geometry of the crop."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smile.alignment import CROP_PX, EYE_DISTANCE_PX, LEFT_EYE_PX, share_inside, similarity, warp

RIGHT_EYE_PX = (LEFT_EYE_PX[0] + EYE_DISTANCE_PX, LEFT_EYE_PX[1])
COORDINATES = st.floats(-500, 4000)
DOTS = np.array([LEFT_EYE_PX, RIGHT_EYE_PX, (48.0, 54.6), (29.3, 79.1), (66.7, 79.1), (12.0, 60.0), (84.0, 40.0)])
"""Eyes, nose tip, mouth corners, and two more, in the crop."""


def test_eyes_of_the_specification() -> None:
    """The template is the one written down: eyes at (24, 26) and (72, 26) of 96."""
    assert (LEFT_EYE_PX, RIGHT_EYE_PX, CROP_PX) == ((24.0, 26.0), (72.0, 26.0), 96)


def similarity_of(x: float, y: float, distance: float, angle: float) -> NDArray[np.float64]:
    """The matrix for eyes `distance` apart, turned by `angle`, the left one at (x, y)."""
    left = np.array([x, y])
    return similarity(left, left + distance * np.array([np.cos(angle), np.sin(angle)]))


@given(COORDINATES, COORDINATES, st.floats(1, 2000), st.floats(-np.pi, np.pi))
def test_eyes_land_on_the_template(x: float, y: float, distance: float, angle: float) -> None:
    """For any place, size and roll the eyes land on the template, by a similarity that does not mirror."""
    matrix = similarity_of(x, y, distance, angle)
    left, right = np.array([x, y]), np.array([x, y]) + distance * np.array([np.cos(angle), np.sin(angle)])
    assert matrix @ [*left, 1] == pytest.approx(np.array(LEFT_EYE_PX), abs=1e-6)
    assert matrix @ [*right, 1] == pytest.approx(np.array(RIGHT_EYE_PX), abs=1e-6)
    scale = EYE_DISTANCE_PX / distance
    assert matrix[:, :2] @ matrix[:, :2].T == pytest.approx(scale**2 * np.eye(2), rel=1e-6, abs=1e-9)
    assert np.linalg.det(matrix[:, :2]) > 0


def dotted(size: tuple[int, int], dots: NDArray[np.float64], sigma: float) -> NDArray[np.uint8]:
    """A grey (height, width, 3) picture with a bright Gaussian at each dot, (x, y) in continuous coordinates."""
    ys, xs = np.mgrid[: size[0], : size[1]] + 0.5
    light = sum(np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * sigma**2)) for x, y in dots)
    return np.repeat((40 + 200 * np.minimum(light, 1)).astype(np.uint8)[..., None], 3, axis=2)


def found_at(crop: NDArray[np.uint8], dot: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centroid of the light near a dot of the crop."""
    x, y = (int(value) for value in dot)
    window = np.maximum(crop[y - 6 : y + 7, x - 6 : x + 7, 0].astype(float) - 45, 0)
    ys, xs = np.mgrid[y - 6 : y + 7, x - 6 : x + 7] + 0.5
    return np.asarray(np.array([(xs * window).sum(), (ys * window).sum()]) / window.sum())


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([24.0, 40.0, 70.0, 95.0, 97.0, 150.0, 230.0]), st.floats(-0.8, 0.8), st.floats(0, 1))
def test_dots_land_where_the_matrix_says(distance: float, angle: float, shift: float) -> None:
    """Faces enlarged, reduced a little, and reduced by whole factors first: each dot lands within 0.25 px."""
    scale = distance / EYE_DISTANCE_PX
    size = int(150 * scale)
    matrix = similarity_of(size * 0.4 + shift, size * 0.45 - shift, distance, angle)
    inverse = cv2.invertAffineTransform(matrix)
    frame = dotted((size, size), DOTS @ inverse[:, :2].T + inverse[:, 2], 2.0 * scale)
    crop = warp(frame, matrix)
    for dot in DOTS:
        x, y = inverse @ [*dot, 1]
        if 6 * scale < min(x, y) and max(x, y) < size - 6 * scale:
            assert found_at(crop, dot) == pytest.approx(dot, abs=0.25)


@pytest.mark.parametrize("distance", [60.0, 210.0])
@pytest.mark.parametrize("corner", [0, 700])
def test_faces_partly_outside(distance: float, corner: int) -> None:
    """Inside the frame dots land where they should; outside, the border is repeated; the report says that it was."""
    scale, size = distance / EYE_DISTANCE_PX, 700
    x, y = (0.1 * distance, 0.4 * distance) if corner == 0 else (size - 0.9 * distance, size - 0.8 * distance)
    matrix = similarity_of(x, y, distance, 0.1)
    inverse = cv2.invertAffineTransform(matrix)
    places = DOTS @ inverse[:, :2].T + inverse[:, 2]
    crop = warp(dotted((size, size), places, 2.0 * scale), matrix)
    inside = [
        dot for dot, place in zip(DOTS, places, strict=True) if np.all((6 * scale < place) & (place < size - 6 * scale))
    ]
    assert 2 <= len(inside) < len(DOTS)
    for dot in inside:
        assert found_at(crop, dot) == pytest.approx(dot, abs=0.25)
    assert crop.min() >= 39
    assert 0.3 < share_inside(np.empty((size, size, 3), np.uint8), matrix) < 0.9


def test_share_inside() -> None:
    """A crop that fits into the frame exactly is whole; a quarter further to the side three quarters of it are."""
    frame = np.zeros((CROP_PX, CROP_PX, 3), np.uint8)
    for shift, share in ((0, 1.0), (CROP_PX / 4, 0.75), (CROP_PX, 0.0)):
        matrix = similarity_of(LEFT_EYE_PX[0] - shift, LEFT_EYE_PX[1], EYE_DISTANCE_PX, 0.0)
        assert share_inside(frame, matrix) == pytest.approx(share, abs=1e-3)
    assert share_inside(frame, similarity_of(*LEFT_EYE_PX, 1e-9, 0.0)) == 0.0


def test_a_crop_of_itself_is_itself() -> None:
    """Eyes that stand on the template leave every pixel as it is."""
    frame = np.random.default_rng(1).integers(0, 256, (CROP_PX, CROP_PX, 3), np.uint8)
    assert (warp(frame, similarity_of(*LEFT_EYE_PX, EYE_DISTANCE_PX, 0.0)) == frame).all()


def test_fine_detail_does_not_alias() -> None:
    """One-pixel stripes on a face eight times too large come out grey, not as stripes of another width."""
    frame = np.zeros((900, 900, 3), np.uint8)
    frame[:, ::2] = 255
    crop = warp(frame, similarity_of(230.0, 260.0, 8.3 * EYE_DISTANCE_PX, 0.0))
    assert np.abs(crop.astype(int) - 127).max() < 20


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 500, 3), (500, 2, 3)])
def test_tiny_frames(shape: tuple[int, int, int]) -> None:
    """A frame thinner than one reduced pixel still gives a crop."""
    crop = warp(np.full(shape, 77, np.uint8), similarity_of(0.0, 0.0, 400.0, 0.3))
    assert crop.shape == (CROP_PX, CROP_PX, 3) and (crop == 77).all()
