import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from export.__main__ import main
from export.publish import CONFIG_FILE, Contents, next_version, publish
from export.steps import publish_all
from smile.card import Card
from smile.tensors import BACKBONE, RELATIONS

FILES = {"model.onnx": b"a" * 3_000_000, "model.fp16.onnx": b"b" * 3_000_000}


def test_versions_count_up_together(tmp_path: Path) -> None:
    """Both models get one more than the highest version of either; other names are not versions."""
    assert next_version(tmp_path, ("backbone", "relations")) == 1
    publish(tmp_path, 3, {"backbone": Contents(FILES, "three")})
    (tmp_path / "relations/12.draft").mkdir(parents=True)
    assert next_version(tmp_path, ("backbone", "relations")) == 4


def test_a_published_version_is_never_changed(tmp_path: Path) -> None:
    """Publishing it again is refused and leaves files and config alone."""
    publish(tmp_path, 1, {"backbone": Contents(FILES, "first")})
    with pytest.raises(FileExistsError):
        publish(tmp_path, 1, {"backbone": Contents({"model.onnx": b"other"}, "second")})
    assert (tmp_path / "backbone/1/model.onnx").read_bytes() == FILES["model.onnx"]
    assert (tmp_path / "backbone" / CONFIG_FILE).read_text() == "first"


def test_graphs_of_a_release_are_published_together_or_not_at_all(tmp_path: Path) -> None:
    """Where the second has the version already, the first is not published: it would be served beside a stranger."""
    publish(tmp_path, 5, {RELATIONS.name: Contents(FILES, "other")})
    model = onnx.ModelProto()
    contents = {graph: {"model.onnx": model} for graph in (BACKBONE, RELATIONS)}
    with pytest.raises(FileExistsError, match="relations"):
        publish_all(tmp_path, 5, contents, Card("new", None, "Apache-2.0", 25.0))
    assert not (tmp_path / BACKBONE.name).exists()


def test_no_version_is_published_below_the_one_that_is_served(tmp_path: Path) -> None:
    """Its card would stand in config.pbtxt beside the files of the newer one; of a pair neither is published."""
    publish(tmp_path, 5, {"backbone": Contents(FILES, "five")})
    with pytest.raises(FileExistsError, match="version 5"):
        publish(tmp_path, 3, {"backbone": Contents(FILES, "three")})
    assert sorted(path.name for path in (tmp_path / "backbone").iterdir()) == ["5", CONFIG_FILE]
    assert (tmp_path / "backbone" / CONFIG_FILE).read_text() == "five"
    contents = {graph: {"model.onnx": onnx.ModelProto()} for graph in (RELATIONS, BACKBONE)}
    with pytest.raises(FileExistsError, match="backbone"):
        publish_all(tmp_path, 4, contents, Card("new", None, "Apache-2.0", 25.0))
    assert not (tmp_path / RELATIONS.name).exists()


@pytest.mark.parametrize("version", ["0", "-1", "two"])
def test_versions_count_from_one(version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 is not taken for the next one."""
    with pytest.raises(SystemExit):
        main(["--untrained", "--repository", str(tmp_path), "--version", version])
    assert "--version: a whole number above 0" in capsys.readouterr().err


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("there", [("backbone", "relations"), ("backbone",), ()])
def test_a_failure_leaves_nothing_behind(
    there: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step fails, of either model, both are as they were; repeated, it succeeds."""
    publish(tmp_path, 1, {model: Contents(FILES, f"first {model}") for model in there})
    before, version = tree(tmp_path), Contents({"model.onnx": b"second"}, "second")
    steps = failing = 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def step(*given: object, **settings: object) -> object:
            nonlocal steps
            steps += 1
            if steps == failing:
                raise OSError("disk full")
            return call(*given, **settings)

        return step

    with monkeypatch.context() as counting:
        for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"), (shutil, "copy2")):
            counting.setattr(owner, name, counted(getattr(owner, name)))
        for failing in range(1, 100):
            steps = 0
            try:
                publish(tmp_path, 2, {"backbone": version, "relations": version})
            except OSError as error:
                assert str(error) == "disk full" and tree(tmp_path) == before, f"step {failing}"
            else:
                break
    assert failing > 10
    after = tree(tmp_path)
    for model in ("backbone", "relations"):
        assert after[f"{model}/2/model.onnx"] == b"second" and after[f"{model}/{CONFIG_FILE}"] == b"second"
    assert len(after) == 8 + 3 * len(there)


def test_a_reader_sees_whole_versions_only(tmp_path: Path) -> None:
    """A thread that looks all the time never finds a numbered directory with a missing or short file."""
    done, broken = threading.Event(), []

    def look() -> None:
        while not done.is_set():
            for folder in tmp_path.glob("backbone/[0-9]*"):
                sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
                if sizes != {name: len(content) for name, content in FILES.items()}:
                    broken.append((folder.name, sizes))

    reader = threading.Thread(target=look)
    reader.start()
    for version in range(1, 21):
        publish(tmp_path, version, {"backbone": Contents(FILES, str(version))})
    done.set()
    reader.join()
    assert not broken
