"""S Figures 6 to 8, drawn with the service's own SVG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smile import svg
from smile.course_figure import ticks
from smile.svg import MARGIN, THEMES, WIDTH, Panel, element, heading, text
from training.predictions import Header

LEFT, RIGHT, TOP, BOTTOM = MARGIN + 52, WIDTH - MARGIN - 170, 110, 380
THEME = THEMES["light"]
FEW = 6
"""Up to so many places each is named and has a dot."""
COLOURS = (THEME.positive, THEME.negative, THEME.ink, THEME.muted)


@dataclass(frozen=True)
class Curve:
    """One line: a height at each place."""

    name: str
    places: Sequence[float]
    heights: Sequence[float]


def place_of(header: Header) -> str:
    """Where a figure's numbers are from."""
    return f"{header.data_set}, {header.clips:,} clips{', SIMULATED' if header.simulated else ''}"


def lines(
    title: str,
    note: str,
    curves: Sequence[Curve],
    across: str,
    shown: Callable[[float], str],
    highest: float | None = None,
) -> Panel:
    """Curves over one axis, with their names beside them.

    Args:
        across: what the places are.
        shown: a height, in words.
        highest: of the axis; the highest of the curves where absent.
    """
    places = sorted({place for curve in curves for place in curve.places})
    highest = highest or max(max(curve.heights) for curve in curves) or 1.0
    x, y = _axis(places[0], places[-1], LEFT, RIGHT), _axis(0.0, highest, BOTTOM, TOP)
    parts = [heading(title, note, THEME)]
    for height in ticks(0.0, highest, 4):
        parts.append(element("line", x1=LEFT, x2=RIGHT, y1=y(height), y2=y(height), stroke=THEME.line))
        parts.append(text(LEFT - 10, y(height) + 5, shown(height), fill=THEME.muted, size=14, text_anchor="end"))
    for place in places if len(places) <= FEW else ticks(places[0], places[-1], FEW):
        parts.append(text(x(place), BOTTOM + 24, f"{place:g}", fill=THEME.muted, size=14, text_anchor="middle"))
    parts.append(text(RIGHT, BOTTOM + 46, across, fill=THEME.muted, size=14, text_anchor="end"))
    for row, (curve, colour) in enumerate(zip(curves, COLOURS, strict=False)):
        points = zip(curve.places, curve.heights, strict=True)
        line = "M" + "L".join(f"{x(place):.1f} {y(height):.1f}" for place, height in points)
        parts.append(element("path", d=line, fill="none", stroke=colour, stroke_width=3, stroke_linejoin="round"))
        if len(places) <= FEW:
            dots = zip(curve.places, curve.heights, strict=True)
            parts += [element("circle", cx=x(place), cy=y(height), r=5, fill=colour) for place, height in dots]
        parts.append(text(RIGHT + 14, TOP + 24 * row + 16, curve.name, fill=colour, size=16))
    words = " ".join(f"{curve.name}: {shown(curve.heights[-1])} at {curve.places[-1]:g}." for curve in curves)
    return Panel(title, f"{note}. {across}. {words}", BOTTOM + 64, "".join(parts))


def bars(title: str, note: str, rows: Mapping[str, tuple[float | None, float | None]]) -> Panel:
    """Errors in years, ours as a bar and the printed one as a mark and a number.

    Args:
        rows: name -> ours and the printed one, None where it was not run or not printed.
    """
    highest = max((value for pair in rows.values() for value in pair if value is not None), default=1.0)
    left, row_px = MARGIN + 250, 44
    x = _axis(0.0, highest, left, WIDTH - MARGIN - 185)
    parts, words = [heading(title, note, THEME)], []
    for row, (name, (ours, printed)) in enumerate(rows.items()):
        top = TOP + row * row_px
        parts.append(text(left - 12, top + 20, name, fill=THEME.ink, size=16, text_anchor="end"))
        if ours is not None:
            parts.append(element("rect", x=left, y=top, width=x(ours) - left, height=28, fill=THEME.positive))
        if printed is not None:
            parts.append(element("rect", x=x(printed) - 2, y=top - 3, width=4, height=34, fill=THEME.negative))
        said = "not run" if ours is None else f"{ours:.2f}"
        beside = "" if printed is None else f" (printed {printed:.2f})"
        parts.append(text(WIDTH - MARGIN, top + 20, said + beside, fill=THEME.ink, size=15, text_anchor="end"))
        words.append(f"{name}: {said}{beside}.")
    bottom = TOP + len(rows) * row_px
    key = "Bars: mean absolute error here, in years. Orange: printed, of UvA-NEMO."
    parts.append(text(MARGIN, bottom + 14, key, fill=THEME.muted, size=14))
    return Panel(title, f"{note}. {' '.join(words)}", bottom + 34, "".join(parts))


def write(stem: Path, drawn: Panel) -> None:
    """Write stem.svg and stem.png."""
    stem.with_suffix(".svg").write_text(svg.document([drawn], THEME), encoding="utf-8")
    stem.with_suffix(".png").write_bytes(svg.png([drawn], THEME))


def _axis(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * (value - low) / ((high - low) or 1.0)
