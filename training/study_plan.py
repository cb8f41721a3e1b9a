"""What a study consists of: the full one, one with a planted relation, and the chain in small."""

from dataclasses import dataclass, replace
from typing import Any

from networks.config import ABLATIONS, TRAITS, Ablation, Trait, Width
from training.module import Optimisation
from training.planted import Label
from training.protocol import FOLDS
from training.run_config import Precision
from training.weights_plan import LAYERS


@dataclass(frozen=True)
class Plan:
    """The protocol of SPEC A8 and how much of it.

    Attributes:
        subjects, clips: of the simulated set, where no data are given.
        layers: as in training.run_config.RunConfig.
        frame_rate_hz: of the sampling grid; half of it costs half of the time.
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
    frame_rate_hz: float = 6.25
    planted: tuple[str, str] | None = None
    label: Label | None = None
    seed: int = 0


_SHORT = Optimisation(rate=1e-3, batch=16, epochs=5, patience=5, schedule="cosine")
FULL = Plan(400, 1240, layers=LAYERS, optimisation=_SHORT)
"""Two hours of two CPU cores without bfloat16; the paper's width and 100 epochs (training/configs/paper.yaml) want a
GPU."""
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
PLANS = {"full": FULL, "planted": PLANTED, "tiny": TINY}
