"""Running an iterator one thread ahead."""

import threading
from collections.abc import Iterator

import pytest

from service.ahead import ahead
from smile.errors import Cancelled, UnreadableVideo


def _counting(seen: list[int], end: int = 1_000_000) -> Iterator[int]:
    for number in range(end):
        seen.append(number)
        yield number


def test_order_and_lead() -> None:
    """Items come in order, and the producer is never more than its depth and one ahead."""
    seen: list[int] = []
    with ahead(_counting(seen, 100), 3, threading.Event()) as items:
        for expected, item in enumerate(items):
            assert item == expected
            assert len(seen) <= expected + 1 + 3 + 1
    assert len(seen) == 100


def test_error_reaches_the_consumer() -> None:
    """An error of the producer is raised in its place, after the items before it."""

    def failing() -> Iterator[int]:
        yield 1
        raise UnreadableVideo("broken")

    got = []
    with pytest.raises(UnreadableVideo), ahead(failing(), 3, threading.Event()) as items:
        got.extend(items)
    assert got == [1]


def test_stops_with_its_consumer() -> None:
    """Leaving early, or cancelling, ends the producer's thread."""
    seen: list[int] = []
    with ahead(_counting(seen), 2, threading.Event()) as items:
        assert next(iter(items)) == 0
        assert items._thread.is_alive()
    assert not items._thread.is_alive()
    cancelled = threading.Event()
    with pytest.raises(Cancelled), ahead(_counting(seen), 2, cancelled) as items:
        for _ in items:
            cancelled.set()
    assert not items._thread.is_alive()
