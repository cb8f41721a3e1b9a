"""Does SIAM look where the age is? Areas and instants are planted that alone tell it; how much attention do they get?

    python -m training.siam_truth --data runs/simulated --out runs/siam_truth [--seeds 2] [--steps 250]
    python -m training.siam_truth --out runs/siam_truth --tables FILE/trials.jsonl        # the tables alone

On cached warped faces of simulated clips, of which the smile and the person are kept and the age is not: it is written
anew for every sequence, and told by a grating alone (training.siam_planted). People of training and test are others.
Trials are independent, run in parallel, and kept when they are finished.

| question | condition | the written age is told |
|---|---|---|
| where | alone | by one area; nothing else is laid over the face |
| where | decoys | by one area; the others bear the same grating, as strong as chance will have it |
| when | smile | by one area, while the person smiles; the frames before and after are at rest |
| when | always | by one area, in every frame: nothing makes the smile worth more |
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from networks.siam import Siam
from networks.siam_config import MECHANISMS, Mechanism, SiamConfig
from smile import piecewise
from smile.attention import spread
from smile.course import smile_course
from smile.frontal_shape import SIDE_PX
from smile.smoothing import smoothed
from training import datasets, siam_truth_tables
from training.accepted import add_skipped
from training.datasets import DatasetError
from training.ending import in_one_line
from training.feature_store import FeatureError
from training.options import count_from, frame_rate_hz
from training.parallel import run_all
from training.planted import AGES
from training.run_config import ConfigError
from training.siam_faces import CACHE, FaceClips, readable
from training.siam_plan import LAYERS
from training.siam_planted import AREAS, inside, plant, strength
from training.whole import write_text

CONDITIONS = {"where": ("alone", "decoys"), "when": ("smile", "always")}
WHERE_FRAMES = 2
SMILE_FRAMES = 2
REST_FRAMES = round(SMILE_FRAMES * (1 / siam_truth_tables.SMILE_SHARE - 1))
LEAST_BEFORE = 2
"""Frames at rest before and after the smile, at least."""
SMILES, RESTS = 0.6, 0.1
"""Shares of the smile's amplitude above and below which a frame is one of the smile and one at rest."""
BATCH, TEST = 8, 64
RATE, DECAY, CLIP = 1e-3, 0.95, 5.0
TRIALS = "trials.jsonl"


@dataclass(frozen=True)
class Trial:
    """One network on one planted area."""

    question: str
    condition: str
    mechanism: Mechanism
    area: str
    seed: int
    steps: int

    @property
    def name(self) -> str:
        return "-".join(map(str, vars(self).values()))


@dataclass(frozen=True)
class Person:
    """Frames of one clip: all of them, and those of the smile and at rest; (T, 114, 114) uint8."""

    subject: str
    faces: NDArray[np.uint8]
    smiling: NDArray[np.uint8]
    resting: NDArray[np.uint8]


def people(clips: FaceClips) -> list[Person]:
    """The clips that show a smile between frames at rest."""
    found = []
    for row, clip in enumerate(clips.clips):
        faces = clips[row][0].numpy()
        times_s, ratios = clips.track(row)
        smile = smile_course(times_s, ratios)
        height = (smoothed(ratios) - smile.baseline) / max(smile.amplitude, 1e-9)
        smiling, resting = faces[height >= SMILES], faces[height <= RESTS]
        if smile.has_smile and len(smiling) and len(resting):
            found.append(Person(clip.subject, faces, smiling, resting))
    return found


