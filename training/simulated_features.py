"""Backbone features of simulated smiles and of stills, as a data set that training.train can learn from.

    <cache>/<clips>-<backbone>-<head>/<part>/<still>.npy    (T, 9, 2048) float16, a simulated smile (simulated_clips)
                                      stills/<which>.npy    (n, 9, 2048) float16, one augmented view of each of n
                                                            stills, held-out-stills/ those that select the epoch
                                      */*.said.npy          of what is learned from: what single frames say
                                                            (sequences.beside)

Stills, and training smiles beyond their first showing, are shown as sequences of these (training.sequences). A finished
file is never computed again.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from networks.network import InterpreterNetwork
from smile.tensors import GENDERS
from training import ROOT, augment, coding, feature_jobs, motion
from training.datasets import Clip, Dataset
from training.feature_jobs import Job, Views
from training.feature_store import Features, recipe_of
from training.protocol import Fold, Split
from training.sequences import Sequence, beside, of_stills, to_and_fro
from training.simulated_clips import Settings
from training.still_network import HEAD, FrameAnswers
from training.stills import Stills

CACHE = ROOT / ".cache/smile_features"
CHUNK = 256
"""Stills in a file."""
EXACT = "test"
"""The part whose features are computed in float32 everywhere; the others in bfloat16 where that is fast."""
CORRUPTED = "{part}-{corruption}"
"""Name of a part whose crops are corrupted (training.corruptions.CORRUPTIONS) before the backbone sees them."""
STILL, HELD_OUT = "stills", "held-out-stills"
TAUGHT = ("train", STILL)
"""Parts that are learned from: what single frames say of them is kept with the features."""


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

    def said(self, clip: Clip, single: FrameAnswers) -> NDArray[np.float32]:
        """As of any features, but for what is learned from: there of the mirrored crops too, and half of it theirs."""
        sequence = self.sequences.get(clip.name)
        if clip.name.split("/")[0] not in TAUGHT:
            return super().said(clip, single)
        table = np.load(beside(self._file(clip, ".npy"))) if sequence is None else sequence.said()
        return np.asarray(table.mean(axis=0))

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
    rounds: int = 1,
    replays: int = 0,
    others: float = 0.0,
) -> SmileFeatures:
    """Compute what is not there yet, and open all of it.

    Args:
        smiles: part -> row of `data` -> clip, as training.simulated_clips.prepare gives them.
        stills: STILL -> rows of the training part that are learned from without movement; HELD_OUT -> rows that an
            epoch is selected by.
        backbone: checkpoint directory; without a head nothing is kept for training to learn from frames.
        views: of each training still; those of HELD_OUT have one.
        rounds: sequences of training stills that end with each view.
        replays: sequences of each training smile, besides the smile as it is.
        others: share of the sequences of training stills that begin with another still. They bear the labels of the
            one that they end with: only for learning from what is said of their instants.
    """
    recipe = recipe_of(backbone, settings.frame_rate_hz)
    head = backbone / HEAD
    digests_of = [hashlib.sha256(head.read_bytes()).hexdigest()[:16]] if head.exists() else []
    folder = cache / "-".join((settings.key, recipe.backbone, *digests_of))
    for part in (*smiles, *stills):
        (folder / part).mkdir(parents=True, exist_ok=True)
    shown = {
        _clip(data, row, part, path): folder / part / f"{data.keys[row]}.npy"
        for part, found in smiles.items()
        for row, path in sorted(found.items())
    }
    taught = TAUGHT if head.exists() else ()
    smile_jobs = []
    for clip, target in shown.items():
        part, _, corruption = target.parent.name.partition("-")
        smile_jobs.append(Job(clip.path, target, target.parent.name == EXACT, corruption, part in taught))
    feature_jobs.run(smile_jobs, f"features of {len(shown)} smiles", backbone, processes)
    still_jobs: list[Job] = []
    sequences: dict[Clip, Sequence] = {}
    for part, rows in stills.items():
        drawn = (views, rounds, others) if part == STILL else (1, 1, 0.0)
        found, sources = _still_sequences(data, part, rows, folder / part, settings.seed, *drawn)
        still_jobs += [Job(source, target, taught=part in taught) for target, source in sources.items()]
        sequences |= found
    feature_jobs.run(still_jobs, f"features of {len(sequences)} stills", backbone, processes)
    for row in smiles.get("train", {}):
        sequences |= _replays(data, row, folder / "train" / f"{data.keys[row]}.npy", settings.seed, replays)
    clips = tuple(sorted((*shown, *sequences), key=lambda clip: clip.name))
    whole = Dataset("simulated smiles and stills of UTKFace", clips, True)
    digests = {clip.name: clip.name for clip in shown}
    return SmileFeatures(whole, recipe, folder, digests, {}, {clip.name: found for clip, found in sequences.items()})


def _still_sequences(
    data: Stills, part: str, rows: NDArray[np.int64], folder: Path, seed: int, views: int, rounds: int, others: float
) -> tuple[dict[Clip, Sequence], dict[Path, Views]]:
    """Sequences of the stills of a part, and what their files are computed from."""
    sequences = {}
    sources: dict[Path, Views] = {}
    chunks = [rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK)]
    targets = [[_target(folder, chunk, view) for view in range(views)] for chunk in chunks]
    for chunk, files in zip(chunks, targets, strict=True):
        for view, target in enumerate(files):
            sources[target] = [(data.crops[row], (seed, int(row), view)) for row in chunk]
        for place, row in enumerate(chunk.tolist()):
            for time in range(rounds * views):
                view = time % views
                clip = _clip(data, row, part, files[view], f"-{time}" if rounds * views > 1 else "")
                rng = np.random.default_rng([seed, row, time]) if part == STILL else None
                before = files[view - 1], place
                if rng is not None and rng.random() < others:
                    number, other = divmod(int(rng.integers(len(rows))), CHUNK)
                    before = targets[number][view], other
                sequences[clip] = of_stills(before, (files[view], place), rng)
    return sequences, sources


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
    recipe = b"".join(Path(module.__file__ or "").read_bytes() for module in (augment, coding, motion))
    what = recipe + rows.tobytes() + bytes([view])
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
