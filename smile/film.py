"""The film of a clip that has been read: its pictures, the relations on the face as it moves, the course of the smile.

The second half of two: `smile.recording` gathers what is needed while the clip is read. Pictures are shown at the times
at which the clip shows them, even or uneven; there is no sound.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Literal, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from smile.colour import Pixels, planes
from smile.course import SmileCourse
from smile.errors import Cancelled
from smile.figures import EQUAL_SHARE, Importance, spoken
from smile.film_drawing import MAX_SQUARE_PX, MIN_SQUARE_PX, Overlay, links, regions
from smile.film_strip import Strip
from smile.ranking import Relation, rank
from smile.recording import Recording
from smile.regions import REGIONS

Format = Literal["mp4", "webm"]
TICK = Fraction(1, 90_000)
"""Time base of the film; the rates of cameras and of NTSC are whole numbers of ticks."""
KEY_FRAME_EVERY = 50
ENCODERS: dict[Format, tuple[str, dict[str, str]]] = {
    "mp4": ("libx264", {"preset": "ultrafast", "crf": "23", "g": str(KEY_FRAME_EVERY)}),
    "webm": (
        "libvpx-vp9",
        {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0", "row-mt": "1", "g": str(KEY_FRAME_EVERY)},
    ),
}
THREADS = 2
"""Of the encoder, while the next picture is drawn."""
INDEX_BYTES, INDEX_BYTES_PER_PICTURE = 4096, 40
"""Room left for the index at the beginning of an MP4, so that it plays while it is being loaded."""


@dataclass(frozen=True)
class Scene:
    """What is drawn over a clip.

    Attributes:
        trait: what was estimated, in a word.
        importance: (36,) of each pair, in the order of PAIRS.
        links: how many of the most important pairs are drawn.
        mirrored: the clip shows its subject as in a mirror.
        course, times_s, mouth_ratios: of the stretch that was read, as `smile.course_figure.course` draws them. The
            links are shown in that stretch alone, the regions wherever the face is followed.
    """

    trait: str
    importance: Importance
    links: int
    mirrored: bool
    course: SmileCourse
    times_s: NDArray[np.float64]
    mouth_ratios: NDArray[np.float64]


def write(
    recording: Recording,
    scene: Scene,
    out: BinaryIO,
    format: Format,
    *,
    frame_width: float,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Draw and encode the film of a clip that was read to its end, picture by picture.

    Args:
        out: seekable, written from its beginning; not closed.
        frame_width: of the frames that the aligner saw, in pixels.

    Raises:
        Cancelled: `cancelled` said so.
        OSError: there is no room for the film, or was none for the recording.
    """
    recording.finish()
    times_s = recording.times_s
    last_s = times_s[-1] / max(len(times_s) - 1, 1)
    draw = _Painter(recording, scene, frame_width, times_s[-1] + last_s)
    options = {"moov_size": str(INDEX_BYTES + INDEX_BYTES_PER_PICTURE * len(times_s))} if format == "mp4" else {}
    with av.open(out, "w", format=format, options=options) as container:
        stream = _encoder(container, format, draw.size, len(times_s) / (times_s[-1] + last_s or 1))
        for time_s, picture in recording.pictures():
            if cancelled():
                raise Cancelled("the request was given up")
            frame = draw(time_s, picture)
            frame.pts, frame.time_base = round(time_s / TICK), TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _encoder(container: OutputContainer, format: Format, size: tuple[int, int], rate_hz: float) -> VideoStream:
    codec, options = ENCODERS[format]
    rate = Fraction(rate_hz).limit_denominator(1001)
    stream = cast(VideoStream, container.add_stream(codec, rate=rate, options=options))
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = TICK
    context.thread_count = THREADS
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


class _Painter:
    """Draws the pictures of one film. `size` is (width, height) of all of it."""

    def __init__(self, recording: Recording, scene: Scene, frame_width: float, end_s: float) -> None:
        width, height = recording.size
        self._scale = width / frame_width
        self._track = recording.track
        pairs = rank(scene.importance, 2)
        self._strip = Strip(width, end_s, _titles(scene, pairs[0]), scene.course, scene.times_s, scene.mouth_ratios)
        self.size = width, height + self._strip.height
        self._frame = av.VideoFrame(*self.size, "yuv420p")
        self._above, self._below = [], []
        for plane, factor in zip(planes(self._frame), (1, 2, 2), strict=True):
            self._above.append(plane[: height // factor])
            self._below.append(plane[height // factor :])
        side = round(min(max(self._track.median_side_px * self._scale, MIN_SQUARE_PX), MAX_SQUARE_PX))
        boxes = regions(side)
        self._followed = Overlay(boxes, side, mirrored=scene.mirrored)
        linked = boxes + links(scene.importance, pairs[: scene.links], side)
        self._read = Overlay(linked, side, mirrored=scene.mirrored)
        place = self._track.at(float(scene.times_s[0]))
        self._stretch_read = place.stretch if place else None

    def __call__(self, time_s: float, picture: list[Pixels]) -> av.VideoFrame:
        """The picture as it is shown, in a frame that is written over by the next."""
        for plane, small in zip(self._above, picture, strict=True):
            plane[:] = small
        place = self._track.at(time_s)
        if place is not None:
            overlay = self._read if place.stretch == self._stretch_read else self._followed
            overlay.lay(self._above, self._scale * place.matrix)
        self._strip.lay(self._below, time_s)
        return self._frame


def _titles(scene: Scene, strongest: Relation) -> tuple[str, ...]:
    """The same in ever fewer words."""
    names = " + ".join(spoken(REGIONS[i]) for i in strongest.regions)
    trait = scene.trait.capitalize()
    weight = f"importance {strongest.importance:.3f}, an equal share is {EQUAL_SHARE:.3f}"
    return f"{trait}: strongest pair {names} ({weight})", f"{trait}: strongest pair {names}", f"{trait}: {names}", names
