"""How the thread of a clip has graphs executed, and what it took."""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from service.backends.base import Arrays, Backend
from smile.errors import Cancelled
from smile.tensors import GRAPHS, Graph

BLOCKS_IN_FLIGHT = 4
"""Blocks of one clip that may be in a graph at once."""
Tag = TypeVar("Tag")


class Executor:
    """Calls the backend from the clip's thread and clocks the time in which a graph had anything of the clip to do.

    Attributes:
        seconds: of each graph.
        cancelled: set by `cancel`; the clip's thread looks at it.
    """

    def __init__(self, backend: Backend, loop: asyncio.AbstractEventLoop) -> None:
        self._backend = backend
        self._loop = loop
        self._running: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self._unanswered: set[Future[Arrays]] = set()
        self.seconds = dict.fromkeys((graph.name for graph in GRAPHS), 0.0)
        self.cancelled = threading.Event()

    def submit(self, graph: Graph, inputs: Arrays) -> Future[Arrays]:
        """Start a call. Raises Cancelled where the clip has been given up."""
        outputs = asyncio.run_coroutine_threadsafe(self._run(graph, inputs), self._loop)
        self._unanswered.add(outputs)
        outputs.add_done_callback(self._unanswered.discard)
        if self.cancelled.is_set():
            outputs.cancel()
            raise Cancelled("the request was given up")
        return outputs

    def cancel(self) -> None:
        """Give the clip up, from any thread: calls that are not answered are cancelled, and none follow."""
        self.cancelled.set()
        for outputs in list(self._unanswered):
            outputs.cancel()

    def stream(self, graph: Graph, blocks: Iterable[tuple[Tag, Arrays]]) -> Iterator[tuple[Tag, Arrays]]:
        """Tagged inputs -> their outputs, in order; the next blocks are made while earlier ones are in the graph."""
        in_flight: deque[tuple[Tag, Future[Arrays]]] = deque()
        try:
            for tag, inputs in blocks:
                in_flight.append((tag, self.submit(graph, inputs)))
                if len(in_flight) == BLOCKS_IN_FLIGHT:
                    tag, outputs = in_flight.popleft()
                    yield tag, outputs.result()
            while in_flight:
                tag, outputs = in_flight.popleft()
                yield tag, outputs.result()
        finally:
            for _, outputs in in_flight:
                outputs.cancel()

    async def _run(self, graph: Graph, inputs: Arrays) -> Arrays:
        if not self._running[graph.name]:
            self._since[graph.name] = time.perf_counter()
        self._running[graph.name] += 1
        try:
            return await self._backend.run(graph, inputs)
        finally:
            self._running[graph.name] -= 1
            if not self._running[graph.name]:
                busy = time.perf_counter() - self._since[graph.name]
                self.seconds[graph.name] = self.seconds.get(graph.name, 0.0) + busy
