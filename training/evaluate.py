"""Per-clip predictions -> the papers' tables (JSON, Markdown, HTML) and figures (PNG).

    python -m training.evaluate runs/study --out docs/results/study    # all predictions beneath the folder
    python -m training.evaluate docs/results/study --out again         # the same, from what the first one kept
    python -m training.evaluate a.jsonl b.jsonl --out docs/results

| file | holds |
|---|---|
| tables.json, tables.md, tables.html | training.tables: the printed numbers beside ours, tests, relations, effects |
| relations_age.png, relations_gender.png | training.figures: the most important pair and triplet of each group |
| predictions/age_full.predictions.jsonl and so on | every prediction, one file for each trait and method |
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from training import figures, predictions, tables
from training.ending import in_one_line
from training.predictions import FILE, RUNS, PredictionsError

KEPT = "predictions"


def found(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as the predictions of the runs beneath them or, without runs, as those that were kept.

    Raises:
        PredictionsError: a path does not exist, or a folder holds no predictions.
    """
    files = []
    for path in paths:
        beneath = sorted(path.rglob(FILE)) or sorted(path.rglob(f"*.{FILE}")) if path.is_dir() else [path]
        if not beneath or not path.exists():
            raise PredictionsError(f"{path}: no predictions here; training.study and training.train write them")
        files += beneath
    return files


def write(paths: Sequence[Path], folder: Path) -> None:
    """Write every table and figure that the predictions allow to `folder`, and the predictions beside them, in place of
    those of an earlier evaluation.

    Raises PredictionsError, before anything is written; OSError.
    """
    earlier = _earlier(paths, folder / KEPT)
    tables.write(paths, folder)
    figures.write(paths, folder)
    _pool(paths, folder / KEPT, earlier)


def _earlier(paths: Sequence[Path], folder: Path) -> list[Path]:
    """The files of predictions in a folder that were not given. Raises PredictionsError where others of it were."""
    given = {path.resolve() for path in paths}
    files = sorted(folder.glob(f"*.{FILE}"))
    others = [path for path in files if path.resolve() not in given]
    if others and len(others) < len(files):
        raise PredictionsError(
            f"{others[0]}: not among the files given of its folder: give all, or choose another --out"
        )
    return others


def _pool(paths: Sequence[Path], folder: Path, earlier: Sequence[Path]) -> None:
    """Write what some files hold as one file for each trait and method, in place of the earlier ones."""
    head, items = predictions.read(paths)
    origins: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in paths:
        part, found = predictions.read([path])
        for key in dict.fromkeys((item.trait, item.method) for item in found):
            origins.setdefault(key, []).extend(part.runs)
    for path in earlier:
        path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for (trait, method), runs in origins.items():
        mine = [item for item in items if (item.trait, item.method) == (trait, method)]
        header = replace(head, provenance={RUNS: runs})
        predictions.write(folder / f"{trait}_{method}.{FILE}", header, mine)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("predictions", type=Path, nargs="+", help="predictions.jsonl, or folders that hold some")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    with in_one_line():
        write(found(options.predictions), options.out)
    print(options.out / "tables.html")


if __name__ == "__main__":
    main()
