"""Jobs that gateways and workers share over Redis: the gateway's side. `service.jobs.worker` does the work."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import AbstractBackoff, ExponentialBackoff
from redis.exceptions import ConnectionError, OutOfMemoryError, RedisError, TimeoutError

from service.admission import Overloaded
from service.jobs import base, keys
from service.jobs.base import JobOptions, Output, Record, Submission
from service.problems import no_space
from service.schemas import Problem
from service.settings import Settings

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 2.0
CALL_TIMEOUT_S = 15.0
"""For one command, which may carry a whole clip."""
UNFINISHED_S = 86_400
"""A job that no worker has ended a day after it was submitted is given up and erased."""
RETRY_AFTER_S = 10
"""Nobody here knows how fast the workers are."""
BACKOFF: AbstractBackoff = ExponentialBackoff(cap=1.0, base=0.05)


def connect(url: str, retries: int) -> ArqRedis:
    """A client that connects when it is first used.

    `retries` is how often a command is tried again while Redis is away; -1: until it is back.
    """
    pool = ConnectionPool.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=CALL_TIMEOUT_S,
        retry=Retry(BACKOFF, retries),
        retry_on_error=[ConnectionError, TimeoutError],
    )
    return ArqRedis(
        pool,
        job_serializer=lambda job: json.dumps(job).encode(),
        job_deserializer=json.loads,
    )


@contextmanager
def _mapped() -> Iterator[None]:
    """Translate redis's exceptions at the boundary."""
    try:
        yield
    except OutOfMemoryError as error:
        log.error("redis is full")
        raise no_space() from error
    except RedisError as error:
        log.error("redis is away", extra={"error": type(error).__name__})
        raise base.unavailable() from error


class RedisJobs:
    def __init__(self, settings: Settings) -> None:
        self._redis = connect(settings.jobs, retries=1)
        self._room = settings.job_queue
        self._submit = self._redis.register_script(keys.SUBMIT)
        self._erase = self._redis.register_script(keys.ERASE)

    async def check(self, key: str | None) -> None:
        with _mapped():
            if key and await self._redis.exists(keys.idempotency(key)):
                return
            if await self._redis.zcard(keys.QUEUE) >= self._room:
                raise Overloaded(RETRY_AFTER_S)

    async def submit(self, submission: Submission) -> Record:
        """Recorded and queued in one step: whoever breaks off and asks again with its key finds the job or makes it."""
        fresh, created_s = uuid.uuid4().hex, time.time()
        touched = [keys.record(fresh), keys.clip(fresh), keys.QUEUE, job_key_prefix + fresh]
        if submission.key:
            touched.append(keys.idempotency(submission.key))
        clip = await asyncio.to_thread(_read, submission.clip)
        queued_ms = int(created_s * 1000)
        queued = serialize_job(keys.FUNCTION, (), {}, None, queued_ms, serializer=self._redis.job_serializer)
        fields: list[str | float] = [created_s, submission.fingerprint, submission.options.model_dump_json()]
        with _mapped():
            kept = await self._submit(touched, [fresh, UNFINISHED_S, clip, *fields, self._room, queued, queued_ms])
            if kept is None:
                raise Overloaded(RETRY_AFTER_S)
            record = await self.record(kept.decode())
        if record.fingerprint != submission.fingerprint:
            raise base.other_submission()
        return record

    async def record(self, job_id: str) -> Record:
        with _mapped():
            kept = await self._redis.hgetall(keys.record(job_id))  # type: ignore[misc]
        if not kept:
            raise base.unknown()
        return _record(job_id, {name.decode(): value.decode() for name, value in kept.items()})

    async def output(self, job_id: str, output: Output) -> bytes:
        with _mapped():
            kept: bytes | None = await self._redis.get(keys.output(job_id, output))
        if kept is None:
            raise base.unknown()
        return kept

    async def delete(self, job_id: str) -> None:
        """The worker that has it stops when its next sign of life is refused."""
        touched = [keys.QUEUE, job_key_prefix + job_id, *keys.everything(job_id)]
        with _mapped():
            if not await self._erase(touched, [job_id]):
                raise base.unknown()

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)


def _read(clip: BinaryIO) -> bytes:
    clip.seek(0)
    return clip.read()


def _record(job_id: str, kept: dict[str, str]) -> Record:
    progress, options = json.loads(kept.get("progress", "{}")), JobOptions.model_validate_json(kept["options"])
    expires, problem = kept.get("expires"), kept.get("problem")
    return Record(
        id=job_id,
        fingerprint=kept["fingerprint"],
        created_s=float(kept["created"]),
        trait=options.traits[0],
        film=options.film,
        network=options.network,
        state=kept["state"],  # type: ignore[arg-type]
        attempts=int(kept["attempts"]),
        **progress,
        expires_s=float(expires) if expires else None,
        problem=Problem.model_validate_json(problem) if problem else None,
    )
