"""What defines one training run: one trait, one ablation, one fold. A YAML file holds it; a JSON file keeps it."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from networks.config import ABLATIONS, TRAITS, WIDTHS, Ablation, NetworkConfig, Trait, Width, network_config
from smile.sampling import FRAME_RATE_HZ, FRAME_RATE_RANGE_HZ
from training.feature_store import CACHE
from training.optimisation import Optimisation

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


class ConfigError(ValueError):
    """A configuration that cannot be used. The message names the file and the key."""


@dataclass(frozen=True)
class RunConfig:
    """One run. Paths are relative to the working directory.

    Attributes:
        data: folder of UvA-NEMO, or a manifest.
        split: folds as training.protocol writes them.
        backbone: checkpoint directory of the backbone whose features are cached in `cache`.
        out: directory of the run, made if it is absent.
        fold: the fold that is tested, from 0.
        layers: sizes and dropout rates of networks.config.NetworkConfig that differ from those of `width`.
        precision: of the training step, as Lightning names it; "auto" is bf16-mixed where the hardware has bfloat16
            (training.precision), else 32-true. Predictions are made in float32.
        accelerator, devices, nodes: as Lightning understands them; `optimisation.batch` is shared among all devices.
        workers: processes that read batches ahead.
    """

    data: str
    split: str
    backbone: str
    out: str
    trait: Trait
    ablation: Ablation = "full"
    width: Width = "paper"
    fold: int = 0
    layers: dict[str, Any] | None = None
    optimisation: Optimisation = Optimisation()
    seed: int = 0
    cache: str = str(CACHE)
    frame_rate_hz: float = FRAME_RATE_HZ
    precision: Precision = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        allowed = {"trait": TRAITS, "ablation": ABLATIONS, "width": WIDTHS, "precision": get_args(Precision)}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {', '.join(values)}")
        for name, least in (("fold", 0), ("devices", 1), ("nodes", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, not an integer from {least}")
        for name in ("steadiness", "distillation"):
            if self.ablation == "image_cnn" and getattr(self.optimisation, name):
                raise ValueError(f"optimisation.{name} is of sequences, which 'image_cnn' has not")
        slowest, fastest = FRAME_RATE_RANGE_HZ
        if not slowest <= self.frame_rate_hz <= fastest:
            raise ValueError(f"frame_rate_hz is {self.frame_rate_hz}, not from {slowest:g} to {fastest:g}")

    @property
    def network(self) -> NetworkConfig:
        return replace(network_config(self.trait, self.width, self.ablation), **(self.layers or {}))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read(path: Path, changes: Sequence[str] = ()) -> RunConfig:
    """A configuration from YAML. Raises ConfigError.

    Args:
        changes: `key=value` in place of the file's, or `key.inner=value` for one key of a mapping; values are YAML.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a mapping of keys to values")
    for change in changes:
        _change(values, change)
    return from_dict(values, str(path))


def from_dict(values: dict[str, Any], source: str) -> RunConfig:
    """Inverse of `RunConfig.to_dict`. Raises ConfigError, naming `source` and the key."""
    values = dict(values)
    optimisation = values.pop("optimisation", None) or {}
    _check(source, "", values, RunConfig)
    _check(source, "optimisation.", optimisation, Optimisation)
    if missing := [name for name in ("data", "split", "backbone", "out", "trait") if name not in values]:
        raise ConfigError(f"{source}: {', '.join(missing)} missing")
    try:
        config = RunConfig(**values, optimisation=Optimisation(**optimisation))
        config.network  # noqa: B018 - its layers are checked here
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{source}: {error}") from error
    return config


def commit() -> str | None:
    """Commit of the checkout, with "-changed" where files differ from it; None outside a checkout."""
    root = Path(__file__).parent
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("-changed" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Takes 1e-3 and 1.5e3 for numbers, as YAML 1.2 does; in PyYAML's 1.1 they are text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+\.?\d*e[-+]?\d+\Z", re.I), list("-+0123456789")
)


def _change(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals:
        raise ConfigError(f"{change!r} is not KEY=VALUE")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of {change!r} is not YAML") from error
    outer, dot, inner = key.partition(".")
    if not dot:
        values[key] = value
        return
    mapping = values.get(outer) or {}
    if not isinstance(mapping, dict):
        raise ConfigError(f"{outer} is {mapping!r}: it has no {inner}")
    values[outer] = mapping | {inner: value}


def _check(source: str, prefix: str, values: Any, cls: type) -> None:
    """Names and plain types of the keys."""
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: {prefix or 'the file'} is not a mapping")
    known = {field.name: field for field in fields(cls)}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"{source}: {prefix}{name} is unknown; known are {', '.join(known)}")
        wanted = known[name].type
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            continue
        if wanted in (int, float, str) and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise ConfigError(f"{source}: {prefix}{name} is {value!r}, not {wanted.__name__}")
