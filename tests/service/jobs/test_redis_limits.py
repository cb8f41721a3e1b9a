"""A full queue and a full Redis: what they refuse, and that jobs end all the same."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.admission import Overloaded
from service.jobs import keys
from service.jobs.attempt import Attempt
from service.jobs.base import JobOptions, Submission
from service.jobs.redis import RedisJobs, connect
from service.settings import Settings
from tests.service.jobs.conftest import PATIENCE_S, Redis


@asynccontextmanager
async def _jobs(server: Redis, room: int) -> AsyncIterator[RedisJobs]:
    jobs = RedisJobs(Settings(jobs=server.url, job_queue=room))
    yield jobs
    await jobs.close()


def _submission(clip: bytes, key: str | None = None) -> Submission:
    return Submission.of(io.BytesIO(clip), JobOptions(traits=("age",)), key)


def test_no_more_jobs_wait_than_may(redis_server: Redis) -> None:
    """Of clips that arrive at once, after all of them were let in, as many are taken as there is room for; one that is
    known is found all the same."""

    async def submitted() -> list[object]:
        async with _jobs(redis_server, room=2) as jobs:
            await asyncio.gather(*(jobs.check(None) for _ in range(6)))
            clips = [_submission(bytes([n]), f"key {n}") for n in range(6)]
            answers = await asyncio.gather(*(jobs.submit(clip) for clip in clips), return_exceptions=True)
            taken = next(n for n, answer in enumerate(answers) if not isinstance(answer, Exception))
            assert await jobs.submit(clips[taken]) == answers[taken]
            return answers

    refused = [answer for answer in asyncio.run(submitted()) if isinstance(answer, Overloaded)]
    assert len(refused) == 4
    client = redis_server.client()
    assert client.zcard(keys.QUEUE) == len(list(client.scan_iter("smile:job:*:clip"))) == 2
    assert len(list(client.scan_iter("smile:key:*"))) == 2


def test_job_is_held_and_ends_while_redis_is_full(redis_server: Redis) -> None:
    """Nothing new is taken, but signs of life are, and the job's end frees the memory of its clip."""

    async def worked() -> None:
        redis, full = connect(redis_server.url, retries=1), redis_server.client()
        async with _jobs(redis_server, room=2) as jobs, asyncio.timeout(PATIENCE_S):
            job_id = (await jobs.submit(_submission(b"clip"))).id
            attempt = Attempt(redis, job_id, lease_s=600)
            assert await attempt.claim() == 1
            full.config_set("maxmemory", 1)
            full.delete(keys.lease(job_id))
            beat = asyncio.create_task(attempt.beat())
            while not full.exists(keys.lease(job_id)):
                await asyncio.sleep(0.02)
            beat.cancel()
            await asyncio.wait([beat])
            assert await attempt.finish({"prediction": b"{}"}, None, kept_s=60)
            assert (await jobs.record(job_id)).state == "done"
            assert await jobs.output(job_id, "prediction") == b"{}"
            assert not full.exists(keys.clip(job_id))
        await redis.aclose(close_connection_pool=True)

    asyncio.run(worked())
