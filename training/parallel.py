"""Many independent jobs over processes: progress is shown, nothing outlives its parent, a dead process is noticed."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import cycle
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from typing import Any, TypeVar

import cv2
import torch
from tqdm import tqdm

Item = TypeVar("Item")
Job = TypeVar("Job")
Result = TypeVar("Result")
LINE_EVERY_S = 30.0
VISIBLE = "CUDA_VISIBLE_DEVICES"


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
    gpus: Sequence[str] = (),
) -> Iterator[Result]:
    """Results in the order in which they are ready. The first exception, Ctrl-C among them, ends the rest at once.

    Args:
        work: picklable; runs in processes of their own, one thread each.
        processes: one for each of `gpus` where absent, or, without any, for each core.
        start: called with `start_with` once in each process.
        done: jobs that were finished before; shown only.
        gpus: from `gpus()`, for work on GPUs; each process sees one of them, in turn.

    Raises:
        WorkerDied: and whatever `work` raises.
    """
    if not jobs:
        return
    count = min(processes or len(gpus) or os.cpu_count() or 1, len(jobs))
    context = multiprocessing.get_context("spawn")
    places: SimpleQueue[str] = context.SimpleQueue()
    for _, gpu in zip(range(count), cycle(gpus), strict=False):
        places.put(gpu)
    held, lifeline = context.Pipe(duplex=False)
    given = held, start, start_with, places if gpus else None
    with held, lifeline, ProcessPoolExecutor(count, context, _begin, given) as pool:
        try:
            with _interrupts_wait():
                futures = [pool.submit(work, job) for job in jobs]
            for future in progress(as_completed(futures), what, len(jobs) + done, done):
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerDied(f"{what}: a process died; what is finished is kept, run again to go on") from error
        except BaseException:
            lifeline.close()  # those that are queued in a process cannot be cancelled
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def gpus() -> tuple[str, ...]:
    """The GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them; none on a machine without CUDA."""
    if not torch.cuda.is_available():
        return ()
    count = torch.cuda.device_count()
    return tuple(os.environ.get(VISIBLE, ",".join(map(str, range(count)))).split(","))[:count]


def progress(items: Iterable[Item], what: str, total: int, done: int = 0) -> Iterator[Item]:
    """Pass `items` on and show on standard error how many of `total` there were, `done` of them before.

    A bar on a terminal, plain lines elsewhere.
    """
    if on_terminal():
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


def on_terminal() -> bool:
    """Whether bars may be drawn: by the command's own process, not by one of several at work for it."""
    return sys.stderr.isatty() and multiprocessing.parent_process() is None


def hush() -> None:
    """For `start`, where faces are looked for: mediapipe writes lines to standard error for every face; what goes wrong
    comes back as an exception."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Processes that are begun in here never see Ctrl-C, since their parent ends them; it sees its own afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(
    lifeline: Connection,
    start: Callable[..., None] | None,
    start_with: tuple[Any, ...],
    places: "SimpleQueue[str] | None",
) -> None:
    if places is not None:
        os.environ[VISIBLE] = places.get()  # CUDA reads it at its first use, which comes later
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    if start is not None:
        start(*start_with)


def _end_with(lifeline: Connection) -> None:
    """The parent holds the other end: it closes when the parent ends, or where it wants no more."""
    lifeline.poll(None)
    os._exit(1)
