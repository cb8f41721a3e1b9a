"""Is a planted lag in the features at all? It is read from them by plain arithmetic, without any network.

    python -m training.onsets runs/study-planted [--cache DIR]

The movement of a region is its strongest direction of change since the clip's first instants; its moment is the mean
time of that movement. A straight line through moments, fitted on the training subjects of each fold, then tells the
written age of the test clips. Where it does better than always saying the mean and networks do not, they did not learn
what is there to be learned. A first-order reading: it is no bound of what can be read.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smile.regions import NAMES, REGIONS
from training import datasets, feature_store, protocol
from training.datasets import DatasetError
from training.feature_store import CACHE, FeatureError, Features
from training.protocol import ProtocolError, Split

REST_INSTANTS = 3


def moment_s(features: NDArray[np.float32], times_s: NDArray[np.float64]) -> float:
    """When a region moved, in seconds: the mean time, weighted by the square of how far it is from rest.

    Args:
        features: (T, 2048) of one region.
        times_s: (T,).
    """
    moved = features - features[:REST_INSTANTS].mean(axis=0)
    centred = moved - moved.mean(axis=0)
    strengths, directions = np.linalg.eigh(centred @ centred.T)
    course = directions[:, -1] * np.sqrt(max(strengths[-1], 0.0))
    course = course - np.median(course[:REST_INSTANTS])
    if course.max() < -course.min():
        course = -course
    weights = np.square(np.clip(course / max(course.max(), 1e-9), 0, 1))
    return float((weights * times_s).sum() / max(weights.sum(), 1e-9))


def moments(features: Features) -> NDArray[np.float64]:
    """(clips, 9) seconds, in the order of the data set's clips."""
    found = []
    for clip in features.dataset.clips:
        regions = np.asarray(features.regions(clip), np.float32)
        times_s = features.times_s(clip)
        found.append([moment_s(regions[:, region.id], times_s) for region in REGIONS])
    return np.array(found)


def error_years(
    readings: NDArray[np.float64], ages: NDArray[np.float64], folds: NDArray[np.intp]
) -> tuple[float, float]:
    """Mean absolute error on clips that a line was not fitted on, and the share of the variance that it tells.

    Args:
        readings: (clips, K); none of them says the mean.
        ages, folds: (clips,) written age, and the fold in which it is tested.
    """
    inputs = np.column_stack([readings, np.ones(len(ages))])
    answers = np.empty(len(ages))
    for fold in np.unique(folds):
        tested = folds == fold
        line, *_ = np.linalg.lstsq(inputs[~tested], ages[~tested], rcond=None)
        answers[tested] = inputs[tested] @ line
    left = float(np.square(answers - ages).mean() / ages.var())
    return float(np.abs(answers - ages).mean()), 1 - left


def read(features: Features, split: Split, pair: tuple[int, int]) -> dict[str, dict[str, float]]:
    """What each reading tells, by name."""
    clips = features.dataset.clips
    ages = np.array([clip.age for clip in clips], np.float64)
    tested = {clip.name: fold for fold in range(len(split.folds)) for clip in split.sides(features.whole, fold).test}
    folds = np.array([tested[clip.name] for clip in clips])
    when = moments(features)
    first, second = when[:, pair[0]], when[:, pair[1]]
    readings: Mapping[str, NDArray[np.float64]] = {
        "the mean age": when[:, :0],
        "the moment of the first region": first[:, None],
        "the moment of the second region": second[:, None],
        "the lag between the two": (second - first)[:, None],
        "all nine moments": when,
    }
    return {
        name: dict(zip(("mae_years", "variance_told"), error_years(given, ages, folds), strict=True))
        for name, given in readings.items()
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.onsets", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of a finished training.study with a planted relation")
    parser.add_argument("--cache", type=Path, default=CACHE)
    given = parser.parse_args(arguments)
    try:
        plan: dict[str, Any] = json.loads((given.study / "study.json").read_text(encoding="utf-8"))["plan"]
        first, second = (NAMES.index(name) for name in plan["planted"] or ())
        dataset = datasets.read(given.study / "data")
        features = feature_store.load(dataset, given.study / "backbone", given.cache, plan["frame_rate_hz"])
        found = read(features, protocol.load(given.study / "folds.json"), (first, second))
    except (OSError, KeyError, ValueError, DatasetError, FeatureError, ProtocolError) as error:
        sys.exit(f"error: {given.study} is no study with a planted pair that can be read: {error}")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
