"""Ours against a public estimator (benchmarks.faceres) on the same faces: test stills of UTKFace.

    python -m benchmarks.public_estimator --model package/models/faceres.json --out docs/results/public_estimator.md

Ours is asked as the service is, for a second of H.264 that shows the still; the other one for the still itself, as its
archive holds it. Those that ours refuses are left out of both. Ours has learned from other stills of the same archive,
the other one from celebrities of the web, who may be among the test stills.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.faceres import SIDE_PX, FaceRes, UnknownGraph, read
from benchmarks.still_clips import answer_stills
from service.cli.opening import terminal_without_libraries
from training import ROOT, parallel, still_split, stills
from training.card_tables import Report, with_interval
from training.evaluate_clips import Answers, compare, score, sliced
from training.portraits import Source
from training.weights_evaluation import drawn_stills
from training.weights_plan import Plan

REPOSITORY = ROOT / "model_repository"
BATCH = 16
SLICES = ("decade", "gender_over_10", "race_label")


def answers_of(network: FaceRes, archive: Path, names: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Years (n,) and probability of female (n,) that `network` gives to images of the archive."""
    source = Source(archive)
    paths = {Path(entry.path).name: entry.path for entry in source.entries}
    years, female = [], []
    starts = range(0, len(names), BATCH)
    for at in parallel.progress(starts, f"public estimator, blocks of {BATCH} stills", len(starts)):
        chips = [cv2.resize(source.read(paths[name]), (SIDE_PX, SIDE_PX)) for name in names[at : at + BATCH]]
        found = network(torch.from_numpy(np.stack(chips)))
        years.append(found[0].double().numpy())
        female.append(found[1].double().numpy())
    return np.concatenate(years), np.concatenate(female)


def report(ours: Answers, other: Answers, data: stills.Stills, asked: int) -> str:
    """Tables of both, and of the differences, in Markdown.

    Args:
        asked: stills, those included that ours refused.
    """
    difference = compare(ours, other, data)
    both = {"ours": ours, "HSE-FaceRes": other}
    found = {name: sliced(answers, data, None) for name, answers in both.items()}
    parts = [
        "# Ours and a public estimator on the same faces\n",
        f"Written by benchmarks.public_estimator; do not edit. Of {asked} test stills of UTKFace ours refused "
        f"{asked - len(ours.rows)}, which are left out of both. Ours (int8, on the CPU) saw a second of H.264 that "
        "shows the still, HSE-FaceRes the still itself. Ours has learned from other stills of the same archive, the "
        "other one from VGGFace2 and IMDB-WIKI, whose celebrities may be among these. 95 % intervals by bootstrap over "
        "stills.\n",
        _table({name: score(answers, data) for name, answers in both.items()}),
        f"Ours minus HSE-FaceRes: MAE {with_interval(difference['mae'])} years, accuracy "
        f"{with_interval(difference['gender_accuracy'], 100, 1)} points.\n",
    ]
    for kind in SLICES:
        rows = {f"{part}, {name}": found[name][kind][part] for part in found["ours"][kind] for name in both}
        parts += [f"By {kind.replace('_', ' ')}:\n", _table(rows)]
    return "\n".join(parts)


def _table(rows: dict[str, Report]) -> str:
    lines = ["| | n | MAE | Bias | Accuracy % |", "|---|---|---|---|---|"]
    for name, found in rows.items():
        accuracy = with_interval(found["gender_accuracy"], 100, 1)
        lines.append(f"| {name} | {found['n']} | {with_interval(found['mae'])} | {found['bias']:+.2f} | {accuracy} |")
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.public_estimator", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--model", type=Path, required=True, help="faceres.json, its weights beside it")
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    parser.add_argument("--archive", type=Path, default=stills.ARCHIVE)
    parser.add_argument("--out", type=Path, help="where the tables are written, instead of standard output")
    options = parser.parse_args(arguments)
    try:
        network = read(options.model)
    except (UnknownGraph, OSError) as error:
        sys.exit(f"error: {error}")
    data = stills.load(options.archive)
    drawn = drawn_stills(still_split.load_split(data)["test"], Plan.seed)
    names = [str(name) for name in data.names[drawn]]
    with terminal_without_libraries():
        found = asyncio.run(answer_stills(options.repository, options.archive, names))
    years, female = answers_of(network, options.archive, names)
    answered = found["refused"] == ""
    ours, other = Answers(found["age"], found["female"], drawn), Answers(years, female, drawn)
    text = report(ours.picked(answered), other.picked(answered), data, len(names))
    if options.out:
        options.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
