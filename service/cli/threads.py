"""Calls that may wait for ever, such as for a server or for the other end of a pipe."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Returned = TypeVar("Returned")


async def in_thread(work: Callable[[], Returned]) -> Returned:
    """Like asyncio.to_thread, but once it is cancelled nobody waits for the thread, the interpreter's end included."""
    future: Future[Returned] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(future)
