"""Figures: sound SVG that says what the numbers say, and PNG of it."""

import re
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from smile import course_figure, figures, svg
from smile.course import SmileCourse, smile_course
from smile.ranking import rank
from smile.regions import NAMES, PAIRS, REGIONS
from smile.svg import THEMES, WIDTH, Panel

SVG = "{http://www.w3.org/2000/svg}"
LIGHT = THEMES["light"]
FACE = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
TIMES = np.arange(50) / 25
RATIOS = 0.5 + 0.25 * np.exp(-(((TIMES - 1) / 0.3) ** 2))


def _importance(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).dirichlet(np.ones(len(PAIRS)))


def _parsed(*panels: Panel) -> ET.Element:
    return ET.fromstring(svg.document(panels, LIGHT))


def _texts(root: ET.Element) -> list[str]:
    return ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]


def _all_panels(theme: svg.Theme) -> list[Panel]:
    added = np.linspace(-1, 2, len(REGIONS))
    return [
        figures.relations(_importance(), theme, trait="age", face=FACE),
        figures.matrix(_importance(), theme, trait="age"),
        course_figure.course(TIMES, RATIOS, smile_course(TIMES, RATIOS), theme, face_s=1.0),
        figures.effects(added, theme, trait="gender", unit="probability"),
    ]


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_png_is_the_size_that_was_asked_for(theme: svg.Theme) -> None:
    """All panels under each other make one picture on the theme's background."""
    panels = _all_panels(theme)
    picture = cv2.imdecode(np.frombuffer(svg.png(panels, theme, zoom=1), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[1] == WIDTH
    assert abs(picture.shape[0] - sum(panel.height for panel in panels)) <= 1
    assert picture[2, 2].tolist() == [int(theme.background[i : i + 2], 16) for i in (5, 3, 1)]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000


@given(st.lists(st.floats(1e-6, 1), min_size=len(PAIRS), max_size=len(PAIRS)))
def test_relations_show_the_ranking(weights: list[float]) -> None:
    """Whatever the importances, the regions named under the faces are those of the first pair and triplet."""
    importance = np.array(weights) / sum(weights)
    texts = " ".join(_texts(_parsed(figures.relations(importance, LIGHT, trait="age", face=FACE))))
    for size in (2, 3):
        best = rank(importance, size)[0]
        assert f"{best.importance:.3f}" in texts
        for i in best.regions:
            assert figures.spoken(REGIONS[i]) in texts


def test_relations_draw_every_pair_and_embed_the_face() -> None:
    """Each of the two faces has all 36 links, those of its group twice (with an edge), and shows the crop, lossless."""
    root = _parsed(figures.relations(_importance(), LIGHT, trait="age", face=FACE))
    assert len(list(root.iter(f"{SVG}path"))) == 2 * len(PAIRS) + 1 + 3
    (image,) = root.iter(f"{SVG}image")
    assert image.attrib["href"] == svg.data_uri(FACE)
    assert len(list(root.iter(f"{SVG}use"))) == 2


def test_links_pass_through_no_third_region() -> None:
    """A link whose straight course would cross a third region's centre is bent aside."""
    for pair in PAIRS:
        numbers = np.array([float(n) for n in re.findall(r"[\d.]+", figures.link_path(pair, 300))]).reshape(-1, 2)
        control = numbers[1] if len(numbers) == 3 else (numbers[0] + numbers[-1]) / 2
        share = np.linspace(0, 1, 50)[:, None]
        curve = (1 - share) ** 2 * numbers[0] + 2 * share * (1 - share) * control + share**2 * numbers[-1]
        others = [300 * np.array(region.centre) for region in REGIONS if region.id not in pair]
        assert min(np.hypot(*(curve - other).T).min() for other in others) > 15


def test_matrix_is_symmetric_and_complete() -> None:
    """Every pair stands twice, in percent, and every name on both sides."""
    importance = _importance()
    texts = _texts(_parsed(figures.matrix(importance, LIGHT, trait="age")))
    for weight in importance:
        assert texts.count(f"{100 * weight:.1f}") >= 2
    for name in NAMES:
        assert texts.count(name.replace("_", " ")) == 2


def test_equal_importances_look_equal() -> None:
    """An equal share has the colour of the middle of the scale, not that of the strongest."""
    body = figures.matrix(np.full(len(PAIRS), figures.EQUAL_SHARE), LIGHT, trait="age").body
    assert svg.colour(0.5) in body
    assert svg.colour(1.0) not in body.replace("url(#viridis)", "")


def test_effects_have_sides_signs_and_order() -> None:
    """Bars are sorted by size; negative ones go left of zero, in another colour."""
    added = np.array([0.5, -2.0, 1.0, 0.1, 0.0, -0.2, 0.3, -0.4, 0.6])
    root = _parsed(figures.effects(added, LIGHT, trait="age", unit="years"))
    labels = [label for label in _texts(root) if re.match(r"[+\u2212]", label)]
    assert labels[:3] == ["\u22122.00", "+1.00", "+0.60"]
    zero = float(next(iter(root.iter(f"{SVG}line"))).attrib["x1"])
    bars = [bar.attrib for bar in root.iter(f"{SVG}rect") if bar.attrib.get("height") == "22"]
    for bar in bars:
        left, right = float(bar["x"]), float(bar["x"]) + float(bar["width"])
        assert (right <= zero + 0.1) if bar["fill"] == LIGHT.negative else (left >= zero - 0.1)
    assert "left eye" in " ".join(_texts(root)) and "subject's right" in " ".join(_texts(root))


def test_course_marks_moments_and_instants() -> None:
    """Onset, apex and offset are labelled with their times; every instant has its tick; bridged ones no dot."""
    ratios = RATIOS.copy()
    ratios[10:13] = np.nan
    smile = smile_course(TIMES, ratios)
    root = _parsed(course_figure.course(TIMES, ratios, smile, LIGHT, face_s=smile.apex_s))
    texts = " ".join(_texts(root))
    for seconds in (smile.onset_s, smile.apex_s, smile.offset_s):
        assert seconds is not None and f"{seconds:.2f} s" in texts
    assert f"{len(TIMES)} instants were used (ticks), 3 of them bridged" in texts
    dots = [dot for dot in root.iter(f"{SVG}circle") if dot.attrib["r"] == "2.4"]
    assert len(dots) == len(TIMES) - 3


def test_the_curve_is_the_one_that_is_judged() -> None:
    """A frame that stands for three instants is one point: else an error in one frame would look like a smile."""
    times, ratios = np.repeat(np.arange(10) / 10, 3), np.full(30, 0.5)
    ratios[12:15] = 0.9
    root = _parsed(course_figure.course(times, ratios, smile_course(times, ratios), LIGHT))
    (curve,) = (path.attrib["d"] for path in root.iter(f"{SVG}path") if path.attrib.get("fill") == "none")
    heights = {point.split()[1] for point in curve[1:].split("L")}
    assert curve.count("L") == 9 and len(heights) == 1


@given(
    st.lists(st.one_of(st.just(float("nan")), st.floats(0.2, 1.5)), min_size=1, max_size=60),
    st.lists(st.floats(0, 2), min_size=3, max_size=3),
)
def test_any_course_can_be_drawn(ratios: list[float], moments: list[float]) -> None:
    """No clip that has an answer is without a figure: flat, all bridged, one instant, moments on one spot."""
    smile = SmileCourse(True, *sorted(moments), 0.5, 0.2)
    times = np.arange(len(ratios)) / 25
    assert "NaN" not in ET.tostring(_parsed(course_figure.course(times, np.array(ratios), smile, LIGHT)), "unicode")
    assert "nan" not in course_figure.course(times, np.array(ratios), smile, LIGHT).body


def test_nothing_measured_can_be_drawn() -> None:
    """Effects that are all zero make a figure as well."""
    assert "nan" not in figures.effects(np.zeros(len(REGIONS)), LIGHT, trait="age", unit="years").body
