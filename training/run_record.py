"""run.json: what a run was applied to. Another run cannot take its directory; a change of the data is noticed."""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from networks import checkpoint
from training import run_config
from training.feature_store import Features
from training.protocol import Split
from training.run_config import ConfigError, RunConfig
from training.whole import write_text

FILE = "run.json"


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
    """Write the record, or see that the one that is there is of the same run. The commit may have moved on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        differing = [key for key in ("config", "data", "split", "features") if before.get(key) != record.get(key)]
        if differing:
            raise ConfigError(f"{path.parent} holds another run: {', '.join(differing)} differ; choose another `out`")
        return
    write_text(path, json.dumps(record, indent=1) + "\n")


def _source(backbone: Path) -> str | None:
    """Where the weights of the backbone come from, in words; None where its checkpoint has gone."""
    try:
        source: str = json.loads((backbone / checkpoint.CONFIG).read_text(encoding="utf-8"))["config"]["source"]
    except (OSError, ValueError, KeyError):
        return None
    return source
