"""The mean of what several runs of training.backbone arrived at, one having begun with another's weights.

Their errors differ where they have learned single faces by heart, and the mean forgets those (model soup: Wortsman et
al. 2022). In the folder as in a run's: release/ and calibration.npz, and a line of validation in log.jsonl.

    python -m training.still_average RUN RUN ... --folder runs/mean
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from training import backbone, still_split, stills
from training.backbone_plan import Plan
from training.backbone_run import Run
from training.ending import in_one_line


def average(folders: Sequence[Path]) -> Run:
    """The last run, with the mean of the averages of all in place of its own."""
    states = [torch.load(folder / "state.pt", map_location="cpu", weights_only=True) for folder in folders]
    run = Run.start(Plan(**states[-1]["plan"]), torch.device("cpu"))
    run.resume(folders[-1] / "state.pt")
    run.average.load_state_dict(_mean([state["average"] for state in states]))
    run.begun = f"mean of {len(states)} runs, {run.begun}"
    return run


def _mean(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if last.is_floating_point() else last
        for name, last in states[-1].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of runs, the last one begun last")
    parser.add_argument("--folder", type=Path, required=True, help="for the mean")
    options = parser.parse_args()
    if len(options.runs) < 2:
        parser.error("a mean is of two runs at least")
    for folder in options.runs:
        if not (folder / "state.pt").exists():
            parser.error(f"{folder} holds no run of training.backbone: there is no state.pt in it")
    with in_one_line():
        data = stills.load()
        options.folder.mkdir(parents=True, exist_ok=True)
        backbone.release(average(options.runs), data, still_split.load_split(data), options.folder)


if __name__ == "__main__":
    main()
