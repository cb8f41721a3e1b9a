"""Per-clip predictions: what evaluation writes and every table is computed from.

A file is JSON Lines. The first line is the header, each other line one clip as one method answers one trait:

    {"format": "smile-predictions/1", "data_set": "simulated smiles, seed 0", "simulated": true, "clips": 1240,
     "split": "<hash of the folds>", "provenance": {...}}
    {"clip": "001_deliberate_smile_2.mp4", "subject": "001", "age": 34, "gender": "female", "kind": "posed", "fold": 3,
     "trait": "age", "method": "full", "prediction": 36.2, "importance": [0.0281, ...],
     "zeroed": {"right_cheek": 41.9, "left_eye+forehead+right_eye": 38.0}}

Several files of one data set and one split may be read together, for instance one of each fold; training.evaluate makes
one of those of a method, whose provenance then lists theirs.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from networks.config import ABLATIONS, TRAITS
from smile.regions import NAMES, PAIRS
from smile.tensors import GENDERS
from training import siam_methods
from training.datasets import KINDS, Dataset
from training.whole import write_text

FORMAT = "smile-predictions/1"
FILE = "predictions.jsonl"
RUNS = "runs"
"""Key of the provenance under which a pooled file lists those of its parts."""
METHODS = (*ABLATIONS, *siam_methods.METHODS)
DIGITS = 6
"""Significant digits that are written."""


class PredictionsError(ValueError):
    """Predictions that contradict themselves or each other. The message names the file and the line."""


@dataclass(frozen=True)
class Header:
    """What the predictions are about.

    Attributes:
        data_set: name of the data set, as every caption shows it.
        simulated: the clips show no real smile.
        clips: how many the data set has; a method with fewer predictions is reported as incomplete.
        split: hash of the folds.
        provenance: whatever tells how the predictions came about (commit, seeds, command); kept as it is.
    """

    data_set: str
    simulated: bool
    clips: int
    split: str
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The provenance of each run behind the predictions."""
        return self.provenance.get(RUNS, [self.provenance])

    @property
    def about(self) -> dict[str, Any]:
        """What stands at the top of a report: of the provenance the commits alone."""
        commits = sorted({str(run.get("commit")) for run in self.runs})
        return asdict(replace(self, provenance={})) | {"commits": ", ".join(commits)}


@dataclass(frozen=True)
class Prediction:
    """One clip, answered by a network that was not trained on it.

    Attributes:
        clip, subject, age, gender, kind: name and true labels of the clip (training.datasets.Clip).
        fold: the fold in which it was tested, from 0.
        trait: age or gender.
        method: key of the network, one of METHODS.
        prediction: years for age, probability of female for gender.
        importance: of each pair, in the order of smile.regions.PAIRS; None where the network has none.
        zeroed: the prediction after the dynamic features of some regions were set to zero; `zeroed_key` makes the keys.
    """

    clip: str
    subject: str
    age: int
    gender: str
    kind: str
    fold: int
    trait: str
    method: str
    prediction: float
    importance: tuple[float, ...] | None = None
    zeroed: dict[str, float] = field(default_factory=dict)

    def error(self, prediction: float | None = None) -> float:
        """Absolute error in years; `prediction` stands in for the undisturbed one."""
        return abs((self.prediction if prediction is None else prediction) - self.age)

    @property
    def labelled(self) -> str:
        """The gender that the probability stands for; an exact half counts as male, as argmax does."""
        return GENDERS[self.prediction > 0.5]

    @property
    def correct(self) -> bool:
        return self.labelled == self.gender


def zeroed_key(regions: Iterable[str]) -> str:
    """Names of regions -> key of `Prediction.zeroed`: joined by "+", in the order of smile.regions.REGIONS."""
    return "+".join(sorted(regions, key=NAMES.index))


def header(dataset: Dataset, split: str, provenance: dict[str, Any] | None = None) -> Header:
    return Header(dataset.name, dataset.simulated, len(dataset.clips), split, provenance or {})


def write(path: Path, header: Header, predictions: Sequence[Prediction]) -> None:
    """Write one file, whole or not at all. Raises PredictionsError for a line that `read` would refuse by itself."""
    lines = [json.dumps({"format": FORMAT} | asdict(header))]
    for number, prediction in enumerate(predictions, start=2):
        _check(path, number, prediction)
        record = asdict(prediction)
        record["prediction"] = rounded(prediction.prediction)
        record["importance"] = prediction.importance and [rounded(value) for value in prediction.importance]
        record["zeroed"] = {key: rounded(value) for key, value in prediction.zeroed.items()}
        lines.append(json.dumps({key: value for key, value in record.items() if value not in (None, {})}))
    write_text(path, "\n".join(lines) + "\n")


