"""How much goes into released weights, and the options that say so."""

import argparse
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from training import ROOT
from training.optimisation import Optimisation
from training.sequences import LONGEST
from training.simulated_clips import PARTS

OUT = ROOT / "runs/weights"
LAYERS = {
    trait: {
        "fc1_dropout": rate,
        "lstm_dropout": 0.0,
        "relation_dropout": rate,
        "estimator_dropout": rate,
        "memory": LONGEST,
    }
    for trait, rate in {"age": 0.0, "gender": 0.1}.items()
}
"""P1's rates are for layers eight times as wide and for labels alone; where the target is what the backbone says of the
features, there is less to learn by heart. Compared once, over four epochs of a fifth of the stills: ages of held-out
stills, less their median error, 5.63 years with rates of 0.1 and 5.49 without, of calibration smiles 5.07 and 4.92.
Genders of 466 smiles were wrong in 8.0 % with rates of 0.1, in 10.3 % without them but with `memory`.
With forget biases of 1 the last instants decide: halves of calibration smiles 1.69 years apart, 0.93 with `memory`."""


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        clips: simulated smiles of PARTS, asked for; fewer where stills cannot be moved.
        stills: training stills learned from without movement. views: of each of them. rounds: sequences that end with
            each view, each of its own length and with a beginning of its own.
        replays: sequences of each training smile, besides the smile as it is (training.sequences).
        others: share of the sequences of stills that begin with another still, so that all instants count alike.
            Compared once each, halves of 743 calibration and validation smiles: 0.73 years apart without, 0.60 with a
            share of 0.15, 0.54 with 0.3 and two rounds; 1.43, 1.35 and 1.27 years (root mean square) from the mean of
            frames; their ages 4.89, 4.88 and 4.91 years, genders right in 92.7, 92.3 and 93.0 %.
        corrupted: test smiles that are also shown corrupted, in every way of training.corruptions.CORRUPTIONS.
        optimisation: without `steadiness`, which doubles the cost of a step. Compared once, ages of 372 calibration
            smiles and the gap of their halves: six epochs without it 5.18 and 1.86 years, three with a weight of 1 5.50
            and 2.30, three with 10 6.30 and 1.71; the mean of frames 4.95 and 0.47. Without labels, which the backbone
            has learned already. Compared once, ages of 743 calibration and validation smiles and the gap of their
            halves, after five epochs: with labels at a weight of 0.2 4.98 and 0.98 years, without 4.95 and 0.80.
            Settled after two of six epochs, and begun with the directions of the frames' head. Compared once with
            neither and two views of a still instead of three, ages of the same smiles: 4.89 years and 4.98 without
            (difference -0.19 to 0.00), the mean of frames 4.91; from which they were 1.43 and 1.59 years (root mean
            square).
        layers: of each trait's network, as in training.run_config.RunConfig.
    """

    clips: tuple[int, ...] = (400, 100, 700, 700)
    stills: int = 16_578
    views: int = 3
    rounds: int = 2
    replays: int = 3
    others: float = 0.3
    corrupted: int = 110
    optimisation: Optimisation = Optimisation(
        rate=1e-3, batch=32, epochs=6, patience=6, schedule="cosine", distillation=1.0, settled=0.3
    )
    layers: dict[str, dict[str, Any]] = field(default_factory=lambda: deepcopy(LAYERS))
    seed: int = 2018


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """The options that say which run it is."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--clips-per-part", type=int, nargs=4, metavar=tuple(part.upper() for part in PARTS))
    parser.add_argument("--stills", type=int, help="training stills learned from without movement")
    parser.add_argument("--views", type=int, help="of each of these stills")
    parser.add_argument("--corrupted", type=int, help="test smiles that are also shown corrupted")
    parser.add_argument("--epochs", type=int, help="of the first network's heads")
    taken = parser.add_mutually_exclusive_group()
    taken.add_argument("--backbone", type=Path, help="use this one as it is, instead of training one")
    taken.add_argument(
        "--shipped",
        type=Path,
        metavar="REPOSITORY",
        help="calibrate and evaluate the graphs of this model repository as they are, instead of training any",
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--processes", type=int, help="default: one for each core")
    return parser


def plan(options: argparse.Namespace) -> Plan:
    """What they ask for. Paths become absolute: parts of a run are processes that work elsewhere."""
    for name in ("out", "backbone", "shipped"):
        path = getattr(options, name)
        setattr(options, name, path and path.resolve())
    whole = Plan()
    return Plan(
        clips=tuple(options.clips_per_part or whole.clips),
        stills=whole.stills if options.stills is None else options.stills,
        views=options.views or whole.views,
        corrupted=whole.corrupted if options.corrupted is None else options.corrupted,
        optimisation=replace(whole.optimisation, epochs=options.epochs or whole.optimisation.epochs),
    )
