"""How the thread of a clip has graphs executed, and what it took."""

import asyncio
import time
from collections import Counter
from concurrent.futures import Future

from service.backends.base import Arrays, Backend
from smile.tensors import GRAPHS, Graph


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
