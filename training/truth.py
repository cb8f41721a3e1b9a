"""Does the interpreter tell the truth? Pairs of regions are planted whose timing alone carries the label; which reading
of the trained network ranks the planted pair first?

On features instead of images (SPEC F): each region is a 16-dimensional bump in time plus noise, with the timing that
training.planted gives to simulated clips. Trials are independent, run in parallel, and kept when they are finished.

    python -m training.truth --out runs/truth [--seeds 5] [--pairs 4]
    python -m training.truth --out runs/truth --tables docs/results/truth/trials.jsonl    # the tables alone

| variant | training |
|---|---|
| full | as published |
| no_ri | importance fixed at 1/36 |
| normalised | r_ij has unit norm, so that only the importance can carry the weight of a pair |
| late_entropy | the entropy of the importance is penalised, more and more, over the last third of the training |
| shuffled | as full, labels shuffled: what the readings say where there is nothing to be found |
| regional, holistic | the ablations without pairs (SPEC A7): how much of the label they can tell |
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import mse_loss, normalize

from networks.config import Ablation, NetworkConfig
from networks.dynamics import Dynamics
from networks.interpreter import Interpreter
from networks.network import InterpreterNetwork
from smile.regions import PAIRS, REGIONS
from training import precision, truth_tables
from training.attribution import contributions, interactions, zeroings
from training.ending import in_one_line
from training.options import count_from
from training.parallel import run_all
from training.planted import AGES, DURATION_S, LABELS, Label, draw_planted_plan
from training.report import write
from training.whole import write_text

SEQUENCES: dict[Label, int] = {"additive": 2000, "relational": 5000}
"""Of 2,000 sequences most networks do not learn the relational label."""
RATE = 2e-3
FEATURES = 16
RATE_HZ = 10.0
NOISE = 0.1
TEST = 500
BATCH = 64
ENTROPY_WEIGHT, ENTROPY_FROM = 0.05, 2 / 3
VARIANTS = ("full", "no_ri", "normalised", "late_entropy", "shuffled", "regional", "holistic")
PLAIN: tuple[Ablation, ...] = ("no_ri", "regional", "holistic")
"""Variants that are ablations as they stand."""
DROPOUT = 0.1
TRIALS = "trials.jsonl"


@dataclass(frozen=True)
class Trial:
    """One network on one planted pair."""

    label: Label
    pair: tuple[int, int]
    variant: str
    seed: int
    sequences: int
    epochs: int

    @property
    def name(self) -> str:
        a, b = self.pair
        return f"{self.label}-{a}{b}-{self.variant}-{self.seed}-{self.sequences}-{self.epochs}"


class NormalisedInterpreter(Interpreter):
    """Relational features on a sphere: a pair cannot make itself heard by their length."""

    def relations(self, dynamics: Tensor) -> Tensor:
        relations = super().relations(dynamics)
        return normalize(relations, dim=-1) * relations.shape[-1] ** 0.5


def sequences(trial: Trial, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(count, T, 9, 16) float32 features, and (count,) standardised planted ages."""
    times = np.arange(round(DURATION_S * RATE_HZ)) / RATE_HZ
    directions = np.random.default_rng([trial.seed, 7]).normal(size=(len(REGIONS), FEATURES)).astype(np.float32)
    ages = rng.integers(AGES[0], AGES[1] + 1, count)
    bumps = np.empty((count, len(times), len(REGIONS)), np.float32)
    for row, age in enumerate(ages.tolist()):
        plan = draw_planted_plan(age, trial.label, trial.pair, rng)
        bumps[row] = np.stack([course.gain * course.at(times) for course in plan.courses], axis=1)
    values = bumps[..., None] * directions
    values += NOISE * rng.standard_normal(values.shape, dtype=np.float32)
    middle, spread = np.mean(AGES), (AGES[1] - AGES[0]) / 12**0.5
    return torch.from_numpy(values), torch.from_numpy(((ages - middle) / spread).astype(np.float32))


def network_of(trial: Trial) -> InterpreterNetwork:
    """The project's network, narrow, for features of another width."""
    config = NetworkConfig(
        "age",
        next((name for name in PLAIN if name == trial.variant), "full"),
        fc1=48,
        lstm=48,
        relation=(96, 96),
        estimator=(48, 24),
        fc1_dropout=DROPOUT,
        lstm_dropout=DROPOUT,
        relation_dropout=DROPOUT,
        estimator_dropout=DROPOUT,
    )
    network = InterpreterNetwork(config)
    network.dynamics = Dynamics(FEATURES * (len(REGIONS) if trial.variant == "holistic" else 1), config)
    if trial.variant == "normalised":
        network.interpreter = NormalisedInterpreter(config)
    return network


