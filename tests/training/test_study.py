"""The whole chain in small, through the command line."""

import json
import subprocess
import sys
from pathlib import Path

from networks.config import ABLATIONS, TRAITS
from training import predictions

ROOT = Path(__file__).resolve().parents[2]


def test_tiny_study_runs_from_nothing_to_tables(tmp_path: Path) -> None:
    """Simulate, cache, split, train every network of both traits, tabulate; then again, and nothing is repeated."""
    out = tmp_path / "study"
    command = [sys.executable, "-m", "training.study", "--tiny", "--out", str(out), "--cache", str(tmp_path / "cache")]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr[-3000:]
    files = sorted((out / "runs").rglob("predictions.jsonl"))
    assert len(files) == len(TRAITS) * len(ABLATIONS) * 2
    head, items = predictions.read(files)
    assert head.simulated and head.clips == 40
    assert len(items) == 40 * len(TRAITS) * len(ABLATIONS)
    tables = (out / "tables/tables.md").read_text()
    assert "simulated" in tables and "P0 Table 2" in tables
    assert (out / "tables/relations_age.png").stat().st_size > 10_000
    record = json.loads((out / "study.json").read_text())
    assert record["failed"] == [] and set(record["seconds"]) == {"simulation", "features", "training", "tables"}
    stamps = [path.stat().st_mtime_ns for path in files]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr[-3000:]
    assert [path.stat().st_mtime_ns for path in files] == stamps
