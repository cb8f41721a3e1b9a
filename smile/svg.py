"""SVG written by hand, and PNG of it: themes, colours, marks, panels under each other.

Colours are safe for the colour-blind: viridis for amounts, the blue and orange of Okabe and Ito for signs. Lengths are
user units: a figure is 720 wide, so that its smallest text (14) is read on a phone and prints at 7 pt on a page.
"""

import importlib.util
import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
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
PNG_ZOOM = 1.0
"""Pixels of the PNG for each unit. Time and bytes grow with its square: for print take the SVG."""
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
class Photo:
    """A square photograph under a drawing.

    Attributes:
        rgb: (H, H, 3) uint8 RGB.
        size: width and height at which it is shown.
        places: (x, y) of the top left corner of each showing.
    """

    rgb: NDArray[np.uint8]
    size: float
    places: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Panel:
    """A drawing `WIDTH` wide.

    Attributes:
        title: of the drawing, also for those who hear it.
        description: what it shows, in words.
        body: SVG elements, from (0, 0); `url(#viridis)` is the map from left to right.
    """

    title: str
    description: str
    height: float
    body: str
    photos: tuple[Photo, ...] = ()


def document(panels: Sequence[Panel], theme: Theme) -> str:
    """A standalone SVG of the panels, one under the other."""
    height = sum(panel.height for panel in panels)
    background = element("rect", width=WIDTH, height=height, fill=theme.background)
    photos = []
    for number, (top, photo) in enumerate(_photos(panels)):
        image = element("image", id=f"photo{number}", width=photo.size, height=photo.size, href=data_uri(photo.rgb))
        shown = (element("use", href=f"#photo{number}", x=x, y=top + y) for x, y in photo.places)
        photos += [element("defs", image), *shown]
    return _document(panels, height, background + "".join(photos))


def _document(panels: Sequence[Panel], height: float, background: str) -> str:
    drawn = (
        element("g", panel.body, transform=f"translate(0 {top:g})")
        for panel, top in zip(panels, _tops(panels), strict=True)
    )
    title = "; ".join(panel.title for panel in panels)
    description = " ".join(panel.description for panel in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'role="img" font-family="{FONT}"><title>{escape(title)}</title><desc>{escape(description)}</desc>'
        f"{_gradient()}{background}{''.join(drawn)}</svg>"
    )


def _tops(panels: Sequence[Panel]) -> list[float]:
    return [0.0, *accumulate(panel.height for panel in panels)][:-1]


def _photos(panels: Sequence[Panel]) -> Iterator[tuple[float, Photo]]:
    """(top of its panel, photo) of every photo."""
    for panel, top in zip(panels, _tops(panels), strict=True):
        yield from ((top, photo) for photo in panel.photos)


def png(panels: Sequence[Panel], theme: Theme, zoom: float = PNG_ZOOM) -> bytes:
    """The PNG of the same figure, `zoom` pixels for each unit.

    The photographs are laid under a drawing with holes: OpenCV scales and compresses them three times as fast as the
    renderer does.
    """
    height = sum(panel.height for panel in panels)
    holes = "".join(
        f"M{x:g} {top + y:g}h{photo.size:g}v{photo.size:g}h{-photo.size:g}z"
        for top, photo in _photos(panels)
        for x, y in photo.places
    )
    outline = f"M0 0H{WIDTH}V{height:g}H0z{holes}"
    background = element("path", d=outline, fill=theme.background, fill_rule="evenodd")
    drawing = _rendered(_document(panels, height, background), round(WIDTH * zoom))
    if not holes:
        return drawing
    canvas = _decoded(drawing)
    for top, photo in _photos(panels):
        for x, y in photo.places:
            _lay_under(canvas, photo, x * zoom, (top + y) * zoom, photo.size * zoom)
    return cv2.imencode(".png", np.ascontiguousarray(canvas[:, :, :3]))[1].tobytes()


def transparency(body: str, width: float, height: float) -> NDArray[np.uint8]:
    """(height, width, 4) uint8 BGRA, straight alpha, of SVG elements on nothing, one pixel for each unit."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" font-family="{FONT}">'
    return _decoded(_rendered(f"{svg}{_gradient()}{body}</svg>", round(width)))


def _rendered(svg: str, width: int) -> bytes:
    """PNG of a document, `width` pixels wide."""
    return bytes(
        resvg_py.svg_to_bytes(
            svg,
            width=width,
            skip_system_fonts=True,
            font_files=_font_files(),
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
        )
    )


def _decoded(drawing: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(drawing, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def _lay_under(canvas: NDArray[np.uint8], photo: Photo, x: float, y: float, size: float) -> None:
    """Show the photo where `canvas`, (H, W, 4) uint8 BGRA, is transparent."""
    pixels = math.ceil(size) + 1  # covers the edges, where the hole begins within a pixel
    window = canvas[int(y) : int(y) + pixels, int(x) : int(x) + pixels]
    bgr = np.ascontiguousarray(photo.rgb[:, :, ::-1])
    scaled = cv2.resize(bgr, window.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    alpha = window[:, :, 3:].astype(np.float32) / 255
    window[:, :, :3] = np.rint(scaled + (window[:, :, :3] - scaled.astype(np.float32)) * alpha)


@cache
def _font_files() -> list[str]:
    """DejaVu Sans as matplotlib ships it, which mediapipe brings: the same text on every machine."""
    package = importlib.util.find_spec("matplotlib")
    assert package is not None and package.submodule_search_locations is not None
    fonts = Path(package.submodule_search_locations[0]) / "mpl-data/fonts/ttf"
    return [str(fonts / name) for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")]


def colour(share: float) -> str:
    """viridis at `share`, 0-1."""
    place = min(max(share, 0.0), 1.0) * (len(VIRIDIS) - 1)
    low = min(int(place), len(VIRIDIS) - 2)
    darker, lighter = (bytes.fromhex(code) for code in VIRIDIS[low : low + 2])
    return "#" + "".join(f"{round(a + (b - a) * (place - low)):02x}" for a, b in zip(darker, lighter, strict=True))


def ink_on(share: float) -> str:
    """Text colour that is read on `colour(share)`."""
    return "#ffffff" if share < 0.45 else "#16191d"


def element(name: str, content: str = "", /, **attributes: float | str) -> str:
    """One element; `_` in a name stands for `-`, `content` is markup."""
    words = [f"{key.replace('_', '-')}={quoteattr(_number(value))}" for key, value in attributes.items()]
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


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """(H, W, 3) uint8 RGB, or (H, W) grey, as a PNG data URI."""
    bgr = pixels[:, :, ::-1] if pixels.ndim == 3 else pixels
    encoded = cv2.imencode(".png", np.ascontiguousarray(bgr))[1]
    return f"data:image/png;base64,{b64encode(encoded.tobytes()).decode()}"


def _gradient() -> str:
    stops = "".join(
        element("stop", offset=i / (len(VIRIDIS) - 1), stop_color=f"#{code}") for i, code in enumerate(VIRIDIS)
    )
    return element("defs", element("linearGradient", stops, id="viridis"))
