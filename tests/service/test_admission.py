"""The gate in front of the pipeline."""

import asyncio
from types import SimpleNamespace

import pytest

from service.admission import Gate, Overloaded


async def test_order_and_room() -> None:
    """As many as allowed work, as many wait in their order, one more is refused; then all places are free."""
    gate = Gate(concurrency=2, queue=3)
    working, most, order = 0, 0, []

    async def clip(number: int) -> None:
        nonlocal working, most
        async with gate.slot():
            working += 1
            most = max(most, working)
            order.append(number)
            await asyncio.sleep(0.01)
            working -= 1

    tasks = [asyncio.create_task(clip(number)) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await clip(5)
    assert refused.value.retry_after_s >= 1
    await asyncio.gather(*tasks)
    assert (most, order, gate.inside) == (2, [0, 1, 2, 3, 4], 0)


async def test_time_to_return_is_that_of_the_next_place() -> None:
    """Not of the whole queue, which would have run dry by then: a clip is taken to last a second until one has."""
    gate = Gate(concurrency=1, queue=8)
    tasks = [asyncio.create_task(gate.slot().__aenter__()) for _ in range(9)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        gate.check()
    assert refused.value.retry_after_s == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_time_to_return_follows_the_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes long makes it longer, by a fifth of the difference; it is divided among the places."""
    clock = SimpleNamespace(now_s=5.0, perf_counter=lambda: clock.now_s)
    monkeypatch.setattr("service.admission.time", clock)
    gate = Gate(concurrency=2, queue=8)
    async with gate.slot():
        clock.now_s += 101.0
    assert gate.retry_after_s == 11


async def test_time_to_return_knows_the_work_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any has ended, and of what never ends well: it is taken to go on for as long as it has."""
    clock = SimpleNamespace(now_s=5.0, perf_counter=lambda: clock.now_s)
    monkeypatch.setattr("service.admission.time", clock)
    gate = Gate(concurrency=2, queue=8)
    with pytest.raises(ValueError):
        async with gate.slot():
            clock.now_s += 50.0
            async with gate.slot():
                clock.now_s += 10.0
                assert gate.retry_after_s == 30
            raise ValueError
    assert gate.retry_after_s == 2


async def test_leaving_the_queue() -> None:
    """One who gives up while waiting takes no place."""
    gate = Gate(concurrency=1, queue=1)
    async with gate.slot():
        waiting = asyncio.create_task(gate.slot().__aenter__())
        await asyncio.sleep(0)
        assert gate.inside == 2
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert gate.inside == 1
