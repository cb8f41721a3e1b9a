"""A plan on a still -> the frames of a smile clip, in memory.

Each frame is the still, resampled once: coarse displacement (a matrix product), inverted, enlarged, one `cv2.remap`.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import av.video.reformatter
import cv2
import numpy as np
from numpy.typing import NDArray

from smile.faces import mouth_ratio
from smile.mesh import Mesh, roi_around
from training.motion import APERTURES, STEP_PX, Field, Fields, Still, fields
from training.smile_plan import SmilePlan

COEFFICIENT_RANGE = (-1.2, 1.5)
"""Beyond it the mouth looks pinched or torn rather than moved."""
CONFINED_SPAN = (-0.5, 0.5)
"""Coefficients before and at the height of a confined smile, whatever the ratios planned."""
RESPONSE_AT = (-1.0, 0.0, 1.0)
"""Coefficients of all regions at which the response of a still is measured."""
NEUTRAL_REACH, SMILE_REACH = 0.57, 0.67
"""Mouth ratios that a still must be able to come down and up to."""
APERTURE_PER_COEFFICIENT = {0: -0.12, 2: -0.12, 7: 0.90}
"""Relative change of the opening at coefficient 1: lids narrow (AU 6), lips part."""
MIN_APERTURE, MAX_APERTURE = 0.12, 1.3
"""Lips and lids keep at least and at most these fractions of the opening they have on the still."""
BLOCK = 16
"""Frames whose displacements are computed together."""
NOISE_MARGIN_PX = 48
_ONE_MAP = np.empty(0, np.float32)
"""Tells `cv2.remap` that the first map holds both coordinates."""


@dataclass(frozen=True)
class Actor:
    """A still with what it can do.

    Attributes:
        response: mouth ratio that FaceMesh sees at RESPONSE_AT; it follows the skin only in part.
        confined: each region moves only within its own window of the aligned crop.
    """

    still: Still
    fields: Fields
    response: tuple[float, ...]
    confined: bool

    def coefficient(self, ratio: float) -> float:
        """Coefficient of all regions that brings the mouth to `ratio`, as far as the skin allows."""
        low, still, high = self.response
        slope = still - low if ratio <= still else high - still
        return float(np.clip((ratio - still) / max(slope, 0.05), *COEFFICIENT_RANGE))

    def span(self, plan: SmilePlan) -> tuple[float, float]:
        """Coefficients before and at the height of the smile; the same for everybody where regions are confined."""
        if self.confined:
            return CONFINED_SPAN
        return self.coefficient(plan.rest_ratio), self.coefficient(plan.apex_ratio)

    @property
    def reach(self) -> tuple[float, float]:
        """Smallest and largest mouth ratio that it can show."""
        low, still, high = self.response
        down, up = COEFFICIENT_RANGE
        return still - down * (low - still), still + up * (high - still)

    def suits(self) -> bool:
        """Whether it can show both a neutral face and a smile."""
        return self.reach[0] <= NEUTRAL_REACH and self.reach[1] >= SMILE_REACH


def actor(still: Still, *, confined: bool = False) -> Actor:
    """Build the fields of a still and see by FaceMesh how far the mouth follows them."""
    able = fields(still, confined=confined)
    calm = np.zeros((1, len(able.head)))
    ratios = []
    with closing(Mesh()) as mesh:
        for coefficient in RESPONSE_AT:
            course = np.full((1, len(able.regions)), coefficient)
            frame = _warp(still, _displacements(able, course, apertures(course), calm)[0])
            rough = mesh(frame, roi_around(still.landmarks))
            seen = None if rough is None else mesh(frame, roi_around(rough))
            ratios.append(still.ratio if seen is None else mouth_ratio(seen))
    return Actor(still, able, tuple(ratios), confined)


def simulate_clip(
    still: Still | Actor, plan: SmilePlan, rng: np.random.Generator
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Render a plan on a still, frame by frame.

    Args:
        still: the still, or the `actor` made of it where it plays in several clips.
        rng: source of the sensor noise alone; everything else is in the plan.

    Yields:
        (time in seconds, (H, W, 3) uint8 RGB), `plan.frame_count` of them.
    """
    player = still if isinstance(still, Actor) else actor(still, confined=plan.confined)
    image = player.still.image
    height, width = image.shape[:2]
    noise = _noise_bank(height, width, plan.noise, rng)
    shifts = rng.integers(0, NOISE_MARGIN_PX, size=(plan.frame_count, 2))
    times = plan.times()
    rest, apex = player.span(plan)
    courses = rest + (apex - rest) * plan.activity()
    openings = apertures(courses, plan.blinks())
    head = plan.head_at(times)
    light = plan.light_at(times)
    for first in range(0, len(times), BLOCK):
        block = slice(first, first + BLOCK)
        for index, back in enumerate(
            _displacements(player.fields, courses[block], openings[block], head[block]), first
        ):
            dy, dx = shifts[index]
            grain = noise[dy : dy + height, dx : dx + width]
            frame = _warp(player.still, back)
            lit = cv2.addWeighted(frame, light[index], grain, 1.0, 0.0, dtype=cv2.CV_8U)
            yield float(times[index]), np.asarray(lit, np.uint8)


