"""Files of predictions that contradict themselves are refused by line, and no stale ones stay beside new ones."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smile.regions import PAIRS
from training import evaluate, predictions
from training.predictions import Header, Prediction, PredictionsError

HEADER = Header("drawn", True, 2, "0", {"commit": "abc"})
ITEM = Prediction("a.mp4", "s", 34, "female", "posed", 0, "age", "full", 36.5)
SHARES = [1 / len(PAIRS)] * len(PAIRS)


def written(path: Path, items: list[Prediction], header: Header = HEADER, **change: Any) -> Path:
    """A file of predictions whose last line is changed."""
    predictions.write(path, header, items)
    *lines, last = path.read_text().splitlines()
    path.write_text("\n".join([*lines, json.dumps(json.loads(last) | change)]) + "\n")
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"clip": 7}, "clip 7 is not text"),
        ({"subject": 7}, "subject 7 is not text"),
        ({"age": "34"}, "age '34' is not a whole number from 0"),
        ({"age": -1}, "age -1 is not a whole number from 0"),
        ({"fold": "0"}, "fold '0' is not a whole number from 0"),
        ({"fold": True}, "fold True is not a whole number from 0"),
        ({"prediction": True}, "a prediction is not a finite number"),
        ({"prediction": "36.5"}, "a prediction is not a finite number"),
        ({"zeroed": {"nose": True}}, "a prediction is not a finite number"),
        ({"importance": [1.5, -0.5, *[0.0] * (len(PAIRS) - 2)]}, "importance must be 36 numbers from 0 whose sum is 1"),
        ({"importance": [float("nan"), *SHARES[1:]]}, "importance must be 36 numbers from 0 whose sum is 1"),
        ({"subject": "t", "fold": 0, "importance": SHARES}, None),
    ],
)
def test_values_that_cannot_be_are_refused_by_line(tmp_path: Path, change: dict[str, Any], told: str | None) -> None:
    """Of a wrong type or sign; an error in one line, not a trace. What can be is read."""
    path = written(tmp_path / "a.jsonl", [ITEM], **change)
    if told is None:
        assert predictions.read([path])[1][0].subject == change["subject"]
        return
    with pytest.raises(PredictionsError, match=r"a\.jsonl:2: .*") as error:
        predictions.read([path])
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fold": 1}, "fold or gender of subject s differ from another line's"),
        ({"gender": "male"}, "fold or gender of subject s differ from another line's"),
        ({"subject": "t", "fold": 1}, None),
    ],
)
def test_a_person_is_in_one_fold(tmp_path: Path, change: dict[str, Any], told: str | None) -> None:
    """Folds are independent of people (SPEC A8), whichever clip and method tells."""
    other = replace(ITEM, clip="b.mp4", method="no_ri", **change)
    path = written(tmp_path / "a.jsonl", [ITEM, other])
    if told is None:
        assert len(predictions.read([path])[1]) == 2
        return
    with pytest.raises(PredictionsError, match=rf"a\.jsonl:3: {told}"):
        predictions.read([path])


def test_no_method_answers_more_clips_than_there_are(tmp_path: Path) -> None:
    """As many are whole, over all files together; a number of clips that is none is no header."""
    items = [replace(ITEM, clip=name) for name in ("a.mp4", "b.mp4", "c.mp4")]
    first, second = written(tmp_path / "a.jsonl", items[:2]), written(tmp_path / "b.jsonl", items[2:])
    assert len(predictions.read([first])[1]) == 2
    with pytest.raises(
        PredictionsError, match=r"b\.jsonl:2: age full has more predictions than the data set has clips"
    ):
        predictions.read([first, second])
    with pytest.raises(PredictionsError, match=r"a\.jsonl:1: not the header .*clips is '2'"):
        predictions.read([written(first, [], **{"clips": "2"})])


def test_the_predictions_of_an_earlier_evaluation_are_not_kept(tmp_path: Path) -> None:
    """They would join the tables that are made from the folder again; other files of it, and the folder's own
    predictions, are left alone."""
    runs = [replace(ITEM, method=method) for method in ("full", "no_ri")]
    first, second = (written(tmp_path / f"{item.method}.jsonl", [item]) for item in runs)
    out, kept = tmp_path / "out", tmp_path / "out/predictions"
    evaluate.write([first], out)
    (kept / "README.md").touch()
    evaluate.write([second], out)
    assert {path.name for path in kept.iterdir()} == {"README.md", "age_no_ri.predictions.jsonl"}
    evaluate.write([*evaluate.found([out]), first], out)
    evaluate.write(evaluate.found([out]), out)
    names = [f"age_{item.method}.predictions.jsonl" for item in runs]
    assert sorted(path.name for path in kept.iterdir()) == ["README.md", *names]
    assert {item.method for item in predictions.read(evaluate.found([out]))[1]} == {"full", "no_ri"}


def test_a_part_of_a_folder_is_not_evaluated_into_it(tmp_path: Path) -> None:
    """The other predictions would be lost, or join tables that are not made of them."""
    out = tmp_path / "out"
    evaluate.write([written(tmp_path / "a.jsonl", [ITEM, replace(ITEM, method="no_ri")])], out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(PredictionsError, match=r"age_no_ri\.predictions\.jsonl: not among the files given .* --out"):
        evaluate.write([out / "predictions/age_full.predictions.jsonl"], out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
