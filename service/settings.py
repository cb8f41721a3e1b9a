"""Everything that an operator can set, read from the environment (`SMILE_...`) when the application is created."""

import logging
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from smile.decoding import Limits

log = logging.getLogger(__name__)

BackendName = Literal["inprocess", "triton"]

PREFIX = "SMILE_"
ELSEWHERE = {"SMILE_STILLS"}
"""Read by what trains, and no setting."""
_CGROUP = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = _CGROUP) -> int:
    """Cores that this process may really use: its affinity, cut by the cgroup's CPU quota (a container's `--cpus`)."""
    cores = len(os.sched_getaffinity(0))
    quota_us, period_us = _cpu_quota(cgroup)
    return min(cores, max(1, quota_us // period_us)) if quota_us > 0 else cores


def _cpu_quota(cgroup: Path) -> tuple[int, int]:
    """(quota, period) in microseconds, of cgroup version 2 or 1; a quota below 1 means that there is none."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except OSError:
        try:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return -1, 1
    return (-1, 1) if quota == "max" else (int(quota), int(period))


class Settings(BaseSettings):
    """One attribute per variable: `max_upload_mb` is `SMILE_MAX_UPLOAD_MB`. An empty one counts as absent."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, hide_input_in_errors=True)

    backend: BackendName = "inprocess"
    model_repository: Path = Path(__file__).parent.parent / "model_repository"
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the in-process backend runs; `cuda` without a usable GPU is a start-up error."""
    triton_url: str = "127.0.0.1:8001"
    """host:port of Triton's gRPC endpoint."""
    triton_device: Literal["any", "gpu"] = "any"
    """`gpu`: a Triton that found no usable GPU, and took the CPU, counts as unavailable."""

    max_upload_mb: float = Field(default=64, gt=0)
    max_pixels: int = Field(default=Limits.max_pixels, gt=0)
    max_duration_s: float = Field(default=Limits.max_duration_s, gt=0)
    max_frames: int = Field(default=Limits.max_frames, gt=0)
    upload_pause_s: float = Field(default=10, gt=0)
    """Longest silence of a client in the middle of its upload."""
    upload_deadline_s: float = Field(default=300, gt=0)
    """Longest time from the first byte of an upload to its last.

    Uploads that arrive, wait or are in work may hold `upload_room_bytes`. Jobs in process have a clip each, and their
    results may be as large again. So the folder of temporary files can come to hold `max_upload_mb` x 2 x
    (`concurrency` + `queue` + `job_concurrency` + `job_queue`), and the films that are being drawn or fetched; where
    it has less room, clips are refused when it is full.
    """

    concurrency: int = Field(default_factory=lambda: available_cores() + 1, ge=1)
    """Clips worked on at once."""
    queue: int = Field(default=16, ge=0)
    """Clips that may wait; one more is refused with 503."""
    deadline_s: float = Field(default=60, gt=0)
    """Longest time from the end of the upload to the answer."""

    jobs: str = Field(default="inprocess", pattern=r"^(inprocess$|rediss?://|unix://)")
    """`inprocess`, or the URL of the Redis over which gateways and workers share them."""
    job_concurrency: int = Field(default=1, ge=1)
    """Jobs worked on at once, by each gateway (in process) or each worker."""
    job_queue: int = Field(default=16, ge=0)
    """Jobs that may wait; one more is refused with 503. Over Redis: with those in work, at all workers."""
    job_deadline_s: float = Field(default=900, gt=0)
    """Longest work on one job."""
    job_results_s: float = Field(default=3600, gt=0)
    """How long a job that has ended, and its results, are kept. In process the oldest are forgotten before, where they
    are very many, or their results would be larger than the clips of as many jobs as may wait and be in work."""
    job_lease_s: float = Field(default=10, ge=1)
    """After how long without a sign of life a worker's job is given to another."""

    gender: bool = True
    """False: gender is neither answered nor accepted in `traits`."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("jobs")
    @classmethod
    def _parsable(cls, jobs: str) -> str:
        if jobs != "inprocess":
            from redis.asyncio.connection import parse_url

            try:
                parse_url(jobs)
            except ValueError:  # whose words may quote the password
                usage = "no URL of a Redis: write redis://user:password@host:port/number"
                raise PydanticCustomError("redis_url", usage) from None
        return jobs

    @property
    def limits(self) -> Limits:
        return Limits(self.max_pixels, self.max_duration_s, self.max_frames)

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mb * 1_000_000)

    @property
    def upload_room_bytes(self) -> int:
        """For uploads that arrive, wait or are in work: while some have their places, as many may be on their way."""
        return 2 * (self.concurrency + self.queue) * self.max_upload_bytes


def warn_of_unknown() -> None:
    """Log each variable that is named as a setting and is none, such as a misspelt one."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | ELSEWHERE
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            log.warning("unknown setting", extra={"variable": name})
