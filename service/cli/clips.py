"""Which clips are meant: files, folders searched for clips, standard input."""

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NoReturn

from service.cli.exits import Refused, Usage
from service.cli.threads import in_thread

STANDARD_INPUT = "-"
SUFFIXES = frozenset(
    ".3g2 .3gp .apng .asf .avi .flv .gif .m2ts .m4v .mkv .mov "
    ".mp4 .mpeg .mpg .mts .mxf .ogg .ogv .ts .webm .wmv".split()
)
"""What a folder is searched for. A file that is named is taken whatever it is called."""
IN_MEMORY_BYTES = 16_000_000
"""What comes through a pipe stays in memory up to this size; more goes to a temporary file without a name."""


@dataclass(frozen=True)
class Source:
    """One clip.

    Attributes:
        name: how the results call it: the path as it was given or found, with `/` and without line breaks; `-`.
        path: None for standard input.
        picture: path of a figure or film of it inside a folder of them, without the suffix of the picture.
    """

    name: str
    path: Path | None
    picture: Path


def find(arguments: Sequence[str]) -> list[Source]:
    """The clips, each once, in the order of the arguments and by name inside a folder. Raises Usage."""
    found: dict[str, Source] = {}
    for argument in arguments:
        for source in _sources(argument):
            found.setdefault(source.name, source)
    if not found:
        raise Usage(f"no clips in {', '.join(arguments)}; searched for {' '.join(sorted(SUFFIXES))}")
    return list(found.values())


def _sources(argument: str) -> Iterator[Source]:
    if not argument:  # would be the current folder
        raise Usage("an empty name: name a clip (with make: VIDEO=clip.mp4)")
    path = Path(argument)
    if argument == STANDARD_INPUT:
        if sys.stdin.isatty():
            raise Usage("standard input is a terminal: send a clip into it")
        yield Source(STANDARD_INPUT, None, Path("stdin"))
    elif os.path.isdir(path):
        for clip in _inside(path):
            yield Source(_name(clip), clip, clip.relative_to(path))
    elif _exists(path):
        yield Source(_name(path), path, Path(path.name))
    else:
        raise Usage(f"{argument}: no such file or folder")


def _exists(path: Path) -> bool:
    """Raises Usage where that cannot be told."""
    try:
        path.stat()
    except PermissionError as error:
        _fail(error)
    except (OSError, ValueError):
        return False
    return True


def _inside(folder: Path) -> Iterator[Path]:
    """Each real folder is searched once, those behind links last. Raises Usage where one cannot be read."""
    searched = set()
    waiting = [folder]
    for start in waiting:
        for parent, folders, files in os.walk(start, onerror=_fail):
            real = os.path.realpath(parent)
            if real in searched:
                folders.clear()
                continue
            searched.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            waiting += (path for name in folders if (path := Path(parent, name)).is_symlink())
            for name in sorted(files):
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                    yield Path(parent, name)


def _fail(error: OSError) -> NoReturn:
    raise Usage(f"{error.filename}: {error.strerror}; let it be read, or name other clips and folders") from error


def _name(path: Path) -> str:
    text = os.fsencode(path.as_posix()).decode(errors="backslashreplace")
    return text.replace("\r", "\\r").replace("\n", "\\n")


@asynccontextmanager
async def opened(source: Source) -> AsyncIterator[BinaryIO]:
    """The clip, seekable. Raises Refused where it cannot be read, at once or while it is."""
    try:
        with await in_thread(partial(_seekable, source.path)) as file:
            yield file
    except OSError as error:
        raise Refused("unreadable_file", error.strerror or "cannot be read") from error


def _seekable(path: Path | None) -> BinaryIO:
    if path is None:
        # Without a buffer, whose lock an abandoned thread would hold when the interpreter ends.
        return _spooled(open(sys.stdin.fileno(), "rb", buffering=0, closefd=False))
    try:
        file = path.open("rb")
    except ValueError as error:  # a NUL, or what no encoding of file names has
        raise Refused("unreadable_file", "no file can have this name") from error
    if file.seekable():
        return file
    with file:
        return _spooled(file)


def _spooled(stream: BinaryIO) -> BinaryIO:
    spool = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)
    shutil.copyfileobj(stream, spool)
    spool.seek(0)
    return spool  # type: ignore[return-value]
