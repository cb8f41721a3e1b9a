"""The way of the data: clip -> frames -> aligned faces -> backbone -> relations -> what the clip says.

Where SIAM is asked for, faces leave a patch beside their crop, and it reads the patches at the clip's end.

Decoding runs one thread ahead of alignment, and blocks of faces are in the backbone while the next are decoded and
aligned. Nothing that is kept grows with the length of the clip.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from service.ahead import ahead
from service.backends.base import Model
from service.executor import Executor
from service.progress import Progress
from service.reading import MASKS, Picture, Reading, Seen
from service.siam import SiamReading, attend
from smile.course import SmileCourse, smile_course
from smile.decoding import Limits
from smile.faces import AlignedFace, FaceReport, align
from smile.frontal import Colours
from smile.recording import Recording
from smile.sequence import Sequence, Stretch
from smile.tensors import BACKBONE, RELATIONS, blocks
from smile.video import Video

DECODED_AHEAD = 3
"""Frames decoded and converted before the aligner asks for them; each may be megabytes."""

Blocks = Iterator[tuple[list[AlignedFace], NDArray[np.float16] | None]]


@dataclass(kw_only=True)
class Reader:
    """One clip in work, on one thread; `Pipeline.read` says what is asked of it.

    Attributes:
        model: the first network's, or SIAM's where that alone reads.
        siam: None leaves SIAM out.
        executor: once it is cancelled, the work stops within one block.
        masks: (M, 9) float32, see MASKS.
    """

    model: Model
    executor: Executor
    limits: Limits
    siam: Model | None = None
    mirrored: bool = False
    masks: NDArray[np.float32] = field(default_factory=lambda: MASKS[:1])
    picture: bool = False
    recording: Recording | None = None
    progress: Progress | None = None

    def read(self, clip: BinaryIO) -> Reading:
        stretch, seen = self._follow(clip, self._through_backbone, keep_crops=self.picture)
        related = self.executor.submit(RELATIONS, stretch.inputs(self.masks))
        siam = self._attend(stretch)
        answer = related.result()
        return Reading(
            **self._told(seen, siam),
            age=answer["age"][0],
            gender=answer["gender"][0],
            age_importance=answer["age_importance"][0, 0],
            gender_importance=answer["gender_importance"][0, 0],
            picture=self._picture(stretch, seen.course) if self.picture else None,
        )

    def read_siam(self, clip: BinaryIO) -> Seen:
        stretch, seen = self._follow(clip, lambda faces: ((block, None) for block in _batches(faces)))
        return Seen(**self._told(seen, self._attend(stretch)))

    def _follow(
        self, clip: BinaryIO, through: Callable[[Iterable[AlignedFace]], Blocks], *, keep_crops: bool = False
    ) -> tuple[Stretch, Seen]:
        """Read the clip to its end; `through` takes the faces and gives them back in blocks, with their features."""
        rate = self.model.card.frame_rate_hz
        report = FaceReport()
        sequence = Sequence(keep_crops=keep_crops)
        with Video(clip, self.limits, rate) as video:
            if self.progress:
                self.progress.follow(video.info, video.report)
            watch = self.recording.watch if self.recording else None
            with (
                ahead(video.samples(watch), DECODED_AHEAD, self.executor.cancelled) as samples,
                closing(align(samples, report, patches=self._patches)) as aligned,
            ):
                faces = _Timed(aligned)
                for block, features in through(faces):
                    sequence.add(block, features)
                    if self.recording:
                        self.recording.track.add(block)
            report.check()
            stretch = sequence.longest_stretch(video.info.scale)
            return stretch, Seen(
                frames_used=stretch.frame_count,
                frame_rate_hz=rate / stretch.stride,
                followed_throughout=stretch.is_whole,
                eye_distance_px=stretch.eye_distance_px,
                course=smile_course(stretch.times_s, stretch.mouth_ratios),
                video=video.info,
                decoding=video.report,
                faces=report,
                model=self.model,
                seconds={"decode": samples.busy_s, "align": faces.seconds - samples.waited_s},
            )

    @property
    def _patches(self) -> Colours | None:
        if self.siam is None:
            return None
        return "colour" if self.picture else "grey"

    def _attend(self, stretch: Stretch) -> SiamReading | None:
        if self.siam is None:
            return None
        return attend(stretch, self.siam, self.executor, mirrored=self.mirrored, picture=self.picture)

    def _told(self, seen: Seen, siam: SiamReading | None) -> dict[str, Any]:
        """What is known of a clip when all graphs have answered."""
        spent = {"siam_align": siam.align_s} if siam else {}
        return vars(seen) | {"siam": siam, "seconds": seen.seconds | self.executor.seconds | spent}

    def _picture(self, stretch: Stretch, course: SmileCourse) -> Picture:
        at = course.apex_s
        if at is None:
            at = float(stretch.times_s[np.nan_to_num(stretch.mouth_ratios).argmax()])
        crop = stretch.crops[int(np.searchsorted(stretch.times_s, at))]
        face = self._unmirrored(crop[None])[0]
        return Picture(face, at, stretch.times_s, stretch.mouth_ratios)

    def _through_backbone(self, faces: Iterable[AlignedFace]) -> Blocks:
        """Blocks of faces with their features, in order."""
        (frames,), (regions,) = BACKBONE.inputs, BACKBONE.outputs
        crops = (
            (block, {frames.name: self._unmirrored(np.stack([face.crop for face in block]))})
            for block in _batches(faces)
        )
        for block, features in self.executor.stream(BACKBONE, crops):
            yield block, features[regions.name]

    def _unmirrored(self, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(crops[:, :, ::-1]) if self.mirrored else crops


def _batches(faces: Iterable[AlignedFace]) -> Iterator[list[AlignedFace]]:
    """Blocks of the backbone's largest batch; the rest in smaller batches that it is warmed for, without padding."""
    faces = iter(faces)
    while block := list(islice(faces, BACKBONE.max_batch)):
        start = 0
        for size in blocks(len(block)):
            yield block[start : start + size]
            start += size


class _Timed:
    """An iterator that adds up the seconds it takes to produce its items."""

    def __init__(self, items: Iterator[AlignedFace]) -> None:
        self._items = items
        self.seconds = 0.0

    def __iter__(self) -> Iterator[AlignedFace]:
        while True:
            started = time.perf_counter()
            item = next(self._items, None)
            self.seconds += time.perf_counter() - started
            if item is None:
                return
            yield item
