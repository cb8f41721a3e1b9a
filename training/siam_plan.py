"""What a study of SIAM consists of: the full one, and the same chain in small."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from networks.config import WIDTHS, Width
from networks.siam_config import SiamConfig, siam_config
from training.accepted import add_options
from training.datasets import Dataset
from training.optimisation import Schedule
from training.options import count_from, frame_rate_hz
from training.protocol import FOLDS
from training.run_config import ConfigError
from training.siam_faces import CACHE
from training.siam_methods import CHANGES, SIAM, TRAINED
from training.siam_module import SiamOptimisation
from training.train_siam import SiamRun

Settings = dict[str, Any]
"""Fields of SiamConfig and of SiamOptimisation, by name: what training.siam_search chooses."""
FOUND = "best"
"""Where its record has the settings of each fold."""
LIKE = ("folds", "seed", "width", "layers", "frame_rate_hz")
"""In these a search and the study that takes its settings over must agree."""

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

    def run(
        self, method: str, fold: int, data: Path, out: Path, cache: Path, settings: Settings | None = None
    ) -> SiamRun:
        """One run into `out`, with these settings instead of the plan's; a method's own change stays."""
        given = settings or {}
        network = {name: given[name] for name in asdict(self.network(SIAM)) if name in given}
        return SiamRun(
            data=str(data),
            out=str(out),
            network=replace(self.network(method), **network),
            optimisation=replace(self.optimisation, **{name: given[name] for name in given if name not in network}),
            method=method,
            fold=fold,
            folds=self.folds,
            seed=self.seed,
            cache=str(cache),
            frame_rate_hz=self.frame_rate_hz,
        )

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


def settings_of(searched: Path, plan: SiamPlan, dataset: Dataset) -> dict[str, Settings]:
    """What training.siam_search found best for each fold. Raises ConfigError where it is not about these folds."""
    try:
        record = json.loads(searched.read_text(encoding="utf-8"))
        found: dict[str, Settings] = record[FOUND]
        about = [record["plan"][name] for name in LIKE], record["data"]["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{searched} holds no finished search of training.siam_search: {error!r}") from error
    mine = json.loads(json.dumps([getattr(plan, name) for name in LIKE]))
    if about != (mine, dataset.digest):
        raise ConfigError(
            f"{searched} is about other folds, data or networks: search again with the options of the study"
        )
    return found


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """The options that say which data and how much of the protocol."""
    parser = argparse.ArgumentParser(prog=f"python -m training.{prog}", description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of UvA-NEMO, or a manifest")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="the chain in small: numbers without meaning")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--processes", type=count_from(1), help="default: one for each GPU, or for each core")
    add_options(parser)
    plan = parser.add_argument_group("instead of the plan's")
    plan.add_argument("--folds", type=count_from(2))
    plan.add_argument("--seed", type=count_from(0), help="of the folds and of the networks")
    plan.add_argument("--width", choices=(*WIDTHS, *LAYERS), help="those that are not exported cost least")
    plan.add_argument("--epochs", type=count_from(1))
    plan.add_argument("--rate", type=float, help="learning rate")
    plan.add_argument("--schedule", choices=get_args(Schedule), help="cosine falls to nothing within the epochs")
    plan.add_argument("--batch", type=count_from(1), help="clips")
    plan.add_argument(
        "--frame-rate", type=frame_rate_hz, dest="frame_rate_hz", metavar="HZ", help="of the sampling grid"
    )
    return parser


def plan_of(given: argparse.Namespace, methods: Sequence[str] | None = None) -> SiamPlan:
    """The plan, changed in what was given; a method that is named twice is one."""

    def changes(*names: str) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(given, name)) is not None}

    plan = TINY if given.tiny else FULL
    plan = plan.with_width(given.width) if given.width else plan
    optimisation = replace(plan.optimisation, **changes("epochs", "rate", "schedule", "batch"))
    methods = tuple(dict.fromkeys(methods or plan.methods))
    return replace(plan, methods=methods, optimisation=optimisation, **changes("folds", "seed", "frame_rate_hz"))
