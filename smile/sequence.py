"""The sequence that the graphs over time see, gathered while the clip streams by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smile.errors import TooFewFrames
from smile.faces import AlignedFace, check_size
from smile.frontal import FacePatch
from smile.regions import REGIONS
from smile.sampling import MIN_SAMPLES, is_kept, stride_at
from smile.tensors import REGION_FEATURES, RELATIONS, SIAM_SEQUENCE, bucket

SEND_LONGER = "Send a longer clip in which the face stays in view."
CUT = "Of so long a clip one instant in {share} is looked at: cut it to the part in which the face stays in view."


@dataclass(frozen=True)
class _Entry:
    stretch: int
    time_s: float
    mouth_ratio: float
    eye_distance_px: float
    features: NDArray[np.float16] | None  # (9, 2048)
    crop: NDArray[np.uint8] | None  # (96, 96, 3)
    patch: FacePatch | None


class Sequence:
    """Features by grid instant, thinned as the clip grows, so that at most MAX_SAMPLES and one block are held.

    With `keep_crops` the aligned crop of each is held as well, 27 KB beside the 37 KB of its features. Patches, 27 KB,
    or 104 KB with colours, are held of faces that have them.
    """

    def __init__(self, *, keep_crops: bool = False) -> None:
        self._keep_crops = keep_crops
        self._entries: dict[int, _Entry] = {}
        self._stride = 1

    def add(self, faces: list[AlignedFace], features: NDArray[np.float16] | None = None) -> None:
        """Append aligned faces, in the order of the clip, with their (N, 9, 2048) features if they have any."""
        rows = [None] * len(faces) if features is None else [row.copy() for row in features]
        for face, row in zip(faces, rows, strict=True):
            crop = face.crop if self._keep_crops else None
            entry = _Entry(face.stretch, face.time_s, face.mouth_ratio, face.eye_distance_px, row, crop, face.patch)
            self._entries.update(dict.fromkeys(face.instants, entry))
        stride = stride_at(max(self._entries, default=0))
        if stride != self._stride:
            self._stride = stride
            last = max(self._entries)
            self._entries = {i: entry for i, entry in self._entries.items() if is_kept(i, last)}

    def longest_stretch(self, scale: float = 1.0) -> "Stretch":
        """The longest time for which the face was followed without a break; the earlier of two equal ones.

        Args:
            scale: size of the samples over that of the clip's frames.

        Raises:
            FaceTooSmall: the face is smaller than the aligner needs.
            TooFewFrames: it is shorter than MIN_SAMPLES instants.
        """
        lengths: dict[int, int] = {}
        for entry in self._entries.values():
            lengths[entry.stretch] = lengths.get(entry.stretch, 0) + 1
        longest = max(lengths, key=lambda stretch: lengths[stretch], default=None)
        count = 0 if longest is None else lengths[longest]
        kept = [entry for _, entry in sorted(self._entries.items()) if entry.stretch == longest]
        eye_distance_px = float(np.median([entry.eye_distance_px for entry in kept])) if kept else np.inf
        check_size(eye_distance_px, scale)
        if count < MIN_SAMPLES:
            raise TooFewFrames(
                f"The face is followed in {count} instants without a break; at least {MIN_SAMPLES} are needed. "
                + (SEND_LONGER if self._stride == 1 else CUT.format(share=self._stride))
            )
        times_s = np.array([entry.time_s for entry in kept])
        first = np.diff(times_s, prepend=-np.inf) > 0  # of the instants that a frame stands for
        features = [entry.features for entry in kept if entry.features is not None]
        return Stretch(
            stride=self._stride,
            times_s=times_s,
            mouth_ratios=np.array([entry.mouth_ratio for entry in kept]),
            eye_distance_px=eye_distance_px / scale,
            features=np.stack(features) if features else np.zeros((0, len(REGIONS), REGION_FEATURES), np.float16),
            crops=[entry.crop for entry in kept if entry.crop is not None],
            patches=[entry.patch for entry, new in zip(kept, first, strict=True) if new and entry.patch is not None],
            frame_of=np.cumsum(first) - 1,
            is_whole=len(lengths) == 1,
        )


@dataclass(frozen=True)
class Stretch:
    """An unbroken stretch of a clip, ready for the graphs over time.

    Attributes:
        stride: grid instants from one to the next.
        times_s: (T,) presentation times.
        mouth_ratios: (T,) mouth-corner over outer-eye-corner distance, nan where bridged.
        eye_distance_px: median distance of the eye centres, in pixels of the clip's frames.
        features: (T, 9, 2048) float16; (0, 9, 2048) where there are none.
        crops: T aligned crops, (96, 96, 3) uint8 RGB; empty where they were not kept.
        patches: one for each frame, so fewer than T where frames stand for several instants; empty where not cut out.
        frame_of: (T,) number of the frame that stands for each instant.
        is_whole: the face was never lost for longer than the bridge.
    """

    stride: int
    times_s: NDArray[np.float64]
    mouth_ratios: NDArray[np.float64]
    eye_distance_px: float
    features: NDArray[np.float16]
    crops: list[NDArray[np.uint8]]
    patches: list[FacePatch]
    frame_of: NDArray[np.intp]
    is_whole: bool

    @property
    def frame_count(self) -> int:
        return len(self.times_s)

    def inputs(self, masks: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        """Feeds of the relations graph for one clip, padded to a bucket; `masks` is (M, 9)."""
        regions, frame_count, region_mask = (tensor.name for tensor in RELATIONS.inputs)
        return {regions: padded(self.features), frame_count: np.array([self.frame_count]), region_mask: masks[None]}

    def siam_inputs(self, appearance: NDArray[np.float16]) -> dict[str, NDArray[np.generic]]:
        """Feeds of SIAM's graph over time; `appearance` is that of each frame, (F, 256)."""
        name, frame_count = (tensor.name for tensor in SIAM_SEQUENCE.inputs)
        return {name: padded(appearance[self.frame_of]), frame_count: np.array([self.frame_count])}


def padded(instants: NDArray[np.float16]) -> NDArray[np.float16]:
    """(T, ...) -> (1, bucket, ...), zero where nothing is."""
    filled = np.zeros((1, bucket(len(instants)), *instants.shape[1:]), instants.dtype)
    filled[0, : len(instants)] = instants
    return filled
