"""How the mouth widens and relaxes over a clip, drawn (see `smile.figures`)."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from smile.course import SmileCourse, mouth_curve
from smile.svg import MARGIN, WIDTH, Attributes, Panel, Theme, element, heading, text


def course(
    times_s: NDArray[np.float64],
    mouth_ratios: NDArray[np.float64],
    smile: SmileCourse,
    theme: Theme,
    *,
    face_s: float | None = None,
) -> Panel:
    """The width of the mouth over time, with the instants that the network saw, and onset, apex and offset.

    Args:
        times_s: (T,) ascending.
        mouth_ratios: (T,) nan where the face was bridged.
        face_s: the instant of the face that `relations` shows.
    """
    title = "The course of the smile"
    measured = np.isfinite(mouth_ratios)
    left, right, top, bottom = MARGIN + 52, WIDTH - MARGIN - 8, 150, 350
    span = (float(times_s[0]), max(float(times_s[-1]), float(times_s[0]) + 1e-3))
    low, high = ratio_range(mouth_ratios[measured])

    def x(seconds: float) -> float:
        return left + (right - left) * (seconds - span[0]) / (span[1] - span[0])

    def y(ratio: float) -> float:
        return bottom - (bottom - top) * (ratio - low) / (high - low)

    parts = [heading(title, "Distance of the mouth corners / distance of the outer eye corners.", theme)]
    for ratio in ticks(low, high, 4):
        parts.append(element("line", x1=left, x2=right, y1=y(ratio), y2=y(ratio), stroke=theme.line))
        parts.append(text(left - 10, y(ratio) + 5, f"{ratio:.2f}", fill=theme.muted, size=14, text_anchor="end"))
    for seconds in ticks(*span, 7):
        parts.append(text(x(seconds), bottom + 38, f"{seconds:g}", fill=theme.muted, size=14, text_anchor="middle"))
    parts.append(text(right, bottom + 60, "seconds", fill=theme.muted, size=14, text_anchor="end"))
    parts += [
        element("line", x1=x(t), x2=x(t), y1=bottom + 8, y2=bottom + (18 if seen else 13), stroke=theme.muted)
        for t, seen in zip(times_s.tolist(), measured.tolist(), strict=True)
    ]
    words = f"{len(times_s)} instants were used (ticks), {np.count_nonzero(~measured)} of them bridged."
    parts.append(text(left, bottom + 60, words, fill=theme.muted, size=14))
    parts += moments(smile, x, top, bottom, theme)
    if measured.any():
        points = zip(*(values.tolist() for values in mouth_curve(times_s, mouth_ratios)), strict=True)
        line = "M" + "L".join(f"{x(t):.1f} {y(r):.1f}" for t, r in points)
        parts.append(
            element("path", d=line, fill="none", stroke=theme.positive, stroke_width=3, stroke_linejoin="round")
        )
    parts += [
        element("circle", cx=x(t), cy=y(r), r=2.4, fill=theme.ink, fill_opacity=0.55)
        for t, r in zip(times_s[measured].tolist(), mouth_ratios[measured].tolist(), strict=True)
    ]
    at = [float(r) for t, r in zip(times_s, mouth_ratios, strict=True) if t == face_s and np.isfinite(r)]
    if face_s is not None and at:
        ring: Attributes = {"fill": theme.background, "stroke": theme.negative, "stroke_width": 3}
        parts.append(element("circle", cx=x(face_s), cy=y(at[0]), r=6.5, **ring))
        parts.append(element("circle", cx=MARGIN + 8, cy=bottom + 83, r=6.5, **ring))
        parts.append(text(MARGIN + 24, bottom + 88, "the face that is shown", fill=theme.muted, size=14))
    return Panel(title, _in_words(smile), bottom + 112, "".join(parts))


def ratio_range(ratios: NDArray[np.float64]) -> tuple[float, float]:
    """Limits of the axis: what was measured, but at least 0.2, so that noise does not look like a smile."""
    if not len(ratios):
        return 0.4, 0.8
    low, high = float(ratios.min()), float(ratios.max())
    spare = max(0.02, (0.2 - (high - low)) / 2)
    return low - spare, high + spare


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between the two, at most `most` + 1 of them."""
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(float(step * power) for step in (1, 2, 5, 10) if step * power >= rough)
    return [round(i * step, 6) for i in range(int(np.ceil(low / step)), int(high / step) + 1)]


def moments(smile: SmileCourse, x: Callable[[float], float], top: float, bottom: float, theme: Theme) -> Iterator[str]:
    """Lines at onset, apex and offset; a label that would touch the one before goes a line higher."""
    ends: list[float] = []
    for name, seconds in (("onset", smile.onset_s), ("apex", smile.apex_s), ("offset", smile.offset_s)):
        if seconds is None:
            continue
        middle = min(max(x(seconds), MARGIN + 100.0), WIDTH - MARGIN - 60.0)
        level = next((i for i, end in enumerate(ends) if end < middle - 55), len(ends))
        ends[level : level + 1] = [middle + 55]
        at, y = x(seconds), top - 12 - 22 * level
        yield element("line", x1=at, x2=at, y1=y + 6, y2=bottom, stroke=theme.ink, stroke_dasharray="2 4")
        label = f"{name} {seconds:.2f} s"
        yield text(middle, y, label, fill=theme.ink, size=15, font_weight="bold", text_anchor="middle")


def _in_words(smile: SmileCourse) -> str:
    if not smile.has_smile:
        return "No smile was seen."
    moments = (("onset", smile.onset_s), ("apex", smile.apex_s), ("offset", smile.offset_s))
    shown = [f"{name} at {seconds:.2f} s" for name, seconds in moments if seconds is not None]
    return f"A smile, {', '.join(shown)}." if shown else "A smile from beginning to end."
