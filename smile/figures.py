"""What a reading looks like: the relations on the face, their matrix, the region effects.

Each function returns a Panel; `smile.svg.document` puts panels into an SVG, `smile.svg.png` makes a PNG of it.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from smile.ranking import Relation, rank
from smile.regions import GRID, PAIRS, REGIONS, Region
from smile.svg import (
    MARGIN,
    WIDTH,
    Attributes,
    Panel,
    Photo,
    Theme,
    colour,
    element,
    heading,
    ink_on,
    text,
)

EQUAL_SHARE = 1 / len(PAIRS)
SIDES_NOTE = "left = left of the picture, the subject's right"
GAP = 24
FACE = (WIDTH - 2 * MARGIN - GAP) / 2
"""Width of each of the two faces."""
BEND = 0.16
"""How far the curve of a link that would pass through a third region is pulled aside, in widths of the face."""
Importance = NDArray[np.float32] | NDArray[np.float64]


def spoken(region: Region) -> str:
    """The region's name in words: "left cheek"."""
    return region.name.replace("_", " ")


def _side(region: Region) -> str:
    return f"subject's {region.anatomical_side}" if region.anatomical_side else ""


def top_of_scale(importance: Importance) -> float:
    """Top of the colour scale. It begins at 0, and an equal share is never above its middle: equal looks equal."""
    return max(2 * EQUAL_SHARE, float(importance.max()))


def relations(importance: Importance, theme: Theme, *, trait: str, face: NDArray[np.uint8]) -> Panel:
    """The most important pair and triplet as boxes and links on the aligned face, the other pairs faint.

    Args:
        importance: (36,) of each pair, in the order of PAIRS.
        trait: what was estimated, in a word.
        face: (96, 96, 3) uint8 RGB aligned crop, unmirrored.
    """
    size, top = FACE, 122
    title = f"{trait.capitalize()}: the relations that weigh most"
    body = [heading(title, f"Weights between facial regions; {SIDES_NOTE}.", theme)]
    photos = (Photo(face, size, ((MARGIN, top), (MARGIN + size + GAP, top))),)
    words = []
    for column, (kind, group_size) in enumerate((("pair", 2), ("triplet", 3))):
        best = rank(importance, group_size)[0]
        left = MARGIN + column * (size + GAP)
        body += [
            text(left, top - 14, f"Strongest {kind}", fill=theme.ink, size=17, font_weight="bold"),
            text(left + size, top - 14, f"{best.importance:.3f}", fill=theme.ink, size=17, text_anchor="end"),
            f'<g transform="translate({left:g} {top})">{_links(importance, best, size)}</g>',
            *_captions(best, left, top + size + 30, theme),
        ]
        names = ", ".join(spoken(REGIONS[i]) for i in best.regions)
        words.append(f"Strongest {kind} of regions for {trait}: {names}, importance {best.importance:.3f}.")
    bar_top = top + size + 30 + 3 * 25 + 4
    body.append(_colour_bar(bar_top, top_of_scale(importance), theme))
    return Panel(title, " ".join(words), bar_top + 64, "".join(body), photos)


def _links(importance: Importance, best: Relation, size: float) -> str:
    """What lies over a face: all 36 links, those inside `best` strong, and its regions boxed and lit."""
    cell = size / GRID
    chosen = [REGIONS[i] for i in best.regions]
    parts = [
        element("rect", x=r.column * cell, y=r.row * cell, width=cell, height=cell, fill="#000", fill_opacity=0.34)
        for r in REGIONS
        if r not in chosen
    ]
    inside = [pair for pair in PAIRS if set(pair) <= set(best.regions)]
    scale = top_of_scale(importance)
    for strong in (False, True):
        for pair, weight in zip(PAIRS, importance.tolist(), strict=True):
            if (pair in inside) == strong:
                parts += _link(pair, weight / scale, size, strong=strong)
    for region in chosen:
        box: Attributes = {
            "x": region.column * cell + 2,
            "y": region.row * cell + 2,
            "width": cell - 4,
            "height": cell - 4,
        }
        parts += [
            element("rect", **box, rx=6, fill="none", stroke="#000", stroke_width=5, stroke_opacity=0.55),
            element("rect", **box, rx=6, fill="none", stroke="#fff", stroke_width=2.5),
        ]
        x, y = region.centre
        parts.append(element("circle", cx=x * size, cy=y * size, r=6.5, fill="#fff", stroke="#000", stroke_width=2))
    parts += [_name(region, cell) for region in chosen]
    return "".join(parts)


