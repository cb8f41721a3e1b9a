"""What a study of SIAM consists of: the full one, and the same chain in small."""

from dataclasses import dataclass, replace
from typing import Any

from networks.config import Width
from networks.siam_config import SiamConfig, siam_config
from training.protocol import FOLDS
from training.siam_methods import CHANGES, TRAINED
from training.siam_module import SiamOptimisation


@dataclass(frozen=True)
class SiamPlan:
    """How much of the protocol.

    Attributes:
        layers: sizes of networks.siam_config.SiamConfig instead of those of `width`.
        methods: of TRAINED.
    """

    methods: tuple[str, ...] = TRAINED
    folds: int = FOLDS
    width: Width = "compact"
    layers: dict[str, Any] | None = None
    optimisation: SiamOptimisation = SiamOptimisation()
    frame_rate_hz: float = 12.5
    seed: int = 0

    def network(self, method: str) -> SiamConfig:
        changes = (self.layers or {}) | CHANGES.get(method, {})
        return replace(siam_config(self.width), **changes)


FULL = SiamPlan(optimisation=SiamOptimisation(epochs=60))
TINY = SiamPlan(
    folds=2,
    layers={"channels": (4, 6, 8), "hidden": 16, "features": 12, "attention_width": 5},
    optimisation=SiamOptimisation(rate=3e-3, batch=4, epochs=2),
    frame_rate_hz=8.0,
)
