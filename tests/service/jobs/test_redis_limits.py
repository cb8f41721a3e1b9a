"""A full queue and a full Redis: what they refuse, and that jobs end all the same."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from service.admission import Overloaded
from service.jobs import keys
from service.jobs.attempt import Attempt
from service.jobs.base import JobOptions, Submission
from service.jobs.redis import RedisJobs, connect
from service.settings import Settings
from tests.service.jobs.conftest import PATIENCE_S, Redis


@pytest.fixture
async def jobs(redis_server: Redis) -> AsyncIterator[RedisJobs]:
    """Room for two."""
    jobs = RedisJobs(Settings(jobs=redis_server.url, job_queue=2))
    yield jobs
    await jobs.close()


def _submission(clip: bytes, key: str | None = None) -> Submission:
    return Submission.of(io.BytesIO(clip), JobOptions(traits=("age",)), key)


async def test_no_more_jobs_wait_than_may(jobs: RedisJobs, redis_server: Redis) -> None:
    """Of clips that arrive at once, after all were let in, as many are taken as there is room for; one that is known
    is found all the same."""
    await asyncio.gather(*(jobs.check(None) for _ in range(6)))
    clips = [_submission(bytes([number]), f"key {number}") for number in range(6)]
    answers = await asyncio.gather(*(jobs.submit(clip) for clip in clips), return_exceptions=True)
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 4
    taken = next(number for number, answer in enumerate(answers) if not isinstance(answer, Overloaded))
    assert await jobs.submit(clips[taken]) == answers[taken]
    kept = redis_server.client()
    assert kept.zcard(keys.QUEUE) == 2
    for pattern in ("smile:job:*:clip", "smile:key:*"):
        assert len(list(kept.scan_iter(pattern))) == 2


async def test_job_is_held_and_ends_while_redis_is_full(jobs: RedisJobs, redis_server: Redis) -> None:
    """Signs of life are taken, and the job's end frees the memory of its clip."""
    worker, kept = connect(redis_server.url, retries=1), redis_server.client()
    async with asyncio.timeout(PATIENCE_S), aclosing(worker.connection_pool):
        job_id = (await jobs.submit(_submission(b"clip"))).id
        attempt = Attempt(worker, job_id, lease_s=600)
        assert await attempt.claim() == 1
        kept.config_set("maxmemory", 1)
        kept.delete(keys.lease(job_id))
        beat = asyncio.create_task(attempt.beat())
        while not kept.exists(keys.lease(job_id)):
            await asyncio.sleep(0.02)
        beat.cancel()
        await asyncio.wait([beat])
        assert await attempt.finish({"prediction": b"{}"}, None, kept_s=60)
        assert (await jobs.record(job_id)).state == "done"
        assert await jobs.output(job_id, "prediction") == b"{}"
        assert not kept.exists(keys.clip(job_id))
