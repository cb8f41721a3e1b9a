"""Jobs of this process alone: kept in memory, their clips in unnamed files. They end with the process."""

import asyncio
import logging
import mmap
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable
from typing import BinaryIO, cast

from service.admission import Gate, Overloaded
from service.backends.base import Backend
from service.jobs import base
from service.jobs.access import PATH
from service.jobs.base import Output, Outputs, Record, Submission, for_logs
from service.jobs.run import failure, run
from service.jobs.schemas import JobState
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.problems import is_disk_full, no_space
from service.schemas import Problem
from service.settings import Settings

log = logging.getLogger(__name__)

MOST_ENDED = 10_000
"""Jobs that have ended and are still known; the oldest are forgotten before their time."""


class _Entry:
    def __init__(self, submission: Submission) -> None:
        self.id = uuid.uuid4().hex
        self.fingerprint = submission.fingerprint
        self.key = submission.key
        self.created_s = time.time()
        self.state: JobState = "queued"
        self.options = submission.options
        self.progress = submission.options.progress()
        self.began = self.ended = 0.0
        self.expires_s: float | None = None
        self.expiry: asyncio.TimerHandle | None = None
        self.outputs: dict[Output, bytes | mmap.mmap] = {}
        self.problem: Problem | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def results_bytes(self) -> int:
        return sum(map(len, self.outputs.values()))

    def record(self) -> Record:
        return Record(
            id=self.id,
            fingerprint=self.fingerprint,
            created_s=self.created_s,
            trait=self.options.traits[0],
            film=self.options.film,
            network=self.options.network,
            state=self.state,
            attempts=int(self.began > 0),
            frames=self.progress.frames,
            fraction=self.progress.fraction,
            seconds=(self.ended or time.perf_counter()) - self.began if self.began else 0.0,
            expires_s=self.expires_s,
            problem=self.problem,
        )


class InProcessJobs:
    """A bounded queue beside that of `/predict`.

    Jobs have their own few threads, so that however many wait, each clip of `/predict` has at least its share. Results
    together are kept within the bytes that the clips of waiting jobs may have; the oldest are forgotten first.
    """

    def __init__(self, settings: Settings, backend: Backend, metrics: Metrics) -> None:
        self._pipeline = Pipeline(backend, settings.limits, settings.job_concurrency)
        self._gate = Gate(settings.job_concurrency, settings.job_queue)
        self._deadline_s = settings.job_deadline_s
        self._results_s = settings.job_results_s
        self._results_bytes = self._gate.room * settings.max_upload_bytes
        self._metrics = metrics
        metrics.watch_jobs(self._gate)
        self._entries: dict[str, _Entry] = {}
        self._ended: dict[str, None] = {}
        """Ids, the oldest end first."""
        self._with_results: dict[str, int] = {}
        """Their bytes, by id, likewise."""
        self._ids: dict[str, str] = {}
        """Idempotency key -> id."""
        self._stopping = 0
        """Deleted, but still at work."""

    async def check(self, key: str | None) -> None:
        if key in self._ids:
            return
        if len(self._entries) - len(self._ended) + self._stopping >= self._gate.room:
            raise Overloaded(self._gate.retry_after_s)

    async def submit(self, submission: Submission) -> Record:
        if submission.key in self._ids:
            known = self._entries[self._ids[submission.key]]
            if known.fingerprint != submission.fingerprint:
                raise base.other_submission()
            return known.record()
        await self.check(submission.key)
        entry = _Entry(submission)
        self._entries[entry.id] = entry
        if submission.key:
            self._ids[submission.key] = entry.id
        try:
            clip = await asyncio.to_thread(_kept, submission.clip)
        except BaseException as error:
            self._forget(entry.id)
            if is_disk_full(error):
                raise no_space() from error
            raise
        if entry.id not in self._entries:
            clip.close()
            raise base.unknown()
        entry.task = asyncio.create_task(self._work(entry, clip))
        entry.task.add_done_callback(lambda _: clip.close())
        return entry.record()

    async def record(self, job_id: str) -> Record:
        return self._entry(job_id).record()

    async def output(self, job_id: str, output: Output) -> bytes:
        entry = self._entry(job_id)
        if output not in entry.outputs:
            raise base.unknown()
        return entry.outputs[output][:]

    async def delete(self, job_id: str) -> None:
        entry = self._entry(job_id)
        self._forget(job_id)
        self._stopping += 1
        try:
            await _stopped([entry])
        finally:
            self._stopping -= 1

    async def close(self) -> None:
        await _stopped(self._entries.values())
        await self._pipeline.close()

    async def _work(self, entry: _Entry, clip: BinaryIO) -> None:
        try:
            async with self._gate.slot():
                entry.state, entry.began = "running", time.perf_counter()
                log.info("job begun", extra={"job": for_logs(entry.id)})
                reading, outputs = await run(
                    self._pipeline, clip, entry.options, entry.id, entry.progress, self._deadline_s
                )
                entry.outputs = await asyncio.to_thread(_aside, outputs)
            self._metrics.reading(reading, PATH, time.perf_counter() - entry.began)
            entry.state = "done"
        except Exception as error:
            entry.problem = failure(error, entry.id)
            entry.state = "failed"
        code = entry.problem.code if entry.problem else ""
        log.info("job ended", extra={"job": for_logs(entry.id), "code": code})
        self._metrics.job(code)
        entry.ended = time.perf_counter()
        entry.expires_s = time.time() + self._results_s
        entry.expiry = asyncio.get_running_loop().call_later(self._results_s, self._forget, entry.id)
        self._ended[entry.id] = None
        if entry.outputs:
            self._with_results[entry.id] = entry.results_bytes
        self._forget_oldest()

    def _entry(self, job_id: str) -> _Entry:
        if job_id not in self._entries:
            raise base.unknown()
        return self._entries[job_id]

    def _forget_oldest(self) -> None:
        """Until those that are left, and their results, have room; the newest results stay, however large."""
        while len(self._ended) > MOST_ENDED:
            self._forget(next(iter(self._ended)))
        excess = sum(self._with_results.values()) - self._results_bytes
        while excess > 0 and len(self._with_results) > 1:
            oldest = next(iter(self._with_results))
            excess -= self._with_results[oldest]
            self._forget(oldest)

    def _forget(self, job_id: str) -> None:
        self._ended.pop(job_id, None)
        self._with_results.pop(job_id, None)
        entry = self._entries.pop(job_id, None)
        if entry and entry.expiry:
            entry.expiry.cancel()
        if entry and entry.key:
            del self._ids[entry.key]


def _aside(outputs: Outputs) -> dict[Output, bytes | mmap.mmap]:
    """The film, which may be large, in a file without a name, gone when nobody reads it; the others as they are.

    Raises OSError on a full disk.
    """
    return {name: _in_file(content) if name == "film" else content for name, content in outputs.items()}


def _in_file(content: bytes) -> mmap.mmap:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


async def _stopped(entries: Iterable[_Entry]) -> None:
    tasks = [entry.task for entry in entries if entry.task]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _kept(clip: BinaryIO) -> BinaryIO:
    """A copy in a file without a name: nothing is left of it, however this process ends."""
    copy = tempfile.TemporaryFile()
    try:
        clip.seek(0)
        shutil.copyfileobj(clip, copy)
        copy.flush()
    except BaseException:
        copy.close()
        raise
    return cast(BinaryIO, copy)
