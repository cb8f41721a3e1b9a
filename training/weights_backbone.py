"""The backbone that released weights stand on: trained where there is none, and scored on the test stills."""

import json
from pathlib import Path
from typing import Any

from networks import checkpoint
from training import ROOT
from training.corruptions import CORRUPTIONS
from training.evaluate_stills import weights_digest
from training.release_parts import provenance_of, python
from training.still_network import HEAD

BACKBONE = ROOT / "runs/backbone/release"


def still_report(backbone: Path) -> dict[str, Any] | None:
    """The backbone's own evaluation on test stills, where it is of these weights and holds every corruption."""
    path = backbone.parent / "evaluation_test.json"
    if not path.exists():
        return None
    report: dict[str, Any] = json.loads(path.read_text())
    is_of_these = report.get("weights") == weights_digest(backbone)
    return report if is_of_these and report.keys() >= CORRUPTIONS.keys() else None


def finish_backbone(directory: Path) -> None:
    """Train the backbone where that is not finished; resumable."""
    path = directory / checkpoint.CONFIG
    if not path.exists() or provenance_of(directory).get("progress", 0) < 1:
        python("training.backbone", "--folder", str(directory.parent))


def judge_backbone(directory: Path) -> None:
    """Score the backbone on the test stills by its own head, which is fitted where there is none."""
    if not (directory / HEAD).exists():
        python("training.still_head", str(directory))
    if still_report(directory) is None:
        python("training.evaluate_stills", "--part", "test", "--folder", str(directory))
