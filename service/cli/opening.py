"""Who answers: this process or a server. Whatever is heavy is imported only where it is used."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, redirect_stderr

from pydantic import ValidationError

from service.cli.exits import Usage
from service.cli.predictor import Predictor
from service.settings import Settings, warn_of_unknown


def settings() -> Settings:
    """Those of the environment. Raises Usage where one of them means nothing."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise Usage(f"SMILE_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}") from error


@asynccontextmanager
async def opened_predictor(url: str | None, parallel: int | None = None) -> AsyncIterator[Predictor]:
    """The server at `url`, or the pipeline in this process; closed in the end. Raises Usage, Unavailable."""
    with ExitStack() as around:
        predictor: Predictor
        if url:
            from service.cli.remote import RemotePredictor

            predictor = RemotePredictor(url, parallel)
        else:
            from service import logs
            from service.cli.local import LocalPredictor

            around.enter_context(terminal_without_libraries())
            logs.configure("WARNING")
            warn_of_unknown()
            predictor = LocalPredictor(settings(), parallel)
        try:
            yield predictor
        finally:
            await predictor.close()


@contextmanager
def terminal_without_libraries() -> Iterator[None]:
    """MediaPipe's C++ writes notes to descriptor 2 that no setting silences, across the bar. On a terminal they go
    nowhere, and Python's standard error alone stays there."""
    if not sys.stderr.isatty():
        yield
        return
    with (
        open(os.dup(2), "w", buffering=1, errors="backslashreplace") as terminal,
        open(os.devnull, "w") as nowhere,
        redirect_stderr(terminal),
    ):
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal.fileno(), 2)
