"""What a study consists of: the full one, and the same chain in small."""

from dataclasses import dataclass
from typing import Any

from networks.config import ABLATIONS, TRAITS, Ablation, Trait, Width
from training.module import Optimisation
from training.protocol import FOLDS
from training.run_config import Precision


@dataclass(frozen=True)
class Plan:
    """The protocol of SPEC A8 and how much of it.

    Attributes:
        subjects, clips: of the simulated set, where no data are given.
        layers: as in training.run_config.RunConfig.
        frame_rate_hz: of the sampling grid; half of the default costs half of the time.
    """

    subjects: int
    clips: int
    folds: int = FOLDS
    traits: tuple[Trait, ...] = TRAITS
    ablations: tuple[Ablation, ...] = ABLATIONS
    width: Width = "compact"
    layers: dict[str, Any] | None = None
    optimisation: Optimisation = Optimisation()
    precision: Precision = "bf16-mixed"
    frame_rate_hz: float = 12.5
    seed: int = 0


FULL = Plan(400, 1240, optimisation=Optimisation(rate=1e-3, epochs=20, plateau=3, patience=6))
"""Fits two CPU cores and six hours; the paper's width and 100 epochs (training/configs/paper.yaml) want a GPU."""
TINY = Plan(
    24,
    40,
    folds=2,
    layers={"fc1": 32, "lstm": 32, "relation": (32, 32), "estimator": (16, 16)},
    optimisation=Optimisation(rate=3e-3, epochs=2),
    precision="32-true",
    frame_rate_hz=8.0,
)
PLANS = {"full": FULL, "tiny": TINY}
