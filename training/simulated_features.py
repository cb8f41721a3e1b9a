"""Backbone features of simulated smiles and of stills, as a data set that training.train can learn from.

    <cache>/<clips>-<backbone>/<part>/<still>.npy    (T, 9, 2048) float16, a simulated smile (training.simulated_clips)
                               stills/<which>.npy    (n, 9, 2048) float16, one augmented view of each of n stills,
                                                     held-out-stills/ those that select the epoch

Stills, and training smiles beyond their first showing, are shown as sequences of these (training.sequences). A finished
file is never computed again.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from networks import checkpoint
from networks.backbone import Backbone
from networks.network import InterpreterNetwork
from smile.tensors import GENDERS
from training import augment, parallel, precision
from training.datasets import Clip, Dataset
from training.evaluate_stills import CORRUPTIONS
from training.feature_store import Features, recipe_of
from training.protocol import Fold, Split
from training.sequences import Sequence, of_stills, to_and_fro
from training.simulated_clips import Settings
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


@dataclass(frozen=True)
class SmileFeatures(Features):
    """Features of simulated smiles and of sequences.

    Attributes:
        sequences: by the name of the clip that each is shown as.
    """

    sequences: Mapping[str, Sequence]

    def regions(self, clip: Clip) -> NDArray[np.float16]:
        if clip.name not in self.sequences:
            return super().regions(clip)
        instants, place = self.instants(clip)
        return instants[place]

    def instants(self, clip: Clip) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
        found = self.sequences.get(clip.name)
        return super().instants(clip) if found is None else (found.instants(), found.place)

    @cached_property
    def frame_counts(self) -> dict[str, int]:
        """Name of each clip -> T."""
        found = {name: len(sequence.place) for name, sequence in self.sequences.items()}
        return found | {
            clip.name: len(super(SmileFeatures, self).regions(clip))
            for clip in self.dataset.clips
            if clip.name not in found
        }

    def part(self, part: str) -> tuple[Clip, ...]:
        """The clips of one part."""
        return tuple(clip for clip in self.whole.clips if clip.name.split("/")[0] == part)


def prepare(
    data: Stills,
    smiles: Mapping[str, Mapping[int, Path]],
    stills: Mapping[str, NDArray[np.int64]],
    settings: Settings,
    backbone: Path,
    cache: Path = CACHE,
    processes: int | None = None,
    views: int = 1,
    replays: int = 0,
) -> SmileFeatures:
    """Compute what is not there yet, and open all of it.

    Args:
        smiles: part -> row of `data` -> clip, as training.simulated_clips.prepare gives them.
        stills: STILL -> rows of the training part that are learned from without movement; HELD_OUT -> rows that an
            epoch is selected by.
        backbone: checkpoint directory.
        views: of each training still, and as many sequences; those of HELD_OUT have one.
        replays: sequences of each training smile, besides the smile as it is.
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
    sequences: dict[Clip, Sequence] = {}
    for part, rows in stills.items():
        jobs, found = _still_sequences(data, part, rows, folder / part, settings.seed, views if part == STILL else 1)
        still_jobs += jobs
        sequences |= found
    _run(still_jobs, _still_features, f"features of {len(sequences)} stills", (backbone,), processes)
    for row in smiles.get("train", {}):
        sequences |= _replays(data, row, folder / "train" / f"{data.keys[row]}.npy", settings.seed, replays)
    clips = tuple(sorted((*shown, *sequences), key=lambda clip: clip.name))
    whole = Dataset("simulated smiles and stills of UTKFace", clips, True)
    digests = {clip.name: clip.name for clip in shown}
    return SmileFeatures(whole, recipe, folder, digests, {}, {clip.name: found for clip, found in sequences.items()})


def _still_sequences(
    data: Stills, part: str, rows: NDArray[np.int64], folder: Path, seed: int, views: int
) -> tuple[list[StillJob], dict[Clip, Sequence]]:
    """What has to be computed for the stills of a part, and the sequences that can be shown then."""
    jobs: list[StillJob] = []
    sequences = {}
    for chunk in (rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK)):
        targets = [_target(folder, chunk, view) for view in range(views)]
        for view, target in enumerate(targets):
            jobs.append(([(data.crops[row], (seed, int(row), view)) for row in chunk], target))
        for place, row in enumerate(chunk.tolist()):
            for view, target in enumerate(targets):
                clip = _clip(data, row, part, target, f"-{view}" if views > 1 else "")
                rng = np.random.default_rng([seed, row, view]) if part == STILL else None
                sequences[clip] = of_stills(targets[view - 1], target, place, rng)
    return jobs, sequences


def _replays(data: Stills, row: int, target: Path, seed: int, replays: int) -> dict[Clip, Sequence]:
    count = len(np.load(target, mmap_mode="r"))
    return {
        _clip(data, row, "train", target, f"-{time}"): to_and_fro(
            target, count, np.random.default_rng([seed, row, time])
        )
        for time in range(replays)
    }


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
