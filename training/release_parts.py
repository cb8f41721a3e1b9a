"""What the runs that end in released weights (training.weights, training.siam_weights) have in common."""

import ctypes
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.ladder import ExportError
from networks import checkpoint
from training import ROOT, shipped, stills, train

TRAINED_ON = (
    "UTKFace stills (appearance real, labels apparent) and smiles simulated on them (movement invented); "
    "no recorded smile was seen"
)
LICENCE = "non-commercial research only, as the training data (UTKFace)"
PR_SET_PDEATHSIG = 1
END_WITH_PARENT = (
    partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGTERM) if sys.platform == "linux" else None
)
"""Called in a child: Linux ends it with a parent that is killed, beside whose next run it would work else."""
CALIBRATION_CLIPS = 48
"""Training smiles on which int8 ranges are chosen; precisions are compared on as many others."""
Failure = (*train.Failure, ExportError, shipped.NotShipped, subprocess.CalledProcessError)
"""What ends a run with one line, besides what training.ending takes for a failure of any command."""


def python(module: str, *arguments: str) -> None:
    """Run a module of the project in a process of its own, which on Linux ends when this one does.

    There Ctrl-C reaches the child through this process, which waits for it to end.

    Raises:
        CalledProcessError: it failed.
    """
    print(f"{module} {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, stills.VARIABLE: str(stills.ARCHIVE)}
    apart = END_WITH_PARENT is not None
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, start_new_session=apart, preexec_fn=END_WITH_PARENT
    ) as child:
        try:
            status = child.wait()
        except KeyboardInterrupt:
            if apart:
                os.killpg(child.pid, signal.SIGINT)
            child.wait()
            raise
    if status:
        raise subprocess.CalledProcessError(status, command)


def evenly(frames: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """`count` of the frames of a clip, evenly spaced over it."""
    return frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]


def provenance_of(directory: Path) -> dict[str, Any]:
    """What a checkpoint directory, or the directory of a run, says about its training."""
    folder = directory if (directory / checkpoint.CONFIG).exists() else directory / "network"
    return json.loads((folder / checkpoint.CONFIG).read_text())["provenance"]


def licence_of(backbone: dict[str, Any], of_data: str = LICENCE) -> str:
    """Of released weights: that of the training data, and of the weights that the backbone, by its provenance, began
    with."""
    begun = backbone.get("licence")
    if not begun:
        return of_data
    return begun if begun.startswith(of_data) else f"{of_data}; backbone begun with weights under {begun}"


def size_of(repository: Path) -> int:
    """Bytes of its files."""
    return sum(path.stat().st_size for path in repository.rglob("*") if path.is_file())