def sequence(
    trial: Trial, person: Person, age: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(T, 114, 114) faces that tell the written age as the trial has it, and (T,) which of them smile."""
    if trial.question == "where":
        faces = person.faces[np.sort(rng.choice(len(person.faces), WHERE_FRAMES))]
        smiles = np.zeros(WHERE_FRAMES, bool)
    else:
        first = int(rng.integers(LEAST_BEFORE, REST_FRAMES - LEAST_BEFORE + 1))
        faces = person.resting[rng.integers(len(person.resting), size=SMILE_FRAMES + REST_FRAMES)]
        smiles = (first <= np.arange(len(faces))) & (np.arange(len(faces)) < first + SMILE_FRAMES)
        faces[smiles] = person.smiling[np.linspace(0, len(person.smiling) - 1, SMILE_FRAMES).round().astype(int)]
    told = smiles if trial.condition == "smile" else np.ones(len(faces), bool)
    strengths = {trial.area: strength(age) * told}
    if trial.condition == "decoys":
        strengths |= {area: np.full(len(faces), rng.random()) for area in AREAS if area != trial.area}
    return plant(faces, strengths, rng), smiles


def batch(
    trial: Trial, cast: Sequence[Person], count: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, NDArray[np.bool_]]:
    """(B, T, 114, 114) faces, (B,) written ages in years, (B, T) which frames smile."""
    ages = rng.uniform(*AGES, count)
    drawn = [sequence(trial, cast[int(rng.integers(len(cast)))], age, rng) for age in ages]
    faces, smiles = (np.stack(part) for part in zip(*drawn, strict=True))
    return torch.from_numpy(faces), torch.from_numpy(ages.astype(np.float32)), smiles


def network_of(trial: Trial, cast: Sequence[Person]) -> Siam:
    torch.manual_seed(trial.seed)
    network = Siam(SiamConfig(mechanism=trial.mechanism, **LAYERS["small"]))
    network.answer.mean.fill_(sum(AGES) / 2)
    network.answer.std.fill_((AGES[1] - AGES[0]) / 12**0.5)
    pixels = np.concatenate([person.faces for person in cast]) / 255
    network.appearance.pixel_mean.fill_(pixels.mean())
    network.appearance.pixel_std.fill_(pixels.std())
    return network


def fit(trial: Trial, network: Siam, cast: Sequence[Person]) -> None:
    """RMSprop and the mean absolute error, as the paper; every batch is drawn anew."""
    rng = np.random.default_rng([trial.seed, 0])
    optimiser = torch.optim.RMSprop(network.parameters(), RATE, alpha=DECAY)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=trial.steps, cycle_momentum=False)
    network.train()
    for _ in range(trial.steps):
        faces, ages, _ = batch(trial, cast, BATCH, rng)
        estimate, _ = network(faces, torch.full((BATCH,), faces.shape[1]))
        loss = (estimate.output - network.answer.standardise(ages)).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(network.parameters(), CLIP)
        optimiser.step()
        cycle.step()
    network.eval()


@torch.no_grad()
def read(trial: Trial, network: Siam, cast: Sequence[Person]) -> dict[str, Any]:
    """The error on people whom the network never saw, and its attention there."""
    faces, ages, smiles = batch(trial, cast, TEST, np.random.default_rng([trial.seed, 1]))
    estimate, spatial = network.eval()(faces, torch.full((TEST,), faces.shape[1]))
    record = {"mae_years": float((network.answer(estimate.output) - ages).abs().mean())}
    if trial.question == "when":
        return record | on_the_smile(estimate.temporal.numpy(), smiles)
    shown = spread(spatial.mean(dim=(0, 1)).numpy())
    face = np.zeros(SIDE_PX * SIDE_PX, bool)
    face[piecewise.plan().inside] = True
    face = face.reshape(SIDE_PX, SIDE_PX)
    areas = {area: float(shown[inside(area)].mean()) for area in AREAS}
    outside = float(shown[face & ~inside(trial.area)].mean())
    rank = 1 + sum(value > areas[trial.area] for value in areas.values())
    return record | {"areas": areas, "outside": outside, "ratio": areas[trial.area] / outside, "rank": rank}


def on_the_smile(weights: NDArray[np.float32], smiles: NDArray[np.bool_]) -> dict[str, float]:
    """Weight on the frames that smile over their share of the frames, and the same of all from the first of them on:
    states of the recurrence after the smile still carry what it told.

    Args:
        weights, smiles: (B, T) of each frame; the weights of a sequence add up to 1.
    """
    onwards = np.maximum.accumulate(smiles, axis=1)
    on_smile, on_onwards = (float((weights * shown).sum(axis=1).mean()) for shown in (smiles, onwards))
    return {
        "on_smile": on_smile,
        "ratio": on_smile / float(smiles.mean()),
        "on_onwards": on_onwards,
        "onwards_ratio": on_onwards / float(onwards.mean()),
    }


_cast: tuple[list[Person], list[Person], dict[str, Any]]


def _start(training: list[Person], test: list[Person], data: dict[str, Any]) -> None:
    global _cast
    _cast = training, test, data


def run(job: tuple[Trial, Path]) -> None:
    trial, path = job
    training, test, data = _cast
    started = time.monotonic()
    network = network_of(trial, training)
    before = read(trial, network, test)
    fit(trial, network, training)
    found = {"before": before, "after": read(trial, network, test)}
    record = {"trial": asdict(trial), "data": data, "seconds": round(time.monotonic() - started, 1), **found}
    write_text(path, json.dumps(record) + "\n")


def trials(seeds: int, steps: int) -> list[Trial]:
    """Seed by seed, so that an unfinished run holds whole comparisons. Each seed has another area, the mouth first."""
    found = []
    for seed in range(seeds):
        area = tuple(reversed(AREAS))[seed % len(AREAS)]
        for alike in zip(CONDITIONS["where"], CONDITIONS["when"], strict=True):
            found += [Trial("where", alike[0], mechanism, area, seed, steps) for mechanism in MECHANISMS]
            found.append(Trial("when", alike[1], "indexed", area, seed, steps))
    return found


def examine(given: argparse.Namespace) -> list[str]:
    """The records of all trials asked for; those that are not there yet are run.

    Raises DatasetError, FeatureError, WorkerDied; ConfigError where the folder holds trials on other data.
    """
    dataset = datasets.read(given.data)
    place = given.cache, given.frame_rate
    clips = FaceClips(readable(dataset.clips, *place, given.accept_skipped), *place)
    everyone = people(clips)
    subjects = sorted({person.subject for person in everyone})
    tested = set(subjects[::4])
    training = [person for person in everyone if person.subject not in tested]
    test = [person for person in everyone if person.subject in tested]
    if not (training and test):
        raise DatasetError(f"{given.data}: a smile between frames at rest is seen of {len(subjects)} people only")
    data = {
        "data_set": dataset.name,
        "clips": len(everyone),
        "people of training": len(subjects) - len(tested),
        "people of test": len(tested),
        "frame rate": given.frame_rate,
    }
    folder = given.out / "trials"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(trial, folder / f"{trial.name}.json") for trial in trials(given.seeds, given.steps)]
    waiting = [job for job in jobs if not job[1].exists()]
    for _ in run_all(run, waiting, "trials", given.processes, _start, (training, test, data), len(jobs) - len(waiting)):
        pass
    lines = [path.read_text(encoding="utf-8").strip() for _, path in jobs]
    if any(json.loads(line).get("data") != data for line in lines):
        raise ConfigError(f"{folder} holds trials on other data than {data}: choose another --out")
    return lines


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.siam_truth", description=(__doc__ or "").splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="a simulated set, or any other")
    source.add_argument("--tables", type=Path, metavar="TRIALS.jsonl", help="write its tables again; train nothing")
    parser.add_argument("--out", type=Path, default=Path("runs/siam_truth"))
    parser.add_argument("--seeds", type=count_from(1), default=2)
    parser.add_argument("--steps", type=count_from(1), default=250, help=f"of {BATCH} sequences each")
    parser.add_argument("--frame-rate", type=frame_rate_hz, default=12.5, help="Hz of the sampling grid")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--processes", type=count_from(1))
    add_skipped(parser)
    given = parser.parse_args(arguments)
    with in_one_line(FeatureError):
        if given.tables:
            lines = given.tables.read_text(encoding="utf-8").splitlines()
        else:
            lines = examine(given)
            write_text(given.out / TRIALS, "".join(f"{line}\n" for line in lines))
        siam_truth_tables.write(given.out, [json.loads(line) for line in lines])


if __name__ == "__main__":
    main()
