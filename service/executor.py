"""How the thread of a clip has graphs executed, and what it took."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from service.backends.base import Arrays, Backend
from smile.tensors import GRAPHS, Graph

BLOCKS_IN_FLIGHT = 4
"""Blocks of one clip that may be in a graph at once."""
Tag = TypeVar("Tag")


class Executor:
    """Calls the backend from the clip's thread and clocks the time in which a graph had anything of the clip to do."""

    def __init__(self, backend: Backend, loop: asyncio.AbstractEventLoop) -> None:
        self._backend = backend
        self._loop = loop
        self._running: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self.seconds = dict.fromkeys((graph.name for graph in GRAPHS), 0.0)

    def submit(self, graph: Graph, inputs: Arrays) -> Future[Arrays]:
        return asyncio.run_coroutine_threadsafe(self._run(graph, inputs), self._loop)

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