def fit(trial: Trial) -> tuple[InterpreterNetwork, Tensor, Tensor]:
    """Train; the network in evaluation mode, test features and labels."""
    rng = np.random.default_rng([trial.seed, 0])
    torch.manual_seed(trial.seed)
    network = network_of(trial)
    values, labels = sequences(trial, trial.sequences, rng)
    test, test_labels = sequences(trial, TEST, rng)
    if trial.variant == "shuffled":
        labels = labels[torch.from_numpy(rng.permutation(len(labels)))]
    lengths = torch.full((BATCH,), values.shape[1])
    steps = trial.epochs * (trial.sequences // BATCH)
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for step in range(steps):
        place = step % (trial.sequences // BATCH)
        if place == 0:
            order = torch.from_numpy(rng.permutation(trial.sequences))
        rows = order[place * BATCH : (place + 1) * BATCH]
        with precision.autocast("cpu"):
            estimate = network(values[rows], lengths)
        loss = mse_loss(estimate.output[:, 0, 0].float(), labels[rows])
        if trial.variant == "late_entropy" and step > ENTROPY_FROM * steps:
            share = estimate.importance.float().clamp_min(1e-9)
            ramp = (step / steps - ENTROPY_FROM) / (1 - ENTROPY_FROM)
            loss = loss - ENTROPY_WEIGHT * ramp * (share * share.log()).sum(dim=-1).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        cycle.step()
    return network.eval(), test, test_labels


def read(network: InterpreterNetwork, test: Tensor, labels: Tensor) -> dict[str, Any]:
    """Accuracy and, of a network with pairs, every reading of the 36 pairs and of the 9 regions, averaged over the test
    sequences."""
    with torch.no_grad():
        dynamics = network.encode(test, torch.full((len(test),), test.shape[1]))
        estimate = network.interpret(dynamics.unsqueeze(1))
    if not isinstance(network.interpreter, Interpreter):
        return {"r2": _r2(estimate.output[:, 0, 0], labels)}
    plain, alone, together = zeroings(network, dynamics)
    parts = contributions(network, dynamics)
    moved = plain - plain.mean()
    effects = (alone - plain.unsqueeze(1)).abs().mean(dim=0)
    pairs = {
        "importance": estimate.importance[:, 0].mean(dim=0),
        "contribution": parts.abs().mean(dim=0),
        "variance share": (parts * moved.unsqueeze(1)).mean(dim=0) / moved.square().mean(),
        "zeroing both": (together - plain.unsqueeze(1)).abs().mean(dim=0),
        "zeroing each": effects[[a for a, _ in PAIRS]] + effects[[b for _, b in PAIRS]],
        "interaction": interactions(plain, alone, together).abs().mean(dim=0),
    }
    return {
        "r2": _r2(plain, labels),
        "pairs": {name: _short(values) for name, values in pairs.items()},
        "regions": _short(effects),
    }


def _r2(answers: Tensor, labels: Tensor) -> float:
    return 1 - float(mse_loss(answers, labels) / labels.var(correction=0))


def _short(values: Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]


def run(job: tuple[Trial, Path]) -> None:
    trial, path = job
    started = time.monotonic()
    found = read(*fit(trial))
    about = {
        "trial": asdict(trial),
        "precision": precision.name("cpu"),
        "seconds": round(time.monotonic() - started, 1),
    }
    write_text(path, json.dumps(about | found) + "\n")


def plants(count: int) -> list[tuple[int, int]]:
    """Pairs spread over the 36."""
    places: NDArray[np.int64] = np.linspace(0, len(PAIRS) - 1, count).round().astype(int)
    return [PAIRS[place] for place in places.tolist()]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.truth", description="Find planted pairs.")
    parser.add_argument("--out", type=Path, default=Path("runs/truth"))
    parser.add_argument("--seeds", type=count_from(1), default=5)
    parser.add_argument("--pairs", type=count_from(1, len(PAIRS)), default=4)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--labels", nargs="+", choices=LABELS, default=LABELS)
    parser.add_argument("--sequences", type=count_from(BATCH), help="to learn from, whatever the label")
    parser.add_argument("--epochs", type=count_from(1), default=12)
    parser.add_argument("--processes", type=count_from(1))
    parser.add_argument("--tables", type=Path, metavar="TRIALS.jsonl", help="write its tables again; train nothing")
    given = parser.parse_args(arguments)
    with in_one_line():
        if given.tables:
            lines = given.tables.read_text(encoding="utf-8").splitlines()
        else:
            lines = _trials(given)
            write_text(given.out / TRIALS, "".join(f"{line}\n" for line in lines))
        records = [json.loads(line) for line in lines]
        about = {"trials": len(records), "core_seconds": round(sum(record["seconds"] for record in records))}
        write(given.out, "truth", "Does the interpreter tell the truth?", about, truth_tables.tables(records))
    print((given.out / "truth.md").read_text(encoding="utf-8"))


def _trials(given: argparse.Namespace) -> list[str]:
    """The records of all trials asked for; those that are not there yet are run."""
    trials = [
        Trial(label, pair, variant, seed, given.sequences or SEQUENCES[label], given.epochs)
        for seed in range(given.seeds)
        for pair in plants(given.pairs)
        for label in dict.fromkeys(given.labels)
        for variant in dict.fromkeys(given.variants)
    ]
    folder = given.out / "trials"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(trial, folder / f"{trial.name}.json") for trial in trials]
    waiting = [job for job in jobs if not job[1].exists()]
    for _ in run_all(run, waiting, "trials", given.processes, done=len(jobs) - len(waiting)):
        pass
    return [path.read_text(encoding="utf-8").strip() for _, path in jobs]


if __name__ == "__main__":
    main()
