"""Atomic publication: a reader of the repository finds a whole version or none."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

CONFIG_FILE = "config.pbtxt"
FILES, BEFORE = "files", "before"
"""In the directory where a version is prepared: its files, and the config that it replaces."""


def next_version(repository: Path, models: tuple[str, ...]) -> int:
    """One more than the highest version that any of `models` has."""
    found = [
        int(folder.name)
        for model in models
        for folder in (repository / model).glob("[0-9]*")
        if folder.is_dir() and folder.name.isdigit()
    ]
    return max(found, default=0) + 1


def refuse_published(repository: Path, model: str, version: int) -> None:
    """Raises FileExistsError: the version, or a newer one, is there already. Published versions are never changed, and
    config.pbtxt has the card of the newest, which is served."""
    newest = next_version(repository, (model,)) - 1
    if version <= newest:
        raise FileExistsError(f"{repository / model} holds version {newest}: publish a newer one")


@dataclass(frozen=True)
class Contents:
    """What is published of a model: the files of its version, by name, and its config.pbtxt."""

    files: Mapping[str, bytes]
    config: str


def publish(repository: Path, version: int, models: Mapping[str, Contents]) -> list[Path]:
    """Publish a version of each of `models`, of all or of none.

    Everything is written beside its place and flushed to disk; then the versions are renamed, and the configs replaced.
    After an error everything is as it was before. Only a process that is killed between two renames leaves a part of
    it, and the next version comes above that.

    Returns:
        the new version directories.

    Raises:
        FileExistsError: see `refuse_published`.
    """
    for model in models:
        refuse_published(repository, model, version)
    targets = [repository / model / str(version) for model in models]
    with ExitStack() as leaving, ExitStack() as undo:
        stages = [_staged(repository / model, version, contents, leaving) for model, contents in models.items()]
        for stage, target in zip(stages, targets, strict=True):
            (stage / FILES).rename(target)
            undo.callback(shutil.rmtree, target, ignore_errors=True)
        for stage, target in zip(stages, targets, strict=True):
            config = target.parent / CONFIG_FILE
            undo.callback(_put_back, stage / BEFORE, config)
            (stage / CONFIG_FILE).replace(config)
            _flush(target.parent)
        undo.pop_all()
    return targets


def _staged(folder: Path, version: int, contents: Contents, leaving: ExitStack) -> Path:
    """A directory beside the version's place with the version, the new config and the one of before; it goes, and the
    folder if it is new and stays empty, when `leaving` ends."""
    if not folder.exists():
        folder.mkdir(parents=True)
        leaving.callback(_remove_empty, folder)
    stage = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix=f".{version}.", dir=folder)))
    (stage / FILES).mkdir()
    (stage / FILES).chmod(0o755)
    for name, content in contents.files.items():
        _write(stage / FILES / name, content)
    _flush(stage / FILES)
    _write(stage / CONFIG_FILE, contents.config.encode())
    if (folder / CONFIG_FILE).exists():
        shutil.copy2(folder / CONFIG_FILE, stage / BEFORE)
    return stage


def _put_back(before: Path, config: Path) -> None:
    if before.exists():
        before.replace(config)
    else:
        config.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
