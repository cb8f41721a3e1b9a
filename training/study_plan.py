"""What a study consists of: the full one, the paper's, one with a planted relation, and the chain in small."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from networks.config import ABLATIONS, TRAITS, Ablation, Trait, Width
from smile.sampling import FRAME_RATE_HZ
from training.accepted import add_options
from training.feature_store import CACHE
from training.optimisation import Optimisation
from training.options import count_from, frame_rate_hz
from training.planted import Label
from training.protocol import FOLDS
from training.run_config import Precision


@dataclass(frozen=True)
class Plan:
    """The protocol of SPEC A8 and how much of it.

    Attributes:
        subjects, clips: of the simulated set, where no data are given.
        layers: as in training.run_config.RunConfig.
        frame_rate_hz: of the sampling grid; half of it costs half of the time. At least that at which UvA-NEMO's
            shortest clips, of 1.1 s, give MIN_SAMPLES instants: 6.4 Hz.
        planted, label: two regions of the simulated set whose timing alone carries the label, and how
            (training.planted); None for smiles as people's.
    """

    subjects: int
    clips: int
    folds: int = FOLDS
    traits: tuple[Trait, ...] = TRAITS
    ablations: tuple[Ablation, ...] = ABLATIONS
    width: Width = "compact"
    layers: dict[str, Any] | None = None
    optimisation: Optimisation = Optimisation()
    precision: Precision = "auto"
    frame_rate_hz: float = 7.0
    planted: tuple[str, str] | None = None
    label: Label | None = None
    seed: int = 0


LAYERS = {"fc1_dropout": 0.1, "lstm_dropout": 0.0, "relation_dropout": 0.1, "estimator_dropout": 0.1}
"""P1's rates are for layers eight times as wide."""
_SHORT = Optimisation(rate=1e-3, batch=16, epochs=5, patience=5, schedule="cosine")
FULL = Plan(400, 1240, layers=LAYERS, optimisation=_SHORT)
"""At 6.25 Hz, an eighth fewer instants, it took 1 hour 42 minutes of two CPU cores without bfloat16
(docs/results/study)."""
PAPER = Plan(400, 1240, width="paper", frame_rate_hz=FRAME_RATE_HZ)
"""Runs as training/configs/paper.yaml describes them, for VGG-Face features and a GPU."""
PLANTED = Plan(
    200,
    620,
    folds=5,
    traits=("age",),
    ablations=("full", "no_ri", "regional", "holistic"),
    layers=LAYERS,
    optimisation=replace(_SHORT, batch=8, epochs=20, patience=20),
    frame_rate_hz=12.5,
    planted=("left_mouth_side", "right_eye"),
    label="additive",
)
"""Are pairs worth their while where a relation decides? Lags of up to 0.4 s want twice the rate."""
TINY = Plan(
    24,
    40,
    folds=2,
    layers={"fc1": 32, "lstm": 32, "relation": (32, 32), "estimator": (16, 16)},
    optimisation=Optimisation(rate=3e-3, epochs=2),
    precision="32-true",
    frame_rate_hz=8.0,
)
PLANS = {"full": FULL, "paper": PAPER, "planted": PLANTED, "tiny": TINY}


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """The options that say which study it is."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument(
        "--plan",
        choices=PLANS,
        default="full",
        help="full: the whole protocol in a size for CPUs; paper: in the paper's own, for a GPU; planted: a simulated "
        "set with a planted relation, age alone; tiny: the chain in minutes, and numbers without meaning",
    )
    parser.add_argument("--data", type=Path, help="folder of UvA-NEMO, or a manifest, instead of a simulated set")
    add_options(parser)
    parser.add_argument("--stills", type=Path, help="labelled stills to simulate from, without --data")
    parser.add_argument("--backbone", type=Path, help="checkpoint directory; default: the shipped one")
    parser.add_argument("--out", type=Path, help="default runs/study, or runs/study-PLAN for another plan")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--processes", type=count_from(1), help="default: one for each GPU, or for each core")
    parser.add_argument("--epochs", type=count_from(1), help="instead of the plan's")
    parser.add_argument("--folds", type=count_from(2), help="instead of the plan's")
    parser.add_argument("--frame-rate", type=frame_rate_hz, help="Hz of the sampling grid, instead of the plan's")
    parser.add_argument("--seed", type=count_from(0), help="of simulation, folds and training, instead of the plan's")
    return parser


def chosen_plan(options: argparse.Namespace) -> Plan:
    """The plan that they name, changed in what else they say."""
    plan: Plan = PLANS[options.plan]
    return replace(
        plan,
        folds=options.folds or plan.folds,
        frame_rate_hz=options.frame_rate or plan.frame_rate_hz,
        seed=plan.seed if options.seed is None else options.seed,
        optimisation=replace(plan.optimisation, epochs=options.epochs or plan.optimisation.epochs),
    )
