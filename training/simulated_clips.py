"""Smiles simulated on labelled stills, as the networks will see them: aligned faces, computed once for each still.

    still -> smile plan -> frames -> (training: excerpt, light, lens, size) -> H.264 -> smile.video, faces

    <cache>/<key>/<part>/<still>.npz     crops (T, 96, 96, 3) uint8 RGB, faces (T, 114, 114) uint8 grey (SIAM's),
                                         times_s, mouth_ratios
                         <still>.json    why a still gives no clip

How somebody smiles is drawn without regard to the labels: only the face tells age and gender, so nothing invented about
smiles can be learned from these clips. They do not depend on any network, so a new backbone needs no new clips.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from smile.errors import SmileError
from smile.faces import FaceReport, align, check_size
from smile.frontal import frontal_faces
from smile.sampling import FRAME_RATE_HZ, MIN_SAMPLES
from smile.tensors import GENDERS
from smile.video import Video
from training import ROOT, augment, parallel, simulate
from training.feature_store import preprocessing
from training.portraits import Source, portrait
from training.render import simulate_clip, write_clip
from training.smile_plan import draw_plan
from training.still_batches import sampling_weights
from training.stills import Stills
from training.whole import whole, write_text

CACHE = ROOT / ".cache/smiles"
VERSION = 2
"""Grows whenever the same settings give other clips."""
PARTS = ("train", "validation", "calibration", "test")
CLEAN_CRF = 18
MOVER_AGES = (8, 80)
"""Ages, drawn evenly, whose way of smiling is lent to the face."""
Frames = Iterator[NDArray[np.uint8]]


@dataclass(frozen=True)
class Settings:
    """What the clips depend on beside still and part.

    Attributes:
        split: id of the split of the stills.
        balance: exponent of the inverse frequency of age band and gender in the order in which training stills are
            taken; the other parts are taken as they are.
    """

    split: str
    frame_rate_hz: float = FRAME_RATE_HZ
    seed: int = 2018
    balance: float = 0.4

    @property
    def key(self) -> str:
        versions = [VERSION, simulate.VERSION, preprocessing()]
        return hashlib.sha256(json.dumps([versions, asdict(self)]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Job:
    archive: Path
    path: str
    target: Path
    seed: tuple[int, ...]
    varied: bool
    frame_rate_hz: float


def order(data: Stills, rows: NDArray[np.int64], part: str, settings: Settings) -> NDArray[np.int64]:
    """`rows` in the order in which a part's stills are taken: more clips are always the same ones and others."""
    rng = np.random.default_rng([settings.seed, PARTS.index(part)])
    weight = np.ones(len(rows))
    if part == "train":
        weight = sampling_weights(data.age[rows], data.gender[rows], settings.balance)
    return rows[np.argsort(rng.exponential(size=len(rows)) / weight)]


def prepare(
    archive: Path,
    data: Stills,
    rows: NDArray[np.int64],
    part: str,
    settings: Settings,
    cache: Path = CACHE,
    processes: int | None = None,
) -> dict[int, Path]:
    """Make the clips of some stills of one part that are not there yet.

    Args:
        rows: of `data`; the first ones of `order`.

    Returns:
        row -> its .npz, without the stills that give no clip.
    """
    folder = cache / settings.key / part
    folder.mkdir(parents=True, exist_ok=True)
    paths = {Path(entry.path).name: entry.path for entry in Source(archive).entries}
    targets = {int(row): folder / f"{data.keys[row]}.npz" for row in rows}
    jobs = [
        _Job(
            archive,
            paths[str(data.names[row])],
            target,
            (settings.seed, PARTS.index(part), row),
            part == "train",
            settings.frame_rate_hz,
        )
        for row, target in targets.items()
        if not is_done(target)
    ]
    for _ in parallel.run_all(_work, jobs, f"clips, {part}", processes, parallel.hush, done=len(rows) - len(jobs)):
        pass
    return {row: target for row, target in targets.items() if target.exists()}


def is_done(target: Path) -> bool:
    return target.exists() or target.with_suffix(".json").exists()


@lru_cache(maxsize=1)
def _source(archive: Path) -> Source:
    return Source(archive)


def _work(job: _Job) -> None:
    try:
        crops = render(_source(job.archive).read(job.path), job.path, job.seed, job.varied, job.frame_rate_hz)
    except (SmileError, ValueError) as error:
        write_text(job.target.with_suffix(".json"), json.dumps({"reason": str(error)}) + "\n")
        return
    with whole(job.target) as file:
        np.savez(file, **crops)


def render(
    chip: NDArray[np.uint8], name: str, seed: tuple[int, ...], varied: bool, frame_rate_hz: float
) -> dict[str, NDArray]:
    """One still -> crops, faces, times_s and mouth_ratios of a smile on it.

    Args:
        chip: (H, W, 3) uint8 RGB.
        varied: an excerpt, recorded under conditions of its own, instead of the whole smile recorded well.

    Raises:
        ValueError: the still shows no face that could be moved, or not followed through the clip once it is.
        SmileError: the clip would be refused by the service.
    """
    rng = np.random.default_rng(seed)
    still = portrait(chip, name)
    if still is None:
        raise ValueError("no face, or one that is too small, cut off or turned away")
    mover = float(rng.uniform(*MOVER_AGES)), GENDERS[rng.integers(2)], bool(rng.integers(2))
    plan = replace(draw_plan(*mover, rng), frame_rate_hz=frame_rate_hz)
    frames: Frames = (frame for _, frame in simulate_clip(still, plan, rng))
    crf = CLEAN_CRF
    if varied:
        length = round(np.exp(rng.uniform(np.log(MIN_SAMPLES + 2), np.log(plan.frame_count))))
        start = int(rng.integers(plan.frame_count - length + 1))
        frames = recorded(islice(frames, start, start + length), rng)
        crf = int(rng.integers(CLEAN_CRF, 40))
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, frames, frame_rate_hz, crf)
        return _faces(clip, frame_rate_hz)


def recorded(frames: Frames, rng: np.random.Generator) -> Frames:
    """One camera for a whole clip: mirrored or not, its light, its focus, its resolution."""
    mirrored, lit, blurred, reduced = rng.random(4) < (0.5, 0.6, 0.25, 0.5)
    light, lens = (int(seed) for seed in rng.integers(2**31, size=2))
    scale = float(np.exp(rng.uniform(np.log(0.42), 0.0))) if reduced else 1.0
    for image in frames:
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
        if lit:
            image = augment.relight(image, np.random.default_rng(light))
        if blurred:
            image = augment.blur(image, np.random.default_rng(lens))
        if reduced:
            side = 2 * round(image.shape[0] * scale / 2)
            image = np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        yield image


def _faces(clip: Path, frame_rate_hz: float) -> dict[str, NDArray]:
    """What the service would cut from a clip. Raises SmileError; ValueError where it loses the face on the way."""
    report = FaceReport()
    with (
        Video(clip, frame_rate_hz=frame_rate_hz) as video,
        closing(align(video.samples(), report, patches="grey")) as aligned,
    ):
        faces = list(aligned)
    report.check()
    check_size(float(np.median([face.eye_distance_px for face in faces])))
    if len(faces) < MIN_SAMPLES or len({face.stretch for face in faces}) != 1:
        raise ValueError("the face is not followed through the clip")
    return {
        "crops": np.stack([face.crop for face in faces]),
        "faces": np.stack(list(frontal_faces([face.patch for face in faces if face.patch is not None]))),
        "times_s": np.array([face.time_s for face in faces]),
        "mouth_ratios": np.array([face.mouth_ratio for face in faces]),
    }