def read(paths: Sequence[Path]) -> tuple[Header, list[Prediction]]:
    """All predictions of some files, sorted by trait, method and clip.

    Raises PredictionsError where files are of different data sets or splits, a clip is predicted twice by one method,
    a clip's labels or fold differ, a person is in two folds or of two genders, or a method has more predictions than
    the data set has clips; OSError where a file cannot be opened.
    """
    merged: Header | None = None
    places: dict[tuple[str, str, str], str] = {}
    labels: dict[str, tuple[object, ...]] = {}
    people: dict[str, tuple[int, str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    found: list[Prediction] = []
    runs: list[dict[str, Any]] = []
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines()
        head = _header(path, lines[0] if lines else "")
        merged = merged or head
        runs += head.runs
        for name in ("data_set", "simulated", "clips", "split"):
            if getattr(head, name) != getattr(merged, name):
                ours, theirs = getattr(head, name), getattr(merged, name)
                raise PredictionsError(f"{path}:1: {name} is {ours!r}, but {theirs!r} in {paths[0]}")
        for number, line in enumerate(lines[1:], start=2):
            item = _prediction(path, number, line)
            key = (item.trait, item.method, item.clip)
            if key in places:
                raise PredictionsError(f"{path}:{number}: {' '.join(key)} is predicted already in {places[key]}")
            places[key] = f"{path}:{number}"
            label, person = (item.subject, item.age, item.gender, item.kind, item.fold), (item.fold, item.gender)
            counts[item.trait, item.method] += 1
            problem = None
            if labels.setdefault(item.clip, label) != label:
                problem = f"labels or fold of {item.clip} differ from another line's"
            elif people.setdefault(item.subject, person) != person:
                problem = f"fold or gender of subject {item.subject} differ from another line's"
            elif counts[item.trait, item.method] > head.clips:
                problem = f"{item.trait} {item.method} has more predictions than the data set has clips, {head.clips}"
            if problem:
                raise PredictionsError(f"{path}:{number}: {problem}")
            found.append(item)
    if merged is None:
        raise PredictionsError("no file of predictions was given")
    merged = replace(merged, provenance=runs[0] if len(runs) == 1 else {RUNS: runs})
    return merged, sorted(found, key=lambda item: (item.trait, item.method, item.clip))


def _header(path: Path, line: str) -> Header:
    try:
        record = json.loads(line)
        if record.pop("format") != FORMAT:
            raise ValueError("another format")
        head = Header(**record)
        if not _is_count(head.clips):
            raise ValueError(f"clips is {head.clips!r}")
        return head
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PredictionsError(f"{path}:1: not the header of a file of format {FORMAT}: {error}") from error


def _prediction(path: Path, number: int, line: str) -> Prediction:
    try:
        record = json.loads(line)
        if record.get("importance") is not None:
            record["importance"] = tuple(record["importance"])
        item = Prediction(**record)
        _check(path, number, item)
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise PredictionsError(f"{path}:{number}: not a prediction: {error}") from error
    return item


def _check(path: Path, number: int, item: Prediction) -> None:
    allowed = {"trait": TRAITS, "method": METHODS, "gender": GENDERS, "kind": KINDS}
    problem = None
    for name, values in allowed.items():
        if getattr(item, name) not in values:
            problem = f"{name} {getattr(item, name)!r} is not one of {', '.join(values)}"
    for name in ("age", "fold"):
        if not _is_count(getattr(item, name)):
            problem = f"{name} {getattr(item, name)!r} is not a whole number from 0"
    for name in ("clip", "subject"):
        if not isinstance(getattr(item, name), str):
            problem = f"{name} {getattr(item, name)!r} is not text"
    answers = (item.prediction, *item.zeroed.values())
    shares = item.importance
    if not all(_is_finite(answer) for answer in answers):
        problem = "a prediction is not a finite number"
    elif item.trait == "gender" and not all(0 <= answer <= 1 for answer in answers):
        problem = "a probability is outside 0 to 1"
    if shares is not None and not (
        len(shares) == len(PAIRS)
        and all(_is_finite(share) and share >= 0 for share in shares)
        and abs(sum(shares) - 1) <= 1e-3
    ):
        problem = f"importance must be {len(PAIRS)} numbers from 0 whose sum is 1"
    for key in item.zeroed:
        if not set(key.split("+")) <= set(NAMES) or key != zeroed_key(key.split("+")):
            problem = f"{key!r} does not name regions in their order, joined by +"
    if problem:
        raise PredictionsError(f"{path}:{number}: {item.clip}: {problem}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def rounded(value: float) -> float:
    """As files keep it."""
    return float(f"{value:.{DIGITS}g}")
