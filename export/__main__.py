"""Command line: python -m export --checkpoint DIR | --untrained [--seed N] [--width compact|paper]."""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export import calibration, release
from export.ladder import ExportError
from export.steps import export
from networks.checkpoint import CheckpointError
from networks.config import WIDTHS

MIN_CROPS = 64
"""Half of them to calibrate on, half to compare on."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when a version was published, 1 with one line on standard error when it was refused."""
    options = _parser().parse_args(argv)
    try:
        calibrating, held_out = _crops(options.calibration)
        if options.untrained:
            chosen = release.untrained(options.seed, options.width, calibrating)
        else:
            chosen = release.load(options.checkpoint)
        export(chosen, options.repository, calibrating, held_out, version=options.version)
    except (ExportError, CheckpointError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description="Turn a checkpoint into a model repository.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="directory with backbone/, age/, gender/ and card.json")
    source.add_argument("--untrained", action="store_true", help="seeded weights that were never trained")
    parser.add_argument("--seed", type=int, default=0, help="of untrained weights (default 0)")
    parser.add_argument("--width", choices=WIDTHS, default="compact", help="of untrained networks (default compact)")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"), help="default: model_repository")
    parser.add_argument("--version", type=int, help="instead of the next one")
    parser.add_argument(
        "--calibration", type=Path, help=".npz or directory of aligned crops; default: a portrait, varied"
    )
    return parser


def _crops(path: Path | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Crops to calibrate on and crops to compare on: given ones are dealt out in turn."""
    if path is None:
        return calibration.portrait_crops(seed=0), calibration.portrait_crops(seed=1)
    crops = calibration.load_crops(path)
    if len(crops) < MIN_CROPS:
        raise ValueError(f"{path} holds {len(crops)} crops, at least {MIN_CROPS} are needed")
    return crops[::2], crops[1::2]


if __name__ == "__main__":
    sys.exit(main())
