"""`smile worker`: takes jobs from Redis until it is stopped.

Delivery is arq's: a job stays in the queue until it has ended, and a mark beside it keeps other workers away. Here that
mark is short, and renewed while the work goes on, so that the job of a worker that was killed is taken up in seconds.
"""

import asyncio
import contextlib
import io
import logging
from http import HTTPStatus
from typing import Any

from arq.worker import Retry, Worker, func
from redis.exceptions import RedisError

from service import logs
from service.backends import create_backend
from service.backends.base import Backend, BackendUnavailable
from service.jobs import keys
from service.jobs.attempt import PAUSE_S, Attempt
from service.jobs.base import JobOptions, Outputs, for_logs
from service.jobs.redis import UNFINISHED_S, connect
from service.jobs.run import failure, run
from service.pipeline import Pipeline
from service.problems import Refusal
from service.schemas import Problem
from service.settings import Settings, warn_of_unknown

log = logging.getLogger(__name__)

POLL_S = 0.25
MAX_ATTEMPTS = 3
"""A clip that cost so many workers their life is not given to another."""
ENDLESS = 1_000_000
"""For arq, to which waiting for another worker is a try too."""
CLOSE_S = 10.0
ENDED, LOST, GIVEN_BACK = "job ended", "job taken away", "job given back"


class ClipWorker:
    """The work of one process."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self._settings = settings
        self._pipeline = Pipeline(backend, settings.limits, settings.job_concurrency)
        self._redis = connect(settings.jobs, retries=-1)
        self._arq = Worker(
            functions=[func(self._read_clip, name=keys.FUNCTION)],  # type: ignore[arg-type]
            redis_pool=self._redis,
            queue_name=keys.QUEUE,
            max_jobs=settings.job_concurrency,
            job_timeout=UNFINISHED_S,
            keep_result=0,
            max_tries=ENDLESS,
            poll_delay=POLL_S,
            log_results=False,
            job_serializer=self._redis.job_serializer,
            job_deserializer=self._redis.job_deserializer,
        )
        self._arq.in_progress_timeout_s = settings.job_lease_s
        self._stopping = asyncio.Event()
        self._arq.on_stop = lambda _: self._stopping.set()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; what is in work then goes back to the queue."""
        while not self._stopping.is_set():
            try:
                await self._arq.async_run()
            except RedisError as error:
                log.warning("redis refuses", extra={"error": type(error).__name__})
                await asyncio.sleep(PAUSE_S)
            except asyncio.CancelledError:  # how arq stops
                break
        with contextlib.suppress(TimeoutError, RedisError):
            async with asyncio.timeout(CLOSE_S):
                await self._arq.close()
        await self._pipeline.close()

    async def _read_clip(self, context: dict[str, Any]) -> None:
        """What arq calls. Returns when the job has ended or is gone; raises Retry where it is left to be done."""
        attempt = Attempt(self._redis, context["job_id"], self._settings.job_lease_s)
        try:
            number = await attempt.claim()
            if number > 0:
                await self._hold(attempt)
            if await attempt.is_unfinished():
                raise Retry(defer=self._settings.job_lease_s)
        except RedisError as error:
            raise Retry(defer=PAUSE_S) from error

    async def _hold(self, attempt: Attempt) -> None:
        """Work for as long as the job is held."""
        fields = {"job": for_logs(attempt.job_id), "attempt": attempt.number}
        log.info("job begun", extra=fields)
        work, beat = asyncio.create_task(self._work(attempt)), asyncio.create_task(attempt.beat())
        try:
            await asyncio.wait((work, beat), return_when=asyncio.FIRST_COMPLETED)
            log.info(work.result() if work.done() else LOST, extra=fields)
        except asyncio.CancelledError:
            await _stopped(work, beat)
            await attempt.release()
            log.info(GIVEN_BACK, extra=fields)
            raise
        finally:
            await _stopped(work, beat)

    async def _work(self, attempt: Attempt) -> str:
        """What became of the job, for the log. A model server that is away is waited for, by way of the queue."""
        outputs: Outputs = {}
        problem: Problem | None = None
        settings = self._settings
        clip, options = await attempt.load()
        if not options:
            return LOST
        try:
            if attempt.number > MAX_ATTEMPTS:
                raise Refusal(
                    HTTPStatus.INTERNAL_SERVER_ERROR, "worker_lost", "The clip was given up: workers stopped on it."
                )
            asked = JobOptions.model_validate_json(options)
            attempt.progress = asked.progress()
            _, outputs = await run(
                self._pipeline, io.BytesIO(clip), asked, attempt.job_id, attempt.progress, settings.job_deadline_s
            )
        except BackendUnavailable as error:
            log.warning("backend unavailable", extra={"job": for_logs(attempt.job_id), "reason": str(error)})
            await attempt.release()
            return GIVEN_BACK
        except Exception as error:
            problem = failure(error, attempt.job_id)
        return ENDED if await attempt.finish(outputs, problem, settings.job_results_s) else LOST


async def _stopped(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _worked(settings: Settings) -> None:
    backend = create_backend(settings)
    try:
        await ClipWorker(settings, backend).run()
    finally:
        await backend.close()


def work(settings: Settings) -> None:
    """Run one worker until it is stopped. Raises BackendError where the graphs cannot be loaded."""
    logs.configure(settings.log_level)
    warn_of_unknown()
    asyncio.run(_worked(settings))
