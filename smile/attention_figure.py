"""What SIAM looked at, drawn: heat over the frames that counted most, and how much every frame counted."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from smile.attention import APART_S, SHOWN, SiamPicture
from smile.course import SmileCourse
from smile.course_figure import moments, ticks
from smile.svg import MARGIN, WIDTH, Panel, Photo, Theme, element, heading, text

GAP = 16
FACE = (WIDTH - 2 * MARGIN - (SHOWN - 1) * GAP) / SHOWN
"""Width of each face."""


def attention(seen: SiamPicture, smile: SmileCourse, theme: Theme) -> Panel:
    """Frames and, below, the warped faces under their heat; then the weight of every frame as bars over time, orange
    for those shown."""
    times_s, weights, shown = seen.times_s, seen.temporal, seen.shown
    title = "SIAM: what it looked at"
    equal = 1 / len(weights)
    note = "Attention inside the network, not proof of what decided. Lower row: faces as it sees them."
    parts = [heading(title, note, theme)]
    photos, below = [], 92 + 2 * FACE + GAP
    for column, (heated, cells, at) in enumerate(zip(seen.heated(), seen.spatial, shown.tolist(), strict=True)):
        left = MARGIN + column * (FACE + GAP)
        photos += [Photo(heated.frame, FACE, ((left, 92),)), Photo(heated.face, FACE, ((left, 92 + FACE + GAP),))]
        parts += [
            text(left, below + 24, f"{times_s[at]:.2f} s", fill=theme.ink, size=16, font_weight="bold"),
            text(left, below + 45, f"weight {100 * weights[at]:.1f} %", fill=theme.muted, size=14),
            text(left, below + 64, f"cells {cells.min():.2f} to {cells.max():.2f}", fill=theme.muted, size=14),
        ]
    parts.append(_scale(below + 84))
    for x, anchor, words in ((MARGIN, "start", "a face's least"), (WIDTH - MARGIN, "end", "its most attended cell")):
        parts.append(text(x, below + 118, words, fill=theme.muted, size=14, text_anchor=anchor))
    parts += _bars(shown, times_s, weights, smile, theme, top=below + 230)
    strongest = times_s[int(weights.argmax())]
    description = (
        f"The frames that counted most, at least {APART_S:g} s apart: "
        f"{', '.join(f'{times_s[at]:.2f} s' for at in shown)}. The largest weight is that of {strongest:.2f} s, "
        f"{weights.max() / equal:.1f} times an equal share."
    )
    return Panel(title, description, below + 460, "".join(parts), tuple(photos))


def _scale(top: float) -> str:
    return element("rect", x=MARGIN, y=top, width=WIDTH - 2 * MARGIN, height=14, fill="url(#viridis)")


def _bars(
    shown: NDArray[np.intp],
    times_s: NDArray[np.float64],
    weights: NDArray[np.float32],
    smile: SmileCourse,
    theme: Theme,
    *,
    top: float,
) -> Iterator[str]:
    """One bar for each frame, from its time to the next frame's; a line where all would be if all counted alike."""
    left, right, bottom = MARGIN + 52, WIDTH - MARGIN - 8, top + 150
    edges = _edges(times_s)
    highest = float(weights.max()) * 1.05
    x = _axis(edges[0], edges[-1], left, right)
    y = _axis(0, highest, bottom, top)
    yield text(MARGIN, top - 74, "How much each frame counted", fill=theme.ink, size=17, font_weight="bold")
    for weight in ticks(0, highest, 4):
        yield element("line", x1=left, x2=right, y1=y(weight), y2=y(weight), stroke=theme.line)
        yield text(left - 8, y(weight) + 5, f"{100 * weight:g} %", fill=theme.muted, size=14, text_anchor="end")
    for seconds in ticks(edges[0], edges[-1], 7):
        yield text(x(seconds), bottom + 22, f"{seconds:g}", fill=theme.muted, size=14, text_anchor="middle")
    for at, weight in enumerate(weights.tolist()):
        start, end = x(edges[at]), x(edges[at + 1])
        fill = theme.negative if at in shown else theme.positive
        yield element(
            "rect", x=start, y=y(weight), width=max(end - start - 0.6, 0.6), height=bottom - y(weight), fill=fill
        )
    equal = y(1 / len(weights))
    yield element(
        "line", x1=left, x2=right, y1=equal, y2=equal, stroke=theme.ink, stroke_width=1.5, stroke_dasharray="6 4"
    )
    yield from moments(smile, x, top, bottom, theme)
    yield text(left, bottom + 46, "Dashed: all alike. Orange: the frames above.", fill=theme.muted, size=14)
    yield text(right, bottom + 46, "seconds", fill=theme.muted, size=14, text_anchor="end")


def _edges(times_s: NDArray[np.float64]) -> list[float]:
    """(F + 1) where the bars of F frames meet; the last is as wide as the frames are apart in the middle."""
    step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    return [*times_s.tolist(), float(times_s[-1]) + step]


def _axis(first: float, last: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * (value - first) / (last - first)
