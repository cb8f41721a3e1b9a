"""Command line: python -m export [--network fdin|siam] --checkpoint DIR | --untrained [--seed N] [--width ...]."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export import calibration, release, siam
from export.ladder import ExportError
from export.steps import GATE_FRAMES, export
from networks.checkpoint import CheckpointError
from networks.config import WIDTHS
from smile.tensors import BACKBONE, SIAM_FRAMES, Graph

MIN_CROPS = 64
"""Half of them to calibrate on, half to compare on."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when a version was published, 1 with one line on standard error when it was refused."""
    options = _parser().parse_args(argv)
    try:
        if options.network == "siam":
            _export_siam(options)
        else:
            _export_fdin(options)
    except (ExportError, CheckpointError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _export_fdin(options: argparse.Namespace) -> None:
    calibrating, held_out = _crops(options.calibration, BACKBONE, calibration.portrait_crops)
    if options.untrained:
        chosen = release.untrained(options.seed, options.width, calibrating)
    else:
        chosen = release.load(options.checkpoint)
    export(chosen, options.repository, calibrating, held_out, version=options.version)


def _export_siam(options: argparse.Namespace) -> None:
    calibrating, held_out = _crops(options.calibration, SIAM_FRAMES, calibration.portrait_faces)
    if options.untrained:
        chosen = siam.untrained(options.seed, options.width, calibrating)
    else:
        chosen = siam.load(options.checkpoint)
    siam.export(chosen, options.repository, calibrating, held_out, version=options.version)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description="Turn a checkpoint into a model repository.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--checkpoint", type=Path, help="directory with backbone/, age/, gender/ and card.json; or siam/"
    )
    source.add_argument("--untrained", action="store_true", help="seeded weights that were never trained")
    parser.add_argument("--network", choices=("fdin", "siam"), default="fdin", help="which network (default fdin)")
    parser.add_argument("--seed", type=int, default=0, help="of untrained weights (default 0)")
    parser.add_argument("--width", choices=WIDTHS, default="compact", help="of untrained networks (default compact)")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"), help="default: model_repository")
    parser.add_argument("--version", type=_version, help="instead of the next one, and newer than all others")
    parser.add_argument(
        "--calibration",
        type=Path,
        help=f".npz or directory of aligned crops, {GATE_FRAMES} of each clip together; default: a portrait, varied",
    )
    return parser


def _version(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number above 0")
    return int(text)


def _crops(
    path: Path | None, graph: Graph, of_portrait: Callable[..., NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Crops to calibrate on and crops to compare on."""
    if path is None:
        return of_portrait(seed=0), of_portrait(seed=1)
    crops = calibration.load_crops(path, graph)
    if len(crops) < MIN_CROPS:
        raise ValueError(f"{path} holds {len(crops)} crops, at least {MIN_CROPS} are needed")
    return calibration.dealt(crops)


if __name__ == "__main__":
    sys.exit(main())
