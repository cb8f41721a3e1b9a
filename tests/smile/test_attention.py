"""What SIAM looked at, drawn: the frames that stand for a clip, and a figure that says what the numbers say."""

import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest

from smile import attention_figure, svg
from smile.attention import (
    APART_S,
    CELL_STEP_PX,
    CELLS,
    FIRST_CELL_PX,
    SHOWN,
    SiamPicture,
    heat,
    most_attended,
    over_face,
    over_frame,
)
from smile.course import SmileCourse
from smile.frontal import PATCH_PX, turned_points
from smile.frontal_shape import MEAN_SHAPE, SIDE_PX

TIMES = np.arange(50) / 25
COURSE = SmileCourse(True, onset_s=0.4, apex_s=1.0, offset_s=None, baseline=0.5, amplitude=0.2)


def _peak(at: int, width: float) -> np.ndarray:
    weights = np.exp(-0.5 * np.square((np.arange(len(TIMES)) - at) / width))
    return np.asarray(weights / weights.sum(), np.float32)


def test_frames_shown_are_the_most_attended_and_apart() -> None:
    """The strongest is there; no two are neighbours; none that is left out and apart from all weighs more."""
    weights = _peak(20, 4.0)
    shown = most_attended(TIMES, weights)
    assert len(shown) == SHOWN and 20 in shown and np.diff(TIMES[shown]).min() >= APART_S
    free = [at for at in range(50) if np.abs(TIMES[shown] - TIMES[at]).min() >= APART_S]
    assert weights[free].max() <= weights[shown].min()
    assert most_attended(TIMES[:2], weights[:2]).tolist() == [1]


def test_heat_lies_on_the_face_alone() -> None:
    """Bright where the cell looks; beside the face all stays black."""
    cells = np.zeros((10, 10), np.float32)
    cells[5, 5] = 1
    face = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    drawn = over_face(face, heat(cells))
    assert drawn[0, 0].tolist() == [0, 0, 0] == drawn[-1, -1].tolist()
    assert drawn[57, 57].sum() > drawn[57, 10].sum() > 0


@pytest.mark.parametrize(("side", "layers"), [(26, 1), (10, 2), (8, 3)])
def test_cells_lie_where_their_convolution_looks(side: int, layers: int) -> None:
    """A pixel moves the map after each convolution most in the cell that is drawn over it."""
    first, step = CELLS[side]
    sizes, strides = [7, 3, 5, 3, 3][: (2, 4, 5)[layers - 1]], [2, 2, 1, 2, 1][: (2, 4, 5)[layers - 1]]
    span, jump = 1, 1
    for size, stride in zip(sizes, strides, strict=True):
        span, jump = span + (size - 1) * jump, jump * stride
    assert (first, step) == (span / 2, jump)
    cells = np.zeros((side, side), np.float32)
    cells[side // 2, side - 2] = 1
    y, x = np.unravel_index(heat(cells, step).argmax(), (SIDE_PX, SIDE_PX))
    assert np.hypot(x + 0.5 - first - step * (side - 2), y + 0.5 - first - step * (side // 2)) <= step


@pytest.mark.parametrize("mirrored", [False, True])
def test_unwarped_heat_lies_where_the_cell_looks(mirrored: bool) -> None:
    """On a face in a frame the brightest place is the one that the warp takes the cell from; beside it nothing."""
    cells = np.zeros((10, 10), np.float32)
    cells[3, 2] = 1
    points = in_a_frame(MEAN_SHAPE)
    there = in_a_frame(np.array([(FIRST_CELL_PX + 2 * CELL_STEP_PX, FIRST_CELL_PX + 3 * CELL_STEP_PX)]))[0]
    frame = np.full((PATCH_PX, PATCH_PX, 3), 40, np.uint8)
    if mirrored:
        points, cells, there = turned_points(points), cells[:, ::-1], (PATCH_PX - there[0], there[1])
    drawn = over_frame(frame, points, heat(cells)).astype(int).sum(axis=-1)
    y, x = np.unravel_index(drawn.argmax(), drawn.shape)
    assert np.hypot(x + 0.5 - there[0], y + 0.5 - there[1]) < CELL_STEP_PX
    assert (drawn[0] == 120).all() and (drawn[:, 0] == 120).all()


def in_a_frame(points: np.ndarray) -> np.ndarray:
    """Points of the warped face -> of a face that is turned and stretched."""
    return np.asarray(points @ np.array([(0.85, 0.15), (-0.2, 1.0)]) + (40, 10), np.float32)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_figure_says_what_the_numbers_say(count: int) -> None:
    """Time and weight of each face shown, moments of the smile, a bar for every frame; also of clips of few frames."""
    times, weights = TIMES[:count], _peak(20, 4.0)[:count]
    weights = weights / weights.sum()
    shown = most_attended(times, weights)
    rng = np.random.default_rng(0)
    seen = SiamPicture(
        times,
        weights,
        shown,
        faces=rng.integers(0, 256, (len(shown), SIDE_PX, SIDE_PX), np.uint8),
        frames=rng.integers(0, 256, (len(shown), PATCH_PX, PATCH_PX, 3), np.uint8),
        points=np.repeat(MEAN_SHAPE[None] + 20, len(shown), axis=0),
        spatial=rng.random((len(shown), 10, 10), np.float32),
    )
    theme = svg.THEMES["dark"]
    panel = attention_figure.attention(seen, COURSE, theme)
    root = ET.fromstring(svg.document([panel], theme))
    words = " ".join("".join(node.itertext()) for node in root.iter() if node.tag.endswith("text"))
    for at in shown:
        assert f"{times[at]:.2f} s" in words and f"weight {100 * weights[at]:.1f} %" in words
    assert "onset 0.40 s" in words and "apex 1.00 s" in words and "offset" not in words
    bars = [node for node in root.iter() if node.get("fill") in (theme.positive, theme.negative)]
    assert len(bars) == count and sum(node.get("fill") == theme.negative for node in bars) == len(shown)
    picture = cv2.imdecode(np.frombuffer(svg.png([panel], theme), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] == svg.WIDTH
    face = picture[100:200, 40:140]
    assert face.std() > picture[100:200, -20:].std()