def apertures(courses: NDArray[np.float64], blinks: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
    """(frames, 3) relative change of the openings of APERTURES: what the regions do to them, and blinks on the lids."""
    opened = np.stack([1.0 + APERTURE_PER_COEFFICIENT[k] * courses[:, k] for k in APERTURES], axis=1)
    opened[:, :2] *= 1.0 - np.reshape(blinks, (-1, 1))
    return np.clip(opened, MIN_APERTURE, MAX_APERTURE) - 1.0


def _displacements(
    able: Fields, courses: NDArray[np.float64], openings: NDArray[np.float64], head: NDArray[np.float64]
) -> list[Field]:
    """For each frame, where each point of the frame comes from, relative to itself, on the coarse grid."""
    moving = _weighted(courses, able.regions) + _weighted(openings, able.apertures)
    return [_back(face, skull) for face, skull in zip(moving, _weighted(head, able.head), strict=True)]


def _weighted(weights: NDArray[np.float64], basis: NDArray[np.float32]) -> NDArray[np.float32]:
    return (weights.astype(np.float32) @ basis.reshape(len(basis), -1)).reshape(-1, *basis.shape[1:])


def _back(expression: Field, head: Field) -> Field:
    """The head carries the face: undo the head first, then the expression where that leads."""
    grid = _grid(*head.shape[:2])
    unmoved = _inverse(head, grid)
    return unmoved + _at(_inverse(expression, grid), grid + unmoved / np.float32(STEP_PX))


def _inverse(forward: Field, grid: NDArray[np.float32]) -> Field:
    """From where a point went back to where it came from, by fixed-point iteration of v(y) = -u(y + v(y))."""
    back = -forward
    for _ in range(3):
        back = -_at(forward, grid + back / np.float32(STEP_PX))
    return back


def _at(field: Field, where: NDArray[np.float32]) -> Field:
    moved = cv2.remap(field, where, _ONE_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _warp(still: Still, back: Field) -> NDArray[np.uint8]:
    height, width = still.image.shape[:2]
    rows, columns = back.shape[:2]
    # The coarse grid may reach past the image: enlarge it whole, then cut.
    fine = cv2.resize(back, (columns * STEP_PX, rows * STEP_PX), interpolation=cv2.INTER_LINEAR)[:height, :width]
    source = fine + _grid(height, width)
    frame = cv2.remap(still.image, source, _ONE_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(frame, np.uint8)


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> NDArray[np.float32]:
    """(height, width, 2) float32 (x, y) of every cell."""
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([columns, rows], axis=-1)


def _noise_bank(height: int, width: int, sigma: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sensor noise on more than a frame: each frame sees another part of it."""
    grain = rng.standard_normal((height + NOISE_MARGIN_PX, width + NOISE_MARGIN_PX, 3), dtype=np.float32)
    soft = cv2.GaussianBlur(grain, (0, 0), 0.6)
    return soft * np.float32(sigma / soft.std())


def write_clip(path: Path, frames: Iterable[NDArray[np.uint8]], rate_hz: float, crf: int = 18) -> int:
    """Encode frames as H.264 in an mp4 (yuv420p, BT.709 limited range and tagged so), atomically; how many they were.

    Args:
        frames: (H, W, 3) uint8 RGB, H and W even.
    """
    partial = path.with_suffix(".partial")
    count = 0
    with av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream: av.VideoStream | None = None
        for image in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
                stream.codec_context.color_range = av.video.reformatter.ColorRange.MPEG
                stream.codec_context.colorspace = av.video.reformatter.Colorspace.ITU709
                stream.codec_context.color_primaries = av.video.reformatter.ColorPrimaries.BT709
                stream.codec_context.color_trc = av.video.reformatter.ColorTrc.BT709
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(
                format="yuv420p",
                dst_colorspace=av.video.reformatter.Colorspace.ITU709,
                dst_color_range=av.video.reformatter.ColorRange.MPEG,
            )
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    partial.rename(path)
    return count
