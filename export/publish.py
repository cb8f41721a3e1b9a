"""Atomic publication: a reader of the repository finds a whole version or none."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

CONFIG_FILE = "config.pbtxt"


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


def publish(repository: Path, model: str, version: int, files: Mapping[str, bytes], config: str) -> Path:
    """Write the files of a version beside its place, flush them to disk, rename; then replace config.pbtxt likewise.

    Returns:
        the new version directory.

    Raises:
        FileExistsError: see `refuse_published`.
    """
    refuse_published(repository, model, version)
    folder = repository / model
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / str(version)
    temporary = Path(tempfile.mkdtemp(prefix=f".{version}.", dir=folder))
    try:
        for name, content in files.items():
            _write(temporary / name, content)
        _flush(temporary)
        temporary.chmod(0o755)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    draft = folder / f".{CONFIG_FILE}.{version}"
    _write(draft, config.encode())
    draft.replace(folder / CONFIG_FILE)
    _flush(folder)
    return target


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
