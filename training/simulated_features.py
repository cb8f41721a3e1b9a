"""Backbone features of simulated smiles and of stills, as a data set that training.train can learn from.

    <cache>/<clips>-<backbone>/<part>/<still>.npy    (T, 9, 2048) float16, a simulated smile (training.simulated_clips)
                               stills/<which>.npy    (n, 9, 2048) float16, one augmented view of each of n stills,
                                                     held-out-stills/ those that select the epoch

Few faces can be rendered and many are needed to learn what age looks like: training stills join the smiles as short
sequences. Nothing moves in them, but at some moment one view of the still follows upon another: what is remembered of
the first instants must count as much as the last. A finished file is never computed again.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from networks import checkpoint
from networks.backbone import Backbone
from networks.network import InterpreterNetwork
from smile.regions import GRID
from smile.sampling import MIN_SAMPLES
from smile.tensors import GENDERS, MAP_CHANNELS
from training import augment, parallel, precision
from training.datasets import Clip, Dataset
from training.evaluate_stills import CORRUPTIONS
from training.feature_store import Features, recipe_of
from training.protocol import Fold, Split
from training.simulated_clips import Settings
from training.still_network import FrameHead, expected_age
from training.stills import Stills

CACHE = Path(".cache/smile_features")
CHUNK = 256
"""Stills in a file."""
BATCH = 32
EXACT = "test"
"""The part whose features are computed in float32 everywhere; the others in bfloat16 where that is fast."""
CORRUPTED = "{part}-{corruption}"
"""Name of a part whose crops are corrupted (training.evaluate_stills.CORRUPTIONS) before the backbone sees them."""
STILL, HELD_OUT = "stills", "held-out-stills"
StillJob = tuple[list[tuple[NDArray[np.uint8], tuple[int, ...]]], Path]
"""Stills with the seed of the view to be made of each, and the file for the features."""


class StillSequence(NamedTuple):
    """Two views of one still, one after the other.

    Attributes:
        before, after: files of views of many stills; the same file where the still has one view.
        row: of the still in both.
        change: instants that show the first view, 0 to MIN_SAMPLES - 1.
    """

    before: Path
    after: Path
    row: int
    change: int


@dataclass(frozen=True)
class SmileFeatures(Features):
    """Features of simulated smiles and, as sequences of MIN_SAMPLES instants, of stills.

    Attributes:
        stills: by the name of the sequence.
    """

    stills: Mapping[str, StillSequence]

    def regions(self, clip: Clip) -> NDArray[np.float16]:
        if clip.name not in self.stills:
            return super().regions(clip)
        before, after, row, change = self.stills[clip.name]
        shown = (before,) * change + (after,) * (MIN_SAMPLES - change)
        return np.stack([_mapped(path)[row] for path in shown])

    def part(self, part: str) -> tuple[Clip, ...]:
        """The clips of one part."""
        return tuple(clip for clip in self.whole.clips if clip.name.split("/")[0] == part)


@lru_cache(maxsize=256)
def _mapped(path: Path) -> NDArray[np.float16]:
    return np.load(path, mmap_mode="r")


def prepare(
    data: Stills,
    smiles: Mapping[str, Mapping[int, Path]],
    stills: Mapping[str, NDArray[np.int64]],
    settings: Settings,
    backbone: Path,
    cache: Path = CACHE,
    processes: int | None = None,
    views: int = 1,
) -> SmileFeatures:
    """Compute what is not there yet, and open all of it.

    Args:
        smiles: part -> row of `data` -> clip, as training.simulated_clips.prepare gives them.
        stills: STILL -> rows of the training part that are learned from without movement; HELD_OUT -> rows that an
            epoch is selected by.
        backbone: checkpoint directory.
        views: of each training still, and as many sequences; those of HELD_OUT have one.
    """
    recipe = recipe_of(backbone, settings.frame_rate_hz)
    folder = cache / f"{settings.key}-{recipe.backbone}"
    for part in (*smiles, *stills):
        (folder / part).mkdir(parents=True, exist_ok=True)
    shown = {
        _clip(data, row, part, path): folder / part / f"{data.keys[row]}.npy"
        for part, found in smiles.items()
        for row, path in sorted(found.items())
    }
    smile_jobs = [(clip.path, target, target.parent.name) for clip, target in shown.items()]
    _run(smile_jobs, _clip_features, f"features of {len(shown)} smiles", (backbone,), processes)
    still_jobs: list[StillJob] = []
    sequences: dict[Clip, StillSequence] = {}
    for part, rows in stills.items():
        jobs, found = _still_sequences(data, part, rows, folder / part, settings.seed, views if part == STILL else 1)
        still_jobs += jobs
        sequences |= found
    _run(still_jobs, _still_features, f"features of {len(sequences)} stills", (backbone,), processes)
    clips = tuple(sorted((*shown, *sequences), key=lambda clip: clip.name))
    whole = Dataset("simulated smiles and stills of UTKFace", clips, True)
    digests = {clip.name: clip.name for clip in shown}
    return SmileFeatures(whole, recipe, folder, digests, {}, {clip.name: found for clip, found in sequences.items()})


def _still_sequences(
    data: Stills, part: str, rows: NDArray[np.int64], folder: Path, seed: int, views: int
) -> tuple[list[StillJob], dict[Clip, StillSequence]]:
    """What has to be computed for the stills of a part, and the sequences that can be shown then."""
    jobs: list[StillJob] = []
    sequences = {}
    for chunk in (rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK)):
        targets = [_target(folder, chunk, view) for view in range(views)]
        for view, target in enumerate(targets):
            jobs.append(([(data.crops[row], (seed, int(row), view)) for row in chunk], target))
        for place, row in enumerate(chunk.tolist()):
            changes = np.random.default_rng([seed, row]).integers(MIN_SAMPLES, size=views)
            for view, change in enumerate(changes.tolist()):
                clip = _clip(data, row, part, targets[view], f"-{view}" if views > 1 else "")
                sequences[clip] = StillSequence(targets[view - 1], targets[view], place, change)
    return jobs, sequences


def _target(folder: Path, rows: NDArray[np.int64], view: int) -> Path:
    """Where one view of these stills is kept; another augmentation makes other views."""
    what = Path(augment.__file__).read_bytes() + rows.tobytes() + bytes([view])
    return folder / f"{hashlib.sha256(what).hexdigest()[:16]}.npy"


def _clip(data: Stills, row: int, part: str, path: Path, suffix: str = "") -> Clip:
    key = str(data.keys[row])
    return Clip(f"{part}/{key}{suffix}", path, key, int(data.age[row]), GENDERS[data.gender[row]], "posed")


def one_fold(features: SmileFeatures, settings: Settings) -> Split:
    """Validation smiles and stills tune, calibration smiles are answered, everything of the training part trains.

    Raises ValueError where the test part is among the clips that training can see.
    """
    if features.part("test"):
        raise ValueError("the test part must not be given to training")
    answered = {clip.subject for clip in features.part("calibration")}
    tuning = {clip.subject for part in ("validation", HELD_OUT) for clip in features.part(part)}
    fold = Fold(tuple(sorted(answered)), tuple(sorted(tuning)))
    return Split(features.whole.name, features.whole.digest, settings.seed, (fold,))


@torch.inference_mode()
def answer(network: InterpreterNetwork, sequences: Iterable[NDArray[np.float16]]) -> NDArray[np.float64]:
    """(n,) years, or probability of female, of n sequences (T, 9, 2048) by the relational network."""
    found = []
    for regions in sequences:
        inputs = torch.from_numpy(np.array(regions))[None]
        values = network.answer(network(inputs, torch.tensor([len(regions)])).output)[0, 0]
        found.append(float(values if values.ndim == 0 else values[GENDERS.index("female")]))
    return np.array(found)


@torch.inference_mode()
def frame_answers(
    head: FrameHead, feature_scale: float, regions: NDArray[np.float16]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(T, 9, 2048) features -> (T,) years and (T,) probability of female, each frame by the backbone's own head."""
    tiles = torch.from_numpy(np.asarray(regions, np.float32)) * feature_scale
    means = tiles.reshape(-1, GRID, GRID, MAP_CHANNELS, tiles.shape[-1] // MAP_CHANNELS).mean(dim=-1)
    age, gender = head(means.permute(0, 3, 1, 2))
    female = gender.softmax(dim=1)[:, GENDERS.index("female")]
    return expected_age(age).double().numpy(), female.double().numpy()


def _run(jobs: list, work: Callable[..., None], what: str, start_with: tuple[Path], processes: int | None) -> None:
    """Do the jobs whose second part, a file, does not exist."""
    waiting = [job for job in jobs if not job[1].exists()]
    done = len(jobs) - len(waiting)
    for _ in parallel.run_all(work, waiting, what, processes, _start, start_with, done):
        pass


_networks: dict[bool, Backbone]


def _start(directory: Path) -> None:
    """The backbone in float32 and in what is fast, on the GPU where there is one."""
    global _networks
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _networks = {exact: checkpoint.load_backbone(directory) for exact in (True, False)}
    for exact, network in _networks.items():
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not exact and precision.has_bfloat16(device.type):
            network.layers.bfloat16()


@torch.inference_mode()
def _through(crops: NDArray[np.uint8], exact: bool) -> NDArray[np.float16]:
    network = _networks[exact]
    device = network.mean.device
    blocks = [torch.from_numpy(crops[at : at + BATCH]).to(device) for at in range(0, len(crops), BATCH)]
    return torch.cat([network(block).cpu() for block in blocks]).numpy()


def _clip_features(job: tuple[Path, Path, str]) -> None:
    source, target, part = job
    with np.load(source) as clip:
        crops = clip["crops"]
    if "-" in part:
        crops = CORRUPTIONS[part.split("-")[1]](crops)
    _save(target, _through(crops, part == EXACT))


def _still_features(job: StillJob) -> None:
    views, target = job
    crops = np.stack([augment.augment(wide, np.random.default_rng(seed)) for wide, seed in views])
    _save(target, _through(crops, False))


def _save(target: Path, values: NDArray[np.float16]) -> None:
    partial = target.with_suffix(".partial.npy")
    np.save(partial, values)
    partial.replace(target)
