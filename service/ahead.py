"""Run an iterator one thread ahead of its consumer, with a bounded lead."""

import queue
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, TypeVar

from smile.errors import Cancelled

T = TypeVar("T")

_POLL_S = 0.1
"""How long either side may wait before it looks whether the other has gone."""


class ahead(Generic[T]):  # noqa: N801 - reads as a function, like contextlib.closing
    """Context manager and iterator over `items`, produced by a thread of its own, at most `depth` in advance.

    An exception of the producer is raised to the consumer in its place. Leaving the context, or `cancelled`, stops the
    producer before its next item.

    Attributes:
        busy_s: seconds that the producer has worked.
        waited_s: seconds that the consumer has waited for it.
    """

    def __init__(self, items: Iterator[T], depth: int, cancelled: threading.Event) -> None:
        self._items = items
        self._cancelled = cancelled
        self._left = threading.Event()
        self._queue: queue.Queue[T | BaseException | None] = queue.Queue(depth)
        self._thread = threading.Thread(target=self._produce, name="decode", daemon=True)
        self.busy_s = 0.0
        self.waited_s = 0.0

    def __enter__(self) -> "ahead[T]":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while True:
            started = time.perf_counter()
            item = self._next()
            self.waited_s += time.perf_counter() - started
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _next(self) -> T | BaseException | None:
        while not self._cancelled.is_set():
            try:
                return self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
        raise Cancelled("the request was given up")

    def _produce(self) -> None:
        try:
            while True:
                started = time.perf_counter()
                item = next(self._items, None)
                self.busy_s += time.perf_counter() - started
                if not self._put(item) or item is None:
                    return
        except BaseException as error:  # handed to the consumer, whatever it is
            self._put(error)

    def _put(self, item: T | BaseException | None) -> bool:
        while not (self._left.is_set() or self._cancelled.is_set()):
            try:
                self._queue.put(item, timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False
