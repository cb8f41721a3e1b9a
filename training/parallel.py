"""Many independent jobs over processes: progress is shown, nothing outlives its parent, a dead process is noticed."""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2
import torch
from tqdm import tqdm

Item = TypeVar("Item")
Job = TypeVar("Job")
Result = TypeVar("Result")
LINE_EVERY_S = 30.0


class WorkerDied(Exception):
    """A process was killed from outside, most often for want of memory."""


def run_all(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    what: str,
    processes: int | None = None,
    start: Callable[..., None] | None = None,
    start_with: tuple[Any, ...] = (),
    done: int = 0,
) -> Iterator[Result]:
    """Results in the order in which they are ready. The first exception ends the rest.

    Args:
        work: picklable; runs in processes of their own, one thread each.
        processes: one for each core where absent.
        start: called with `start_with` once in each process.
        done: jobs that were finished before; shown only.

    Raises:
        WorkerDied: and whatever `work` raises.
    """
    if not jobs:
        return
    count = min(processes or os.cpu_count() or 1, len(jobs))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, _begin, (start, start_with)) as pool:
        futures = [pool.submit(work, job) for job in jobs]
        try:
            for future in progress(as_completed(futures), what, len(jobs) + done, done):
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerDied(f"{what}: a process died; what is finished is kept, run again to go on") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def progress(items: Iterable[Item], what: str, total: int, done: int = 0) -> Iterator[Item]:
    """Pass `items` on and show on standard error how many of `total` there were, `done` of them before.

    A bar on a terminal, plain lines elsewhere.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, what, total, initial=done)
        return
    started = said = time.monotonic()
    for count, item in enumerate(items, start=done + 1):
        yield item
        now = time.monotonic()
        if count == total or now - said > LINE_EVERY_S:
            left_s = (now - started) / (count - done) * (total - count)
            line = f"{what}: {count} of {total}, {now - started:.0f} s, about {left_s:.0f} s left"
            print(line, file=sys.stderr, flush=True)
            said = now


def _begin(start: Callable[..., None] | None, start_with: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if start is not None:
        start(*start_with)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
