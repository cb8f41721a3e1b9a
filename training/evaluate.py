"""Per-clip predictions -> the papers' tables (JSON, Markdown, HTML) and figures (PNG).

    python -m training.evaluate runs/study --out docs/results      # every predictions.jsonl beneath the folder
    python -m training.evaluate a.jsonl b.jsonl --out docs/results

| file | holds |
|---|---|
| tables.json, tables.md, tables.html | training.tables: the printed numbers beside ours, tests, relations, effects |
| relations_age.png, relations_gender.png | training.figures: the most important pair and triplet of each group |
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from training import figures, tables, train
from training.predictions import PredictionsError


def found(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as the predictions beneath them.

    Raises:
        PredictionsError: a path does not exist, or a folder holds no predictions.
    """
    files = []
    for path in paths:
        beneath = sorted(path.rglob(train.PREDICTIONS)) if path.is_dir() else [path]
        if not beneath or not path.exists():
            raise PredictionsError(f"{path}: no predictions here; training.study and training.train write them")
        files += beneath
    return files


def write(paths: Sequence[Path], folder: Path) -> None:
    """Write every table and figure that the predictions allow to `folder`. Raises PredictionsError, OSError."""
    tables.write(paths, folder)
    figures.write(paths, folder)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("predictions", type=Path, nargs="+", help="predictions.jsonl, or folders that hold some")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        write(found(options.predictions), options.out)
    except (PredictionsError, OSError) as error:
        sys.exit(f"error: {error}")
    print(options.out / "tables.html")


if __name__ == "__main__":
    main()
