"""One worker's hold on one job: taken, renewed while the work goes on, given back or ended."""

import asyncio
import json
import time
import uuid

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from redis.exceptions import RedisError

from service.jobs import keys
from service.jobs.base import Outputs
from service.progress import Progress
from service.schemas import Problem

BEAT_S = 0.25
"""Between signs of life: how long the work on a deleted job may go on before its block is the last."""
PAUSE_S = 1.0
"""Before Redis is asked again after it refused."""


class Attempt:
    """Waits wherever Redis is away; raises RedisError only where Redis refuses.

    Attributes:
        number: of the attempt, from 1, once it is held.
    """

    def __init__(self, redis: ArqRedis, job_id: str, lease_s: float) -> None:
        self.job_id = job_id
        self.progress = Progress()
        self.number = 0
        self._redis = redis
        self._lease_ms = int(lease_s * 1000)
        self._token = uuid.uuid4().hex
        self._began = time.perf_counter()
        self._hold = [keys.record(job_id), keys.lease(job_id)]
        self._clip = keys.clip(job_id)

    async def claim(self) -> int:
        """Take the job: the number of the attempt; 0 where there is nothing to do; -1 where another holds it."""
        claim = self._redis.register_script(keys.CLAIM)
        self.number = await claim(self._hold, [self._token, self._lease_ms])
        return self.number

    async def load(self) -> tuple[bytes, str]:
        """(clip, JSON of the options); both empty where the job was erased meanwhile."""
        clip = await self._redis.get(self._clip)
        options = await self._redis.hget(keys.record(self.job_id), "options")  # type: ignore[misc]
        return clip or b"", (options or b"").decode()

    async def beat(self) -> None:
        """Give signs of life until the job is not held any more: erased, or taken by another."""
        beat = self._redis.register_script(keys.BEAT)
        held = [*self._hold, in_progress_key_prefix + self.job_id]
        while True:
            try:
                if not await beat(held, [self._token, self._lease_ms, self._progress()]):
                    return
            except RedisError:
                await asyncio.sleep(PAUSE_S)
            await asyncio.sleep(BEAT_S)

    async def release(self) -> None:
        """Give the job back unended."""
        await self._redis.register_script(keys.RELEASE)(self._hold, [self._token])

    async def finish(self, outputs: Outputs, problem: Problem | None, kept_s: float) -> bool:
        """End the job, however long Redis refuses. Returns False where it is not held any more."""
        finish = self._redis.register_script(keys.FINISH)
        touched = [keys.record(self.job_id), self._clip, keys.lease(self.job_id)]
        touched += [keys.output(self.job_id, name) for name in outputs]
        told = problem.model_dump_json() if problem else ""
        state, expires_s = "failed" if problem else "done", time.time() + kept_s
        ended: list[str | float | bytes] = [
            state,
            int(kept_s * 1000),
            expires_s,
            self._progress(),
            told,
            *outputs.values(),
        ]
        while True:
            try:
                return bool(await finish(touched, [self._token, *ended]))
            except RedisError:
                await asyncio.sleep(PAUSE_S)

    async def is_unfinished(self) -> bool:
        """Whether there is anything left to do, for whomever."""
        state = await self._redis.hget(keys.record(self.job_id), "state")  # type: ignore[misc]
        return state in (b"queued", b"running")

    def _progress(self) -> str:
        seconds = time.perf_counter() - self._began
        return json.dumps(
            {"frames": self.progress.frames, "fraction": self.progress.fraction, "seconds": round(seconds, 3)}
        )
