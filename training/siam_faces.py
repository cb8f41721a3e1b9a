"""Clips -> warped faces for SIAM, by the service's own steps, computed once for each clip and kept on disk.

<cache>/<contract>-<preprocessing>/<digest of the clip>.npz     faces (T, 114, 114) uint8 grey, times_s, mouth_ratios
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache as remembered
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from smile.errors import SmileError
from smile.faces import FaceReport, align
from smile.frontal import frontal_faces
from smile.sampling import FRAME_RATE_HZ
from smile.sequence import Sequence, Stretch
from smile.tensors import siam_fingerprint
from smile.video import Video
from training import duplicates, parallel
from training.accepted import MAX_SKIPPED, check_skipped
from training.datasets import Clip, Dataset
from training.feature_store import preprocessing
from training.whole import whole

CACHE = Path(".cache/siam_faces")
BLOCK = 16
NEAR_DUPLICATE = 0.055
"""As training.duplicates.NEAR_DUPLICATE, but for warped faces: all have one shape, and nothing beside the face. Of 998
stills of UTKFace, 96 % differ by at most so much from a brighter JPEG copy of themselves, and of 500,000 pairs none."""


def follow(clip: Path, frame_rate_hz: float = FRAME_RATE_HZ) -> Stretch:
    """The longest unbroken stretch of a clip, with its patches. Raises SmileError as the service would."""
    report, sequence = FaceReport(), Sequence()
    with (
        Video(clip, frame_rate_hz=frame_rate_hz) as video,
        closing(align(video.samples(), report, patches="grey")) as faces,
    ):
        while block := list(islice(faces, BLOCK)):
            sequence.add(block)
    report.check()
    return sequence.longest_stretch(video.info.scale)


def recipe(frame_rate_hz: float = FRAME_RATE_HZ) -> str:
    """What faces depend on besides the clip: the contract, and the code and libraries from file to face."""
    return f"{siam_fingerprint(frame_rate_hz)}-{preprocessing()}"


def cached(clip: Path, cache: Path = CACHE, frame_rate_hz: float = FRAME_RATE_HZ) -> Path:
    """The file of a clip, made where the clip was not seen before. Raises SmileError."""
    path = _file(clip, cache, frame_rate_hz)
    if not path.exists():
        stretch = follow(clip, frame_rate_hz)
        faces = np.stack(list(frontal_faces(stretch.patches)))[stretch.frame_of]
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as file:
            np.savez(file, faces=faces, times_s=stretch.times_s, mouth_ratios=stretch.mouth_ratios)
    return path


def _file(clip: Path, cache: Path, frame_rate_hz: float) -> Path:
    return cache / recipe(frame_rate_hz) / f"{_digest_of(clip)}.npz"


def content(clips: Iterable[Clip]) -> str:
    """16 hex digits over what is in the files of the clips, which names and labels do not tell."""
    digests = sorted((clip.name, _digest_of(clip.path)) for clip in clips)
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:16]


def _digest_of(clip: Path) -> str:
    state = clip.stat()
    return _digest(clip.resolve(), state.st_size, state.st_mtime_ns)


@remembered
def _digest(clip: Path, size: int, changed_ns: int) -> str:
    """32 hex digits over a file as it was at that time; an epoch asks for each clip, and reads it once only."""
    with open(clip, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def faces_of(clip: Path, cache: Path = CACHE, frame_rate_hz: float = FRAME_RATE_HZ) -> NDArray[np.uint8]:
    """(T, 114, 114) uint8 grey of a clip. Raises SmileError."""
    with np.load(cached(clip, cache, frame_rate_hz)) as arrays:
        found: NDArray[np.uint8] = arrays["faces"]
    return found


@dataclass
class FaceClips(TorchDataset):
    """Clips with their ages, read from the cache one by one.

    Attributes:
        clips: all of them readable; `readable` leaves the others out.
    """

    clips: tuple[Clip, ...]
    cache: Path = CACHE
    frame_rate_hz: float = FRAME_RATE_HZ

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        """Faces (T, 114, 114) uint8, and the age in years."""
        clip = self.clips[row]
        faces = faces_of(clip.path, self.cache, self.frame_rate_hz)
        return torch.from_numpy(faces), torch.tensor(float(clip.age))

    def track(self, row: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(T,) times in seconds and (T,) mouth ratios, as smile.course wants them."""
        with np.load(cached(self.clips[row].path, self.cache, self.frame_rate_hz)) as arrays:
            return arrays["times_s"], arrays["mouth_ratios"]

    def pixel_statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of all pixels, on the scale 0-1."""
        sums = np.zeros(3)
        for clip in self.clips:
            pixels = faces_of(clip.path, self.cache, self.frame_rate_hz) / 255
            sums += pixels.size, pixels.sum(), np.square(pixels).sum()
        mean = sums[1] / sums[0]
        return float(mean), float(np.sqrt(sums[2] / sums[0] - mean * mean))


def same_recordings(
    clips: FaceClips, dataset: Dataset, accepted: Path | None, out: Path
) -> tuple[list[list[str]], list[list[str]]]:
    """Groups of names for protocol.check_leaks: equal files, and other files of what looks like one recording.

    Args:
        clips: of `dataset`. Subjects of a simulated set may be variants of one portrait: looking alike says nothing.
        accepted: file for training.duplicates.read_accepted. out: folder for training.duplicates.ALIKE.
    """
    same = duplicates.same_files(clips.clips)
    if dataset.simulated:
        return same, []
    hashes = {
        clip.name: duplicates.clip_hash(faces_of(clip.path, clips.cache, clips.frame_rate_hz)[..., None])
        for clip in clips.clips
    }
    groups = duplicates.near_duplicates(hashes, NEAR_DUPLICATE)
    return same, duplicates.not_accepted(groups, dataset, duplicates.read_accepted(accepted, dataset), out)


def readable(
    clips: tuple[Clip, ...],
    cache: Path = CACHE,
    frame_rate_hz: float = FRAME_RATE_HZ,
    accept_skipped: float = MAX_SKIPPED,
) -> tuple[Clip, ...]:
    """Fill the cache; the clips that the service would answer. Raises FeatureError where it would too few."""
    skipped = {}
    for name, problem in refusals(clips, cache, frame_rate_hz):
        skipped[name] = problem
        print(f"skipped {name}: {problem}")
        check_skipped(skipped, len(clips), accept_skipped)
    return tuple(clip for clip in clips if clip.name not in skipped)


def refusals(
    clips: Iterable[Clip], cache: Path, frame_rate_hz: float, processes: int | None = None
) -> Iterator[tuple[str, str]]:
    """Fill the cache; name of each clip that the service would refuse, and why, as soon as that is known."""
    files = [(clip, _file(clip.path, cache, frame_rate_hz)) for clip in clips]
    waiting = [(clip.name, clip.path, cache, frame_rate_hz) for clip, file in files if not file.exists()]
    done = len(files) - len(waiting)
    found = parallel.run_all(_prepare, waiting, "faces", processes, parallel.hush, done=done)
    yield from ((name, problem) for name, problem in found if problem)


def _prepare(job: tuple[str, Path, Path, float]) -> tuple[str, str]:
    name, path, cache, frame_rate_hz = job
    try:
        cached(path, cache, frame_rate_hz)
    except SmileError as error:
        return name, str(error)
    return name, ""
