"""Many clips, several at once: each is answered, its pictures are written, then its row, then the next one begins."""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from service.cli.clips import Source, opened
from service.cli.exits import Exit, Postponed, Refused, Unwritable, Usage
from service.cli.predictor import Predictor, Wanted
from service.cli.progress import Progress
from service.cli.results import Result


class Sink(Protocol):
    def write(self, result: Result) -> None:
        """Take one result. Raises Unwritable."""


@dataclass(frozen=True)
class Pictures:
    """Where pictures of clips go: `place` is the file of the only clip, or a folder of one for each.

    Attributes:
        suffix: of the files in a folder, such as ".png".
    """

    place: Path
    suffix: str
    is_folder: bool

    def path(self, source: Source) -> Path:
        return self.place / f"{source.picture}{self.suffix}" if self.is_folder else self.place

    @contextmanager
    def written(self, source: Source) -> Iterator[BinaryIO]:
        """A file for the picture of this clip, which appears whole or not at all. Raises Unwritable."""
        path = self.path(source)
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("w+b") as file:
                yield file
            os.replace(partial, path)
        except OSError as error:
            raise Unwritable(f"{path}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                partial.unlink()


def pictures(asked: str | None, suffixes: Sequence[str], sources: Sequence[Source]) -> Pictures | None:
    """Where the pictures of these clips go; the first of `suffixes` is that of files in a folder. Raises Usage."""
    if asked is None:
        return None
    place = Path(asked)
    is_folder = asked.endswith("/") or os.path.isdir(place)
    if place.suffix.lower() in suffixes and not is_folder:
        if len(sources) > 1:
            raise Usage(f"{place}: one file for {len(sources)} clips; name a folder")
        return _apart(Pictures(place, place.suffix.lower(), is_folder=False), sources)
    if os.path.exists(place) and not os.path.isdir(place) or place.suffix and not is_folder:
        raise Usage(f"{place}: name a file that ends in {' or '.join(suffixes)}, or a folder")
    if len({source.picture for source in sources}) < len(sources):
        raise Usage(f"{place}: clips of the same name in several folders; name the folder above them, once")
    return _apart(Pictures(place, suffixes[0], is_folder=True), sources)


def _apart(found: Pictures, sources: Sequence[Source]) -> Pictures:
    """Raises Usage where a picture would take the place of a clip."""
    clips = {identity for source in sources if source.path and (identity := _identity(source.path))}
    for path in map(found.path, sources):
        if _identity(path) in clips:
            raise Usage(f"{path}: is one of the clips")
    return found


def _identity(path: Path) -> tuple[int, int] | None:
    """Of a file, by whatever path it is reached; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@dataclass(frozen=True)
class Order:
    """What becomes of every clip of a run."""

    predictor: Predictor
    wanted: Wanted
    figures: Pictures | None
    films: Pictures | None
    sink: Sink
    progress: Progress


async def run(sources: Iterable[Source], order: Order) -> Exit:
    """Answer the clips, as many at once as the predictor takes.

    Raises:
        Usage, Unavailable, Unwritable: the clips in work are given up and leave no row.
        CancelledError: likewise.
    """
    waiting = iter(sources)
    workers = [asyncio.create_task(_work(waiting, order)) for _ in range(order.predictor.parallel)]
    try:
        return max(await asyncio.gather(*workers))
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _work(waiting: Iterator[Source], order: Order) -> Exit:
    """Take clips until none waits; the worst that became of one."""
    worst = Exit.FINE
    for source in waiting:
        result = await _answer(source, order)
        if isinstance(result.refusal, Postponed):
            worst = Exit.UNAVAILABLE
        else:
            order.sink.write(result)
            worst = max(worst, Exit.REFUSED if result.refusal else Exit.FINE)
        order.progress.show(result)
    return worst


async def _answer(source: Source, order: Order) -> Result:
    """Answer one clip and write its pictures."""
    sha256 = ""
    try:
        async with AsyncExitStack() as files:
            clip = await files.enter_async_context(opened(source))
            sha256 = (await asyncio.to_thread(hashlib.file_digest, clip, "sha256")).hexdigest()  # type: ignore[arg-type]
            clip.seek(0)
            film = files.enter_context(order.films.written(source)) if order.films else None
            answer = await order.predictor.predict(clip, order.wanted, film)
            if order.figures and answer.figure:
                files.enter_context(order.figures.written(source)).write(answer.figure)
    except Refused as refusal:
        return Result(source.name, sha256, None, refusal)
    return Result(source.name, sha256, answer.prediction, None)
