"""What commands refuse before anything is computed, each in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from training import features, predictions, protocol, siam_search, siam_study, study, train_siam, truth
from training.predictions import Header

DATA = ["--data", "anywhere", "--out", "anywhere"]
RUN = ["anywhere", "--out", "anywhere"]


def listed(manifest: Path, people: int) -> Path:
    """A manifest of clips that are no videos."""
    lines = [f"{number}.mp4,s{number},{20 + number % 2},female,posed" for number in range(people)]
    manifest.write_text("\n".join(["clip,subject,age,gender,kind", *lines]))
    for number in range(people):
        (manifest.parent / f"{number}.mp4").write_bytes(b"%d" % number)
    return manifest


@pytest.mark.parametrize(
    ("main", "arguments", "told"),
    [
        (study.main, ["--epochs", "-1"], "--epochs: -1 is not a whole number from 1"),
        (study.main, ["--epochs", "0"], "--epochs: 0 is not a whole number from 1"),
        (study.main, ["--folds", "0"], "--folds: 0 is not a whole number from 2"),
        (study.main, ["--frame-rate", "100"], "--frame-rate: 100 is not a rate from 5 to 50 Hz"),
        (study.main, ["--frame-rate", "0"], "--frame-rate: 0 is not a rate from 5 to 50 Hz"),
        (siam_study.main, [*DATA, "--epochs", "0"], "--epochs: 0 is not a whole number from 1"),
        (siam_search.main, [*DATA, "--frame-rate", "nan"], "--frame-rate: nan is not a rate from 5 to 50 Hz"),
        (train_siam.main, [*RUN, "--seed", "-1"], "--seed: -1 is not a whole number from 0"),
        (train_siam.main, [*RUN, "--features", "0"], "--features: 0 is not a whole number from 1"),
        (protocol.main, [*RUN, "--seed", "-1"], "--seed: -1 is not a whole number from 0"),
        (truth.main, ["--pairs", "37", "--out", "/dev/null/x"], "--pairs: 37 is not a whole number from 1 to 36"),
        (features.main, ["anywhere", "--backbone", "there", "--processes", "x"], "x is not a whole number from 1"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_their_option(
    main: Callable, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The parser says which option, and from where it may be."""
    with pytest.raises(SystemExit):
        main(arguments)
    assert told in capsys.readouterr().err


def test_settings_that_cannot_be_are_refused_in_one_line() -> None:
    """Those that the settings themselves check."""
    with pytest.raises(SystemExit, match="error: batch is 0, not at least 1"):
        train_siam.main([*RUN, "--batch", "0"])
    with pytest.raises(SystemExit, match=r"error: rate is 0\.0, not a finite number above 0"):
        siam_study.main([*DATA, "--rate", "0"])
    with pytest.raises(SystemExit, match="error: rate is inf, not a finite number above 0"):
        train_siam.main([*RUN, "--rate", "inf"])


def test_what_a_study_of_siam_is_given_is_read_before_the_clips(tmp_path: Path) -> None:
    """Too few people, accepted duplicates, and predictions to compare with; none of these clips could be read."""
    for people in (3, 24):
        listed(tmp_path / f"{people}.csv", people)
    command = ["--tiny", "--out", str(tmp_path / "out"), "--data"]
    with pytest.raises(SystemExit, match="error: 3 subjects are too few for 2 folds"):
        siam_study.main([*command, str(tmp_path / "3.csv")])
    command.append(str(tmp_path / "24.csv"))
    with pytest.raises(SystemExit, match=r"error: .*absent\.txt: .*No such file"):
        siam_study.main([*command, "--accept-duplicates", str(tmp_path / "absent.txt")])
    beside = tmp_path / "predictions.jsonl"
    predictions.write(beside, Header("24", False, 24, "other", {}), [])
    for path, told in ((tmp_path / "absent", "no predictions here"), (beside, "on the folds other, not on those of")):
        with pytest.raises(SystemExit, match=f"error: {path}: .*{told}"):
            siam_study.main([*command, "--beside", str(path)])


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    """There is no folder beneath a device."""
    data = str(listed(tmp_path / "clips.csv", 24))
    for main, arguments in (
        (protocol.main, [data, "--folds", "2"]),
        (siam_study.main, ["--tiny", "--data", data]),
        (siam_search.main, ["--tiny", "--data", data]),
        (study.main, ["--data", data, "--backbone", "unread"]),
    ):
        with pytest.raises(SystemExit, match="error: .*Not a directory"):
            main([*arguments, "--out", "/dev/null/x"])
