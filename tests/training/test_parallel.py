"""Processes: the GPUs that they are bound to, on a machine that has none, and how they end."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from training import parallel
from training.ending import in_one_line

ROOT = Path(__file__).resolve().parents[2]
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


def stubborn(place: Path) -> None:
    """A job that Ctrl-C in its own process ends as Lightning ends a training: by an exception, others wait."""
    place.mkdir()
    try:
        time.sleep(PATIENCE_S)
    except KeyboardInterrupt:
        sys.exit(1)


def command(folder: Path) -> None:
    with in_one_line():
        list(parallel.run_all(stubborn, [folder / str(number) for number in range(4)], "jobs", 1))


def test_an_interrupt_begins_no_further_job(tmp_path: Path) -> None:
    """Ctrl-C at a prompt reaches every process: the one job ends at once, none of the others is begun, one line is
    told."""
    code = f"from pathlib import Path; from {__name__} import command; command(Path({str(tmp_path)!r}))"
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background job has it ignored
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=heeding,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        while not (tmp_path / "0").exists() and child.poll() is None:
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGINT)
        _, told = child.communicate(timeout=PATIENCE_S)
    assert (child.returncode, told) == (130, "interrupted: what is finished is kept, run it again to go on\n")
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
