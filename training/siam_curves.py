"""The success-rate curves of S Figure 7, drawn with the service's own SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from smile import svg
from smile.svg import MARGIN, THEMES, WIDTH, Panel, element, heading, text
from training.predictions import Header

LEFT, RIGHT, TOP, BOTTOM = MARGIN + 52, WIDTH - MARGIN - 170, 110, 380
COLOURS = (THEMES["light"].positive, THEMES["light"].negative, THEMES["light"].ink)


def panel(curves: Mapping[str, Sequence[float]], years: Sequence[int], header: Header) -> Panel:
    """One line for each method: share of the clips, 0-1, whose error is at most each of `years`."""
    theme = THEMES["light"]
    title = "Clips with an error of at most so many years"
    note = f"{header.data_set}, {header.clips:,} clips{', SIMULATED' if header.simulated else ''}"

    def x(year: float) -> float:
        return LEFT + (RIGHT - LEFT) * year / years[-1]

    def y(share: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * share

    parts = [heading(title, note, theme)]
    for percent in range(0, 101, 25):
        height = y(percent / 100)
        parts.append(element("line", x1=LEFT, x2=RIGHT, y1=height, y2=height, stroke=theme.line))
        parts.append(text(LEFT - 10, height + 5, f"{percent} %", fill=theme.muted, size=14, text_anchor="end"))
    for year in years[:: max(1, len(years) // 6)]:
        parts.append(text(x(year), BOTTOM + 24, str(year), fill=theme.muted, size=14, text_anchor="middle"))
    parts.append(text(RIGHT, BOTTOM + 46, "years", fill=theme.muted, size=14, text_anchor="end"))
    for row, (name, shares) in enumerate(curves.items()):
        colour = COLOURS[row % len(COLOURS)]
        line = "M" + "L".join(f"{x(year):.1f} {y(share):.1f}" for year, share in zip(years, shares, strict=True))
        parts.append(element("path", d=line, fill="none", stroke=colour, stroke_width=3, stroke_linejoin="round"))
        parts.append(text(RIGHT + 14, TOP + 24 * row + 16, name, fill=colour, size=16))
    words = " ".join(f"{name}: {100 * shares[-1]:.0f} % within {years[-1]} years." for name, shares in curves.items())
    return Panel(title, f"{note}. {words}", BOTTOM + 64, "".join(parts))


def write(stem: Path, curves: Mapping[str, Sequence[float]], years: Sequence[int], header: Header) -> None:
    """Write stem.svg and stem.png."""
    panels = [panel(curves, years, header)]
    stem.with_suffix(".svg").write_text(svg.document(panels, THEMES["light"]), encoding="utf-8")
    stem.with_suffix(".png").write_bytes(svg.png(panels, THEMES["light"]))
