"""What a study of SIAM consists of: the full one, and the same chain in small."""

from dataclasses import dataclass, replace
from typing import Any

from networks.config import WIDTHS, Width
from networks.siam_config import SiamConfig, siam_config
from training.protocol import FOLDS
from training.siam_methods import CHANGES, TRAINED
from training.siam_module import SiamOptimisation

LAYERS: dict[str, dict[str, Any]] = {
    "small": {"channels": (8, 16, 16), "hidden": 64, "features": 32, "attention_width": 16},
    "tiny": {"channels": (4, 6, 8), "hidden": 16, "features": 12, "attention_width": 5},
}
"""Narrower than any width that is exported: `small`, a quarter of the compact width, learns; `tiny` only runs."""


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

    def with_width(self, name: str) -> "SiamPlan":
        """Of a width, or of one of LAYERS."""
        return replace(self, width=name, layers=None) if name in WIDTHS else replace(self, layers=LAYERS[name])


FULL = SiamPlan(optimisation=SiamOptimisation(epochs=60))
TINY = SiamPlan(
    folds=2,
    layers=LAYERS["tiny"],
    optimisation=SiamOptimisation(rate=3e-3, batch=4, epochs=2),
    frame_rate_hz=8.0,
)
