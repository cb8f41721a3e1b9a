"""`smile predict`."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from service import kinds, schemas
from service.cli import batch, clips, output
from service.cli.exits import Exit, Usage
from service.cli.opening import opened_predictor
from service.cli.predictor import Wanted
from service.cli.progress import Progress
from service.cli.results import ResultsFile

FIGURE_SUFFIXES = (".png", ".svg")
FILM_SUFFIXES = (".mp4", ".webm")


async def predict(asked: argparse.Namespace) -> Exit:
    """Answer the clips that are asked for. Raises Usage, Unavailable, Unwritable."""
    _check_siam(asked)
    _check_pictures(asked)
    sources = clips.find(asked.clips)
    figures = batch.pictures(asked.figure, FIGURE_SUFFIXES, sources)
    films = _films(asked, sources)
    with ExitStack() as open_files:
        sink: batch.Sink
        done: dict[str, bool] = {}
        if asked.out:
            sink = results = open_files.enter_context(ResultsFile(asked.out))
            done = results.done
        elif len(sources) == 1 and not Path(asked.clips[0]).is_dir():
            sink = output.Single()
        else:
            sink = output.Lines()
        lasting = {source.name for source in sources if source.path and source.path.is_file()}  # a pipe's name is not
        skipped = lasting & done.keys()
        left = [source for source in sources if source.name not in skipped]
        if skipped:
            _say_skipped(len(skipped), len(sources), drawing=bool(figures or films))
        before = Exit.REFUSED if any(done[name] for name in skipped) else Exit.FINE
        if not left:
            return before
        async with opened_predictor(asked.url, asked.parallel) as predictor:
            await predictor.card()  # nothing is begun where nothing answers
            with Progress(len(sources), len(skipped)) as progress:
                order = batch.Order(predictor, _wanted(asked, figures, films), figures, films, sink, progress)
                return max(before, await batch.run(left, order))


def _say_skipped(skipped: int, total: int, *, drawing: bool) -> None:
    hint = ". For figures and films of them choose another --out" if drawing else ""
    sys.stderr.write(f"smile: {skipped} of {total} clips have rows already and are skipped{hint}\n")


def _check_siam(asked: argparse.Namespace) -> None:
    """Raises Usage where SIAM alone is asked for what it does not answer."""
    if asked.network != "siam":
        return
    if asked.traits and "age" not in asked.traits:
        raise Usage("siam answers age alone: add --network both, or leave --traits out")
    if asked.explain:
        raise Usage("--explain measures regions and pairs, which siam has none of: add --network both, or leave it out")


def _check_pictures(asked: argparse.Namespace) -> None:
    """Raises Usage where the network has no such picture, or none is asked for."""
    if asked.film and asked.network == "siam":
        raise Usage("--film shows relations, which siam has none of: add --network both, or leave it out")
    if asked.kind and not asked.figure:
        raise Usage("--kind says what a figure shows: add --figure, or leave it out")
    if asked.kind and (why := kinds.refusal(asked.kind, asked.network)):
        raise Usage(why)


def _films(asked: argparse.Namespace, sources: Sequence[clips.Source]) -> batch.Pictures | None:
    films = batch.pictures(asked.film, FILM_SUFFIXES, sources)
    searched = [Path(argument).resolve() for argument in asked.clips if Path(argument).is_dir()]
    if films and any(films.place.resolve().is_relative_to(folder) for folder in searched):
        raise Usage(f"{films.place}: inside a folder of clips, where the next run would take films for clips")
    return films


def _wanted(asked: argparse.Namespace, figures: batch.Pictures | None, films: batch.Pictures | None) -> Wanted:
    figure: tuple[schemas.FigureFormat, schemas.FigureKind] | None = None
    if figures:
        figure = ("svg" if figures.suffix == ".svg" else "png", asked.kind or kinds.default(asked.network))
    return Wanted(
        top=asked.top,
        traits=asked.traits,
        mirrored=asked.mirrored,
        explain=asked.explain or (figure is not None and kinds.is_explained(figure[1], asked.network)),
        figure=figure,
        film="webm" if films and films.suffix == ".webm" else "mp4",
        network=asked.network,
    )
