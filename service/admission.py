"""How many clips are worked on, how many may wait, and when somebody who is turned away should come back."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Overloaded(Exception):
    """No more clips may wait. `retry_after_s`: whole seconds until one probably may."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Gate:
    """Bounded concurrency with a bounded queue, first come, first served. For one event loop.

    Attributes:
        room, inside: clips that may be in work or wait, and those that do.
    """

    def __init__(self, concurrency: int, queue: int) -> None:
        self._free = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._mean_s = 1.0
        self._begun_s: list[float] = []
        self.room = concurrency + queue
        self.inside = 0

    @property
    def waiting(self) -> int:
        return max(0, self.inside - self._concurrency)

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until one more probably gets a place: until the next of those at work is done. What has taken
        longer than others takes as long again."""
        oldest_s = time.perf_counter() - min(self._begun_s) if self._begun_s else 0.0
        return max(1, math.ceil(max(self._mean_s, oldest_s) / self._concurrency))

    def check(self) -> None:
        """Raise Overloaded where `slot` would."""
        if self.inside >= self.room:
            raise Overloaded(self.retry_after_s)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for one's turn and hold it. Raises Overloaded at once where the queue is full."""
        self.check()
        self.inside += 1
        try:
            async with self._free:
                started = time.perf_counter()
                self._begun_s.append(started)
                try:
                    yield
                finally:
                    self._begun_s.remove(started)
                self._mean_s += 0.2 * (time.perf_counter() - started - self._mean_s)  # of served requests alone
        finally:
            self.inside -= 1


class UploadRoom:
    """For the bytes of uploads under way, each from its arrival to the beginning of the answer. For one event loop.

    Attributes:
        limit, taken: bytes that there may be, and that there are.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    @property
    def is_full(self) -> bool:
        return self.taken >= self.limit
