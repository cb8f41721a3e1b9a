"""The strip below the pictures of a film: the course of the smile, with a cursor at the time of the picture."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from smile.colour import Pixels
from smile.course import SmileCourse, mouth_curve
from smile.course_figure import ratio_range, ticks
from smile.film_drawing import yuv
from smile.svg import THEMES, element, text, transparency

THEME = THEMES["dark"]
TEXT_PX = 13
TEXT_SHARE = 1 / 60
"""Size of the text: this share of the width, and at least TEXT_PX."""
HEIGHT_EM = 9.6
"""Height of the strip in sizes of its text."""
TICK_ROOM_EM = 6.0
"""Least distance of two labels on the time axis."""
EM_PER_LETTER = 0.6
"""Width of a letter, rather too wide."""
CURSOR, DOT = "#ffffff", THEME.negative
SUBPIXEL = 4
"""Fractional bits of the places that the cursor's dot is drawn at."""


class Strip:
    """The course of the smile over the whole time of a film.

    Args:
        width: of the film.
        end_s: time at the right edge of the axis; the left one is 0.
        titles: what the film shows, in words; the first that fits is written.
        times_s, mouth_ratios: (T,) what was measured in the stretch that was read, nan where it was not.
    """

    def __init__(
        self,
        width: int,
        end_s: float,
        titles: Sequence[str],
        course: SmileCourse,
        times_s: NDArray[np.float64],
        mouth_ratios: NDArray[np.float64],
    ) -> None:
        self._em = max(TEXT_PX, width * TEXT_SHARE)
        self.height = 2 * round(HEIGHT_EM * self._em / 2)
        self._width, self._end_s = width, end_s
        self._left, self._right = self._em, width - 1.2 * self._em
        self._top, self._bottom = 4.1 * self._em, self.height - 1.9 * self._em
        self._times_s, self._ratios = mouth_curve(times_s, mouth_ratios)
        self._range = ratio_range(self._ratios)
        fixed = [*self._frame(titles), *self._moments(course)]
        self._ahead, self._played = (
            self._rendered([*fixed, *self._curve(ink)]) for ink in (THEME.muted, THEME.positive)
        )

    def lay(self, below: list[Pixels], time_s: float) -> None:
        """Draw the strip as it is at `time_s` into the planes of that part of the picture, all of it."""
        x = self._x(time_s)
        for plane, played, ahead, factor in zip(below, self._played, self._ahead, (1, 2, 2), strict=True):
            split = round(x / factor)
            plane[:, :split] = played[:, :split]
            plane[:, split:] = ahead[:, split:]
        self._line(below, round(x / 2) * 2)
        if len(self._times_s) and self._times_s[0] <= time_s <= self._times_s[-1]:
            self._dot(below, x, self._y(float(np.interp(time_s, self._times_s, self._ratios))))

    def _line(self, below: list[Pixels], x: int) -> None:
        rows = slice(round(self._top - 0.4 * self._em), round(self._bottom + 0.4 * self._em))
        for plane, value, factor in zip(below, _levels(CURSOR), (1, 2, 2), strict=True):
            plane[rows.start // factor : rows.stop // factor, x // factor : (x + 2) // factor] = value

    def _dot(self, below: list[Pixels], x: float, y: float) -> None:
        radius, one = 0.42 * self._em, 1 << SUBPIXEL
        for plane, value, factor in zip(below, _levels(DOT), (1, 2, 2), strict=True):
            centre = (round((x / factor - 0.5) * one), round((y / factor - 0.5) * one))
            cv2.circle(plane, centre, round(radius / factor * one), (value,), -1, cv2.LINE_AA, SUBPIXEL)

    def _x(self, time_s: float) -> float:
        return self._left + (self._right - self._left) * time_s / self._end_s

    def _y(self, ratio: float) -> float:
        low, high = self._range
        return self._bottom - (self._bottom - self._top) * (ratio - low) / (high - low)

    def _rendered(self, parts: list[str]) -> tuple[NDArray[np.uint8], ...]:
        """Y (H, W), U and V (H/2, W/2)."""
        bgra = transparency("".join(parts), self._width, self.height)
        y, u, v = np.moveaxis(yuv(bgra[:, :, 2::-1].astype(np.float64) / 255), 2, 0)
        small = (self._width // 2, self.height // 2)
        return tuple(
            np.rint(plane).astype(np.uint8)
            for plane in (y, *(cv2.resize(chroma, small, interpolation=cv2.INTER_AREA) for chroma in (u, v)))
        )

    def _frame(self, titles: Sequence[str]) -> Iterator[str]:
        em, bottom = self._em, self._bottom
        yield element("rect", width=self._width, height=self.height, fill=THEME.background)
        room = (self._right - self._left) / (em * EM_PER_LETTER)
        title = next((words for words in titles if len(words) <= room), titles[-1])
        yield text(self._left, 1.5 * em, title, fill=THEME.ink, size=em, font_weight="bold")
        line = bottom + 0.3 * em
        yield element("line", x1=self._left, x2=self._right, y1=line, y2=line, stroke=THEME.line, stroke_width=em / 12)
        labels = max(1, int((self._right - self._left) / (TICK_ROOM_EM * em)))
        for seconds in ticks(0.0, self._end_s, labels):
            anchor = "start" if seconds == 0 else "middle"
            if self._x(seconds) < self._right - em:
                words = f"{seconds:g} s"
                y = bottom + 1.5 * em
                yield text(self._x(seconds), y, words, fill=THEME.muted, size=0.85 * em, text_anchor=anchor)

    def _moments(self, course: SmileCourse) -> Iterator[str]:
        """Lines at onset, apex and offset; their names stand beside, above and beside, so that they never touch."""
        em = self._em
        for name, seconds, place, row in (
            ("onset", course.onset_s, -1, 0),
            ("apex", course.apex_s, 0, 1),
            ("offset", course.offset_s, 1, 0),
        ):
            if seconds is None:
                continue
            x, half = self._x(seconds), len(name) * EM_PER_LETTER * em / 2
            middle = min(max(x + place * (half + em / 4), self._left + half), self._right - half)
            y = self._top - (0.3 + 1.05 * row) * em
            top = y + em / 5 if place == 0 else y - em / 2
            yield element(
                "line", x1=x, x2=x, y1=top, y2=self._bottom + 0.3 * em, stroke=THEME.ink, stroke_width=em / 14,
                stroke_dasharray=f"{em / 6:.1f} {em / 4:.1f}", stroke_opacity=0.7,
            )  # fmt: skip
            yield text(middle, y, name, fill=THEME.ink, size=0.85 * em, text_anchor="middle")

    def _curve(self, ink: str) -> Iterator[str]:
        if len(self._times_s):
            moments = zip(self._times_s.tolist(), self._ratios.tolist(), strict=True)
            points = (f"{self._x(seconds):.1f} {self._y(ratio):.1f}" for seconds, ratio in moments)
            yield element(
                "path", d="M" + "L".join(points), fill="none", stroke=ink, stroke_width=0.16 * self._em,
                stroke_linejoin="round", stroke_linecap="round",
            )  # fmt: skip


def _levels(code: str) -> tuple[int, int, int]:
    """Y, U, V of a colour such as "#ffffff"."""
    y, u, v = yuv(np.frombuffer(bytes.fromhex(code[1:]), np.uint8) / 255).round().astype(int).tolist()
    return y, u, v
