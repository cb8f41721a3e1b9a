"""The smoke test's judge: what it calls the same answer, and what it does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMPARE = Path(__file__).resolve().parents[2] / "docker/compare_answers.py"
AGE: dict[str, object] = {"years": 34.2, "interval": None, "pairs": [{"rank": 1, "regions": ["left_eye", "mouth"]}]}
ANSWER: dict[str, object] = {"request_id": "one", "age": AGE, "timings_ms": {"total": 12.5}}


def verdict(folder: Path, other: dict[str, object]) -> subprocess.CompletedProcess[str]:
    for name, document in (("a", ANSWER), ("b", other)):
        (folder / name).write_text(json.dumps(document))
    return subprocess.run([sys.executable, COMPARE, folder / "a", folder / "b"], capture_output=True, text=True)


def test_request_id_timings_and_rounding_do_not_count(tmp_path: Path) -> None:
    """Another request, another duration, half the tolerance: the same answer."""
    other: dict[str, object] = {"request_id": "two", "age": {**AGE, "years": 34.20005}, "timings_ms": {"total": 99.0}}
    assert verdict(tmp_path, other).returncode == 0


@pytest.mark.parametrize(
    "age",
    [
        {**AGE, "years": 34.2002},
        {**AGE, "interval": 1.0},
        {**AGE, "pairs": [{"rank": 1, "regions": ["left_eye", "chin"]}]},
        {**AGE, "pairs": []},
    ],
    ids=["number", "null", "name", "missing"],
)
def test_every_other_difference_counts(tmp_path: Path, age: dict[str, object]) -> None:
    """A number beyond the tolerance, a value for a null, another region, a missing entry: named, and status 1."""
    done = verdict(tmp_path, {**ANSWER, "age": age})
    assert done.returncode == 1
    assert "age." in done.stderr
