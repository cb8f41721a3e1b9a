"""Processes and the GPUs that they are bound to, on a machine that has none."""

import os
import time
from pathlib import Path

import pytest
import torch

from training import parallel

PATIENCE_S = 120.0


def test_gpus_are_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, or those that the environment names; none without CUDA."""
    monkeypatch.delenv(parallel.VISIBLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert parallel.gpus() == ()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert parallel.gpus() == ("0", "1")
    monkeypatch.setenv(parallel.VISIBLE, "5,GPU-8f3a")
    assert parallel.gpus() == ("5", "GPU-8f3a")


def meet(place: Path) -> str | None:
    """What this process is bound to, told once the other one is there too, so that neither takes both jobs."""
    place.touch()
    end = time.monotonic() + PATIENCE_S
    while len(list(place.parent.iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    return os.environ.get(parallel.VISIBLE)


@pytest.mark.parametrize(
    ("gpus", "processes", "bound"),
    [(("5", "GPU-8f3a"), None, ["5", "GPU-8f3a"]), (("5",), 2, ["5", "5"]), ((), 2, [None, None])],
)
def test_each_process_is_bound_to_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: tuple[str, ...], processes: int | None, bound: list
) -> None:
    """One for each by default; more processes than GPUs share them; without any the environment stays as it is."""
    monkeypatch.delenv(parallel.VISIBLE, raising=False)
    jobs = [tmp_path / "one", tmp_path / "other"]
    found = parallel.run_all(meet, jobs, "jobs", processes, gpus=gpus)
    assert sorted(found, key=str) == bound
