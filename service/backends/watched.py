"""Executions, watched: after one that failed, being ready takes one that succeeds."""

import asyncio

from service.backends.base import Arrays, Backend, BackendError, BackendUnavailable, Model, Network, blank
from smile.tensors import GRAPHS, Graph

TRIAL_TIMEOUT_S = 2.0
"""For one execution of the smallest batch, while somebody waits to hear whether the service is ready."""


class Watched:
    """A backend around another one, whatever it is."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._failing: set[Graph] = set()
        """Those whose last execution failed."""

    async def run(self, graph: Graph, inputs: Arrays) -> Arrays:
        try:
            outputs = await self._backend.run(graph, inputs)
        except BackendError:
            self._failing.add(graph)
            raise
        self._failing.discard(graph)
        return outputs

    async def model(self, network: Network = "fdin") -> Model:
        return await self._backend.model(network)

    async def ready(self) -> None:
        await self._backend.ready()
        for graph in self._failing.intersection(GRAPHS):  # without SIAM, most would be answered
            try:
                async with asyncio.timeout(TRIAL_TIMEOUT_S):
                    await self.run(graph, blank(graph))
            except TimeoutError as error:
                raise BackendUnavailable(f"{graph.name} has failed and does not answer a trial") from error

    async def close(self) -> None:
        await self._backend.close()
