"""What commands refuse before anything is computed, each in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from training import features, protocol, siam_search, siam_study, study, train_siam

DATA = ["--data", "anywhere", "--out", "anywhere"]
RUN = ["anywhere", "--out", "anywhere"]


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
        (protocol.main, [*RUN, "--seed", "-1"], "--seed: -1 is not a whole number from 0"),
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
    with pytest.raises(SystemExit, match=r"error: rate is 0\.0, not above 0"):
        siam_study.main([*DATA, "--rate", "0"])


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    """There is no folder beneath a device."""
    lines = [f"{n}.mp4,s{n},{20 + n % 2},female,posed" for n in range(24)]
    (tmp_path / "clips.csv").write_text("\n".join(["clip,subject,age,gender,kind", *lines]))
    for number in range(24):
        (tmp_path / f"{number}.mp4").write_bytes(b"%d" % number)
    data = str(tmp_path / "clips.csv")
    for main, arguments in (
        (protocol.main, [data, "--folds", "2"]),
        (siam_study.main, ["--tiny", "--data", data]),
        (siam_search.main, ["--tiny", "--data", data]),
        (study.main, ["--data", data, "--backbone", "unread"]),
    ):
        with pytest.raises(SystemExit, match="error: .*Not a directory"):
            main([*arguments, "--out", "/dev/null/x"])
