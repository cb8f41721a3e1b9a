"""SVG written by hand, and PNG of it: themes, colours, marks, panels under each other.

Colours are safe for the colour-blind: viridis for amounts, the blue and orange of Okabe and Ito for signs. Lengths are
user units: a figure is 720 wide, so that its smallest text (14) is read on a phone and prints at 7 pt on a page.
"""

import importlib.util
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import cv2
import numpy as np
import resvg_py
from numpy.typing import NDArray

WIDTH = 720
MARGIN = 28
FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
Attributes = dict[str, float | str]
PNG_ZOOM = 1.25
"""Pixels of the PNG for each unit: 900 wide, sharp on a phone. Time and bytes grow with its square; print the SVG."""
VIRIDIS = ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725")
"""Evenly spaced colours of the map, dark to light."""

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True)
class Theme:
    """Colours of a figure; `positive` and `negative` are told apart by everyone, on this background."""

    background: str
    ink: str
    muted: str
    line: str
    positive: str
    negative: str


THEMES: dict[ThemeName, Theme] = {
    "light": Theme("#ffffff", "#16191d", "#565f6a", "#d9dde2", "#0072b2", "#d55e00"),
    "dark": Theme("#14171b", "#eef1f4", "#a7b0bb", "#343b44", "#56b4e9", "#e69f00"),
}


@dataclass(frozen=True)
class Panel:
    """A drawing `WIDTH` wide.

    Attributes:
        title: of the drawing, also for those who hear it.
        description: what it shows, in words.
        body: SVG elements, from (0, 0).
    """

    title: str
    description: str
    height: float
    body: str


def document(panels: Sequence[Panel], theme: Theme) -> str:
    """A standalone SVG of the panels, one under the other; in them `url(#viridis)` is the map from left to right."""
    parts, top = [], 0.0
    for panel in panels:
        parts.append(f'<g transform="translate(0 {top:g})">{panel.body}</g>')
        top += panel.height
    title = "; ".join(panel.title for panel in panels)
    description = " ".join(panel.description for panel in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:g}" width="{WIDTH}" height="{top:g}" '
        f'role="img" font-family="{FONT}"><title>{escape(title)}</title><desc>{escape(description)}</desc>{_gradient()}'
        f'<rect width="{WIDTH}" height="{top:g}" fill="{theme.background}"/>{"".join(parts)}</svg>'
    )


def png(svg: str, zoom: float = PNG_ZOOM) -> bytes:
    """The PNG of an SVG of `document`, `zoom` pixels for each unit."""
    return bytes(
        resvg_py.svg_to_bytes(
            svg,
            width=round(WIDTH * zoom),
            image_rendering="optimize_speed",  # `picture` has smoothed it
            skip_system_fonts=True,
            font_files=_font_files(),
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
        )
    )


@cache
def _font_files() -> list[str]:
    """DejaVu Sans as matplotlib ships it, which mediapipe brings: the same text on every machine."""
    package = importlib.util.find_spec("matplotlib")
    assert package is not None and package.submodule_search_locations is not None
    fonts = Path(package.submodule_search_locations[0]) / "mpl-data/fonts/ttf"
    return [str(fonts / name) for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")]


def colour(share: float) -> str:
    """viridis at `share`, 0-1."""
    stops = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in VIRIDIS])
    place = np.clip(share, 0, 1) * (len(VIRIDIS) - 1)
    rgb = (float(np.interp(place, range(len(VIRIDIS)), channel)) for channel in stops.T)
    return "#" + "".join(f"{round(value):02x}" for value in rgb)


def ink_on(share: float) -> str:
    """Text colour that is read on `colour(share)`."""
    return "#ffffff" if share < 0.55 else "#16191d"


def element(name: str, content: str = "", /, **attributes: float | str) -> str:
    """One element; `_` in a name stands for `-`, `content` is markup."""
    words = [f"{key.rstrip('_').replace('_', '-')}={quoteattr(_number(value))}" for key, value in attributes.items()]
    opening = " ".join((name, *words))
    return f"<{opening}>{content}</{name}>" if content else f"<{opening}/>"


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def text(x: float, y: float, words: str, /, *, fill: str, size: float = 16, **attributes: float | str) -> str:
    """Text as text; `words` is escaped."""
    return element("text", escape(words), x=x, y=y, fill=fill, font_size=size, **attributes)


def heading(title: str, note: str, theme: Theme) -> str:
    """The first two lines of a panel; the drawing begins below y = 80."""
    return text(MARGIN, 40, title, fill=theme.ink, size=22, font_weight="bold") + text(
        MARGIN, 65, note, fill=theme.muted, size=15
    )


def data_uri(rgb: NDArray[np.uint8]) -> str:
    """(H, W, 3) uint8 RGB as a PNG data URI."""
    encoded = cv2.imencode(".png", np.ascontiguousarray(rgb[:, :, ::-1]))[1]
    return f"data:image/png;base64,{b64encode(encoded.tobytes()).decode()}"


def _gradient() -> str:
    stops = "".join(
        element("stop", offset=i / (len(VIRIDIS) - 1), stop_color=f"#{code}") for i, code in enumerate(VIRIDIS)
    )
    return element("defs", element("linearGradient", stops, id="viridis"))
