"""A simulated set on disk: read by the project's own reader, resumable, reproducible, unmistakable."""

import json
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from training.datasets import SIMULATED, read
from training.demo import astronaut
from training.simulate import parse, simulate


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one labelled still of each gender: the portrait as it is, and another cut of it."""
    folder = tmp_path_factory.mktemp("stills")
    image = astronaut().image
    for name, part in (("15_1_portrait.png", image), ("16_0_cut.png", image[60:330, 40:310])):
        cv2.imwrite(str(folder / name), part[..., ::-1])
    return folder


def options_of(stills: Path, out: Path, *more: str) -> dict[str, Any]:
    sizes = ("--subjects", "1", "--clips", "2", "--jobs", "1")
    return parse(["--stills", str(stills), "--out", str(out), *sizes, *more])[1]


def pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]


def test_set_is_read_resumed_and_reproduced(stills: Path, tmp_path: Path) -> None:
    """The set reads as UvA-NEMO does and as simulated; a lost clip alone is made again, with the same frames."""
    out = tmp_path / "set"
    options = options_of(stills, out, "--seed", "3")
    assert simulate(stills, out, options, jobs=1) == 2
    dataset = read(out)
    assert dataset.simulated and dataset.name.startswith("simulated")
    assert {(clip.age, clip.gender) for clip in dataset.clips} < {(15, "female"), (16, "male")}
    kept, lost = sorted(clip.path for clip in dataset.clips)
    before, made = pictures(lost), kept.stat().st_mtime_ns
    entry = json.loads((out / SIMULATED).read_text())["clips"][lost.name]
    assert len(before) == round(entry["plan"]["duration_s"] * 50)
    lost.unlink()
    assert simulate(stills, out, options, jobs=1) == 1
    assert kept.stat().st_mtime_ns == made
    assert pictures(lost) == before
    with pytest.raises(ValueError, match="other options.*seed"):
        simulate(stills, out, options_of(stills, out, "--seed", "4"), jobs=1)


def test_planted_set_writes_the_planted_age(stills: Path, tmp_path: Path) -> None:
    """With a planted relation the details file holds the planted age, and the parameters its lag."""
    out = tmp_path / "planted"
    options = options_of(stills, out, "--planted", "left_eye,mouth", "--label", "relational")
    simulate(stills, out, options, jobs=1)
    whole = json.loads((out / SIMULATED).read_text())
    assert whole["simulated"] is True and "planted relational relation of left_eye and mouth" in whole["name"]
    for clip in read(out).clips:
        entry = whole["clips"][clip.path.name]
        onsets = [course["onset_s"] for course in entry["plan"]["courses"]]
        assert abs(onsets[7] - onsets[0]) == pytest.approx(0.4 * (clip.age - 8) / 68)


@pytest.mark.parametrize(
    "wrong", [("--planted", "left_eye"), ("--planted", "left_eye,chin"), ("--label", "additive"), ("--clips", "many")]
)
def test_wrong_options_are_refused(stills: Path, tmp_path: Path, wrong: tuple[str, str]) -> None:
    """A command line that cannot be meant ends with the usage, before anything is written."""
    with pytest.raises(SystemExit):
        parse(["--stills", str(stills), "--out", str(tmp_path / "set"), *wrong])
    assert not (tmp_path / "set").exists()


def test_missing_stills_are_named(stills: Path, tmp_path: Path) -> None:
    """More subjects than stills is an error that says of whom there are too few, and leaves no half set behind."""
    options = options_of(stills, tmp_path / "set") | {"subjects": 8, "clips": 8}
    with pytest.raises(ValueError, match="no usable still is left for"):
        simulate(stills, tmp_path / "set", options, jobs=1)
    assert not (tmp_path / "set").exists()
