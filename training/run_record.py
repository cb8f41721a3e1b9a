"""run.json: what a run was applied to. Another run cannot take its directory, nor can another process while it is
trained; a change of the data is noticed."""

import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only

from networks import checkpoint
from training import run_config
from training.feature_store import Features
from training.protocol import Split
from training.run_config import ConfigError, RunConfig
from training.whole import write_text

FILE = "run.json"
LOCK = "lock"
APPLIED = ("config", "data", "split", "features")
"""Parts of a record that make it another run where they differ."""
PLACES = {f"config.{name}" for name in ("data", "split", "backbone", "cache", "out")}
"""Paths, each of which may be spelled in several ways; what lies there is compared instead."""


def of(config: RunConfig, features: Features, split: Split) -> dict[str, Any]:
    return {
        "config": config.to_dict(),
        "commit": run_config.commit(),
        "data": {
            "name": features.whole.name,
            "digest": features.whole.digest,
            "content": features.content,
            "skipped": sorted(features.skipped),
        },
        "split": split.hash,
        "features": asdict(features.recipe),
        "backbone": _source(Path(config.backbone)),
        "versions": {"torch": torch.__version__, "lightning": version("lightning")},
    }


def changed(record: dict[str, Any], features: Features, split: Split) -> list[str]:
    """What is not as it was when the run of this record was trained."""
    data = record["data"]
    trained = {"data": data["digest"], "content": data.get("content"), **{k: record[k] for k in ("split", "features")}}
    now = {
        "data": features.whole.digest,
        "content": features.content,
        "split": split.hash,
        "features": asdict(features.recipe),
    }
    return [name for name, value in now.items() if trained[name] != value]


def claim(path: Path, record: dict[str, Any]) -> None:
    """Write the record, or see that the one that is there is of the same run. The commit may have moved on.

    Raises ConfigError, which names the keys that differ.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1) + "\n"
    if path.exists():
        before, now = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
        found = (name for key in APPLIED for name in _differing(before.get(key), now.get(key), key))
        if differing := [name for name in found if name not in PLACES]:
            raise ConfigError(f"{path.parent} holds another run: {', '.join(differing)} differ; choose another `out`")
        return
    write_text(path, text)


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """No other process trains in this directory meanwhile; of those that share one run, the first holds it.

    The lock is the process's own: it ends with it, however that ends, and a forked reader of batches has none.
    Raises ConfigError where another process trains there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / LOCK, "w") as file:
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise ConfigError(f"another process trains the run in {directory}") from error
            except OSError as error:  # of a shared disk without locks
                print(f"{directory} cannot be locked ({error}): let one process train there", file=sys.stderr)
        yield


def _differing(before: Any, now: Any, name: str) -> Iterator[str]:
    """Dotted names of the keys beneath `name` whose values are not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before | now:
            yield from _differing(before.get(key), now.get(key), f"{name}.{key}")
    elif before != now:
        yield name


def _source(backbone: Path) -> str | None:
    """Where the weights of the backbone come from, in words; None where its checkpoint has gone."""
    try:
        source: str = json.loads((backbone / checkpoint.CONFIG).read_text(encoding="utf-8"))["config"]["source"]
    except (OSError, ValueError, KeyError):
        return None
    return source
