"""Commands: from arguments to an exit status."""

import argparse
import asyncio
import json
import math
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from types import FrameType
from typing import Any

from service.backends.base import BackendError
from service.cli import output
from service.cli.arguments import parser
from service.cli.exits import Exit, Unavailable, Unwritable, Usage
from service.cli.opening import opened_predictor, settings
from service.cli.predict import predict
from service.settings import warn_of_unknown

_STATUS = {Usage: Exit.USAGE, Unavailable: Exit.UNAVAILABLE, Unwritable: Exit.UNWRITABLE}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    asked = parser().parse_args(argv)
    try:
        return _COMMANDS[asked.command](asked)
    except tuple(_STATUS) as error:
        sys.stderr.write(f"smile: {error}\n")
        return _STATUS[type(error)]
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except asyncio.CancelledError:
        return Exit.TERMINATED


def openapi_document() -> str:
    """The API's description as it is committed in openapi.json."""
    from service.app import create_app

    return json.dumps(create_app().openapi(), indent=1) + "\n"


def _openapi(asked: argparse.Namespace) -> Exit:
    output.write(openapi_document())
    return Exit.FINE


def _serve(asked: argparse.Namespace) -> Exit:
    import uvicorn

    from service import logs
    from service.app import create_app
    from service.connection import BoundedHttp

    serving = settings()
    logs.configure(serving.log_level)
    warn_of_unknown()
    app = create_app(serving)

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.stopping = True  # ends streams of events, which uvicorn would wait for
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        host=asked.host,
        port=asked.port,
        http=BoundedHttp,
        log_config=None,
        timeout_graceful_shutdown=math.ceil(serving.deadline_s),
    )
    Server(config).run()
    return Exit.FINE


def _worker(asked: argparse.Namespace) -> Exit:
    from service.jobs import worker

    working = settings()
    if working.jobs == "inprocess":
        raise Usage("workers share a queue: set SMILE_JOBS=redis://host:port for them and for the gateways")
    try:
        worker.work(working)
    except BackendError as error:
        raise Unavailable(str(error)) from error
    return Exit.FINE


def _predict(asked: argparse.Namespace) -> Exit:
    return asyncio.run(_terminable(predict(asked)))


def _model(asked: argparse.Namespace) -> Exit:
    async def card() -> Exit:
        async with opened_predictor(asked.url) as predictor:
            output.write((await predictor.card()).model_dump_json(indent=2) + "\n")
        return Exit.FINE

    return asyncio.run(card())


def _mcp(asked: argparse.Namespace) -> Exit:
    try:
        from service import mcp
    except ModuleNotFoundError as error:
        raise Unavailable("the MCP SDK is not installed: run `make mcp`") from error
    mcp.serve(asked.url)
    return Exit.FINE


_COMMANDS: dict[str, Callable[[argparse.Namespace], Exit]] = {
    "predict": _predict,
    "serve": _serve,
    "worker": _worker,
    "model": _model,
    "mcp": _mcp,
    "openapi": _openapi,
}


async def _terminable(work: Coroutine[Any, Any, Exit]) -> Exit:
    """Await `work`; SIGTERM cancels it as Ctrl-C does, so that what it holds is released."""
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work