def _link(pair: tuple[int, int], share: float, size: float, *, strong: bool) -> Iterator[str]:
    d = link_path(pair, size)
    if strong:
        width = 3 + 8 * share
        yield element("path", d=d, fill="none", stroke="#000", stroke_opacity=0.6, stroke_width=width + 4)
        yield element("path", d=d, fill="none", stroke=colour(share), stroke_width=width, stroke_linecap="round")
    else:
        yield element("path", d=d, fill="none", stroke=colour(share), stroke_opacity=0.5, stroke_width=0.6 + 3 * share)


def link_path(pair: tuple[int, int], size: float) -> str:
    """Path between the centres of two regions; bent outwards where a straight one would pass through a third."""
    (x1, y1), (x2, y2) = (REGIONS[i].centre for i in pair)
    start, end = f"M{x1 * size:.1f} {y1 * size:.1f}", f"{x2 * size:.1f} {y2 * size:.1f}"
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    a, b = (REGIONS[i] for i in pair)
    if (a.row + b.row) % 2 or (a.column + b.column) % 2:  # no region lies half-way
        return f"{start}L{end}"
    outwards = np.subtract(middle, 0.5)
    if not outwards.any():
        outwards = np.array([y1 - y2, x2 - x1])
    x, y = middle + BEND * outwards / np.hypot(*outwards)
    return f"{start}Q{x * size:.1f} {y * size:.1f} {end}"


def _name(region: Region, cell: float) -> str:
    """The region's name inside its box, at the edge that is farther from the links; in two lines where it is long."""
    words = spoken(region).rsplit(" ", 1) if spoken(region).count(" ") > 1 else [spoken(region)]
    below = region.row * cell + 22 if region.row == 0 else (region.row + 1) * cell - 12 - 17 * (len(words) - 1)
    halo: Attributes = {"stroke": "#000", "stroke_width": 4, "stroke_opacity": 0.75, "paint_order": "stroke"}
    return "".join(
        text(
            (region.column + 0.5) * cell, below + 17 * line, word,
            fill="#fff", size=15, font_weight="bold", text_anchor="middle", stroke_linejoin="round", **halo,
        )
        for line, word in enumerate(words)
    )  # fmt: skip


def _captions(best: Relation, left: float, top: float, theme: Theme) -> Iterator[str]:
    for line, region in enumerate(REGIONS[i] for i in best.regions):
        y = top + 25 * line
        side = element("tspan", _side(region), fill=theme.muted, font_size=15, dx=8) if _side(region) else ""
        yield element("text", spoken(region) + side, x=left, y=y, fill=theme.ink, font_size=17)


def _colour_bar(top: float, scale: float, theme: Theme) -> str:
    """Colours of importances from 0 to `scale`, with the share that each pair would have if all were equal."""
    left, width = MARGIN + 176, WIDTH - 2 * MARGIN - 176
    parts = [
        text(MARGIN, top + 14, "Importance of a pair", fill=theme.muted, size=15),
        element("rect", x=left, y=top, width=width, height=16, fill="url(#viridis)"),
    ]
    equal = left + width * EQUAL_SHARE / scale
    parts.append(element("line", x1=equal, x2=equal, y1=top - 3, y2=top + 20, stroke=theme.ink, stroke_width=2))
    for x, words, anchor in (
        (left, "0", "start"),
        (equal, f"equal share {EQUAL_SHARE:.3f}", "middle"),
        (left + width, f"{scale:.3f}", "end"),
    ):
        parts.append(text(x, top + 37, words, fill=theme.muted, size=14, text_anchor=anchor))
    return "".join(parts)


