"""Results of many clips: a row for each, in CSV or JSON lines, that an interrupted run leaves whole and goes on from.

A row is final: a clip that has one is not read again. CSV has the columns of COLUMNS; a JSON line is
{"clip", "sha256", "prediction": as `POST /predict` answers or null, "error": {"code", "message"} or null}.
"""

import csv
import fcntl
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from service import schemas
from service.cli.exits import Refused, Unwritable, Usage


@dataclass(frozen=True)
class Result:
    """What became of one clip: either `prediction` or `refusal`. `sha256` is empty where it could not be read."""

    clip: str
    sha256: str
    prediction: schemas.Prediction | None
    refusal: Refused | None


COLUMNS = (
    "clip",
    "sha256",
    "age_years",
    "age_low",
    "age_high",
    "age_coverage",
    "gender",
    "gender_probability",
    "age_pair",
    "age_pair_importance",
    "gender_pair",
    "gender_pair_importance",
    "siam_age_years",
    "siam_age_low",
    "siam_age_high",
    "siam_age_coverage",
    "disagreement_years",
    "duration_s",
    "frames_used",
    "smile_amplitude",
    "warnings",
    "model",
    "model_version",
    "siam_model",
    "siam_model_version",
    "error_code",
    "error_message",
)
"""Of the CSV. Regions of the first pair are joined by `+`, warning codes by spaces; what does not apply is empty."""


def flat(result: Result) -> dict[str, object]:
    """The row of the CSV."""
    row: dict[str, object] = {"clip": result.clip, "sha256": result.sha256}
    if result.refusal:
        row |= {"error_code": result.refusal.code, "error_message": " ".join(str(result.refusal).split())}
    if not (answer := result.prediction):
        return row
    row |= {
        "duration_s": answer.clip.duration_s,
        "frames_used": answer.clip.frames_used,
        "smile_amplitude": answer.clip.smile.amplitude,
        "warnings": " ".join(warning.code for warning in answer.clip.warnings),
        "model": answer.model.name,
        "model_version": answer.model.version,
    }
    if age := answer.age:
        row |= {**_years("age", age), **_first("age", age.pairs)}
    if gender := answer.gender:
        row |= {"gender": gender.label, "gender_probability": gender.probability, **_first("gender", gender.pairs)}
    if siam := answer.siam:
        row |= {
            **_years("siam_age", siam.age),
            "siam_model": siam.model.name,
            "siam_model_version": siam.model.version,
        }
    if apart := answer.disagreement:
        row |= {"disagreement_years": apart.years}
    return row


def _years(of: str, age: schemas.Age | schemas.SiamAge) -> dict[str, object]:
    found: dict[str, object] = {f"{of}_years": age.years}
    if age.interval:
        low, high, coverage = age.interval.low, age.interval.high, age.interval.coverage
        found |= {f"{of}_low": low, f"{of}_high": high, f"{of}_coverage": coverage}
    return found


def _first(trait: str, pairs: list[Any]) -> dict[str, object]:
    return {f"{trait}_pair": "+".join(pairs[0].regions), f"{trait}_pair_importance": pairs[0].importance}


def _csv_line(row: dict[str, object]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerow(row)
    return text.getvalue()


HEADER = _csv_line({column: column for column in COLUMNS})


def csv_line(result: Result) -> str:
    return _csv_line(flat(result))


def json_line(result: Result) -> str:
    refusal, prediction = result.refusal, result.prediction
    fields = {
        "clip": result.clip,
        "sha256": result.sha256,
        "prediction": prediction.model_dump(mode="json") if prediction else None,
        "error": {"code": refusal.code, "message": str(refusal)} if refusal else None,
    }
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _csv_rows(lines: Iterator[str]) -> Iterator[tuple[str, bool]]:
    if next(lines, "") != HEADER:
        raise ValueError("other columns")
    yield from ((row["clip"], bool(row["error_code"])) for row in csv.DictReader(lines, COLUMNS, strict=True))


def _json_rows(lines: Iterator[str]) -> Iterator[tuple[str, bool]]:
    yield from ((row["clip"], row["error"] is not None) for row in map(json.loads, lines))


@dataclass(frozen=True)
class Form:
    line: Callable[[Result], str]
    rows: Callable[[Iterator[str]], Iterator[tuple[str, bool]]]
    """The clip of each line, and whether it was refused."""
    header: str


def _unix(line: bytes) -> str:
    """As it was written, where an editor put Windows line ends."""
    return line.decode().replace("\r\n", "\n")


FORMS = {".csv": Form(csv_line, _csv_rows, HEADER), ".jsonl": Form(json_line, _json_rows, "")}


class ResultsFile:
    """Rows at `path`, for one process at a time. `done`: clips that have a row, and whether they were refused."""

    def __init__(self, path: Path) -> None:
        """Raises Usage where `path` is of neither form, is written by another process, or holds something else."""
        if path.suffix.lower() not in FORMS:
            raise Usage(f"{path}: results are written as {' or '.join(FORMS)}")
        self._form = FORMS[path.suffix.lower()]
        try:
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        except OSError as error:
            raise Unwritable(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.done = self._read()
        except (BlockingIOError, ValueError, LookupError, TypeError, csv.Error) as error:
            self._file.close()
            if isinstance(error, BlockingIOError):
                raise Usage(f"{path}: another run writes to it") from error
            raise Usage(f"{path}: holds something else than results of this version; choose another name") from error

    def _read(self) -> dict[str, bool]:
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            whole = sum(len(line) for line in lines if line.endswith(b"\n"))
        size = self._file.tell()
        self._file.seek(0)
        if not size:
            self._append(self._form.header)
            return {}
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            done = dict(self._form.rows(_unix(line) for line in lines if line.endswith(b"\n")))
        if not whole:
            raise ValueError("not one whole row")
        self._file.truncate(whole)  # half a row of a run that was killed
        self._file.seek(whole)
        return done

    def write(self, result: Result) -> None:
        """Append a row, whole or not at all. Raises Unwritable."""
        self._append(self._form.line(result))

    def _append(self, line: str) -> None:
        start, left = self._file.tell(), memoryview(line.encode())
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._file.truncate(start)
            raise Unwritable(f"results: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
