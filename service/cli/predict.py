"""`smile predict`."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from service import schemas
from service.cli import batch, clips, output
from service.cli.exits import Exit
from service.cli.opening import opened_predictor
from service.cli.predictor import Wanted
from service.cli.progress import Progress
from service.cli.results import ResultsFile

FIGURE_SUFFIXES = (".png", ".svg")


async def predict(asked: argparse.Namespace) -> Exit:
    """Answer the clips that are asked for. Raises Usage, Unavailable, Unwritable."""
    sources = clips.find(asked.clips)
    figures = batch.pictures(asked.figure, FIGURE_SUFFIXES, sources)
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
        left = [source for source in sources if source.name not in done]
        before = Exit.REFUSED if any(done.get(source.name) for source in sources) else Exit.FINE
        if not left:
            return before
        async with opened_predictor(asked.url, asked.parallel) as predictor:
            await predictor.card()  # nothing is begun where nothing answers
            progress = open_files.enter_context(Progress(len(sources), len(sources) - len(left)))
            return max(before, await batch.run(left, predictor, _wanted(asked, figures), figures, sink, progress))


def _wanted(asked: argparse.Namespace, figures: batch.Pictures | None) -> Wanted:
    figure: tuple[schemas.FigureFormat, schemas.FigureKind] | None = None
    if figures:
        figure = ("svg" if figures.suffix == ".svg" else "png", asked.kind)
    return Wanted(
        top=asked.top,
        traits=asked.traits,
        mirrored=asked.mirrored,
        explain=asked.explain or (figure is not None and figure[1] in schemas.EXPLAINED),
        figure=figure,
    )