def matrix(importance: Importance, theme: Theme, *, trait: str) -> Panel:
    """The importance of every pair as a 9x9 symmetric matrix, in percent; the strongest pair is framed.

    Args: as of `relations`.
    """
    title = f"{trait.capitalize()}: importance of every pair"
    left, top = MARGIN + 138, 200
    cell = (WIDTH - MARGIN - 56 - left) / len(REGIONS)
    scale = top_of_scale(importance)
    parts = [heading(title, f"Percent; all {len(PAIRS)} pairs add up to 100. {SIDES_NOTE.capitalize()}.", theme)]
    for region in REGIONS:
        middle = (region.id + 0.5) * cell
        parts.append(text(left - 10, top + middle + 5, spoken(region), fill=theme.ink, size=15, text_anchor="end"))
        x, y = left + middle + 2, top - 10.0
        turn = f"rotate(-45 {x:.1f} {y})"
        parts.append(text(x, y, spoken(region), fill=theme.ink, size=15, transform=turn))
        parts.append(_cell(left + region.id * cell, top + region.id * cell, cell, fill=theme.line, fill_opacity=0.35))
    for pair, weight in zip(PAIRS, importance.tolist(), strict=True):
        for row, column in (pair, pair[::-1]):
            x, y = left + column * cell, top + row * cell
            parts.append(_cell(x, y, cell, fill=colour(weight / scale)))
            parts.append(
                text(
                    x + cell / 2, y + cell / 2 + 5, f"{100 * weight:.1f}",
                    fill=ink_on(weight / scale), size=15, text_anchor="middle",
                )
            )  # fmt: skip
    best = PAIRS[int(importance.argmax())]
    for row, column in (best, best[::-1]):
        frame = _cell(left + column * cell, top + row * cell, cell, fill="none", stroke=theme.ink, stroke_width=3)
        parts.append(frame)
    bar_top = top + len(REGIONS) * cell + 22
    parts.append(_colour_bar(bar_top, scale, theme))
    names = " and ".join(spoken(REGIONS[i]) for i in best)
    description = f"Importance of the {len(PAIRS)} pairs for {trait}; largest: {names}, {100 * importance.max():.1f} %."
    return Panel(title, description, bar_top + 64, "".join(parts))


def _cell(x: float, y: float, cell: float, **paint: float | str) -> str:
    return element("rect", x=x + 1, y=y + 1, width=cell - 2, height=cell - 2, **paint)


def effects(added: NDArray[np.float64], theme: Theme, *, trait: str, unit: str) -> Panel:
    """What each region's dynamics add to the estimate (zero perturbation), as signed bars, largest first.

    Args:
        added: (9,) estimate less the estimate with the region zeroed, in the order of REGIONS.
        unit: of the effects: "years", or "probability", which is shown in percentage points.
    """
    title = f"{trait.capitalize()}: what each region adds"
    shown, unit = (100 * added, "percentage points") if unit == "probability" else (added, unit)
    top, row, labels, room = 92, 36, 262, 62
    zero_left, zero_right = MARGIN + labels + room, WIDTH - MARGIN - room
    lowest, highest = min(float(shown.min()), 0.0), max(float(shown.max()), 0.0)
    per_unit = (zero_right - zero_left) / ((highest - lowest) or 1.0)
    zero = zero_left - lowest * per_unit
    note = f"The estimate, less the estimate with the region's dynamics zeroed; {unit}."
    parts = [heading(title, note, theme)]
    for line, i in enumerate(np.argsort(-np.abs(shown), kind="stable").tolist()):
        region, value, middle = REGIONS[i], float(shown[i]), top + (line + 0.5) * row
        length = abs(value) * per_unit
        side = element("tspan", _side(region), fill=theme.muted, font_size=14, dx=7) if _side(region) else ""
        parts.append(element("text", spoken(region) + side, x=MARGIN, y=middle + 5, fill=theme.ink, font_size=16))
        parts.append(
            element(
                "rect", x=zero - length if value < 0 else zero, y=middle - 11, width=max(length, 0.5), height=22, rx=2,
                fill=theme.negative if value < 0 else theme.positive,
            )
        )  # fmt: skip
        end, anchor = (zero - length - 7, "end") if value < 0 else (zero + length + 7, "start")
        number = f"{value:+.2f}".replace("-", "\u2212")
        parts.append(text(end, middle + 5, number, fill=theme.ink, size=15, text_anchor=anchor))
    bottom = top + len(REGIONS) * row
    parts.append(element("line", x1=zero, x2=zero, y1=top, y2=bottom, stroke=theme.ink, stroke_width=1.5))
    strongest = REGIONS[int(np.abs(shown).argmax())]
    description = f"Largest effect on {trait}: {spoken(strongest)}, {shown[strongest.id]:+.2f} {unit}."
    return Panel(title, description, bottom + 28, "".join(parts))
