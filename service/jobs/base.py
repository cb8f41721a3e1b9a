"""The seam between the routes and whatever keeps the jobs: `inprocess` or `redis`.

What a store refuses, it refuses as Refusal: there is no job without a request. Exceptions of redis are mapped at the
boundary, with `from`.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import BinaryIO, Literal, Protocol

from service.jobs.schemas import Job, JobState
from service.problems import Refusal
from service.progress import Progress
from service.schemas import FilmFormat, Networks, Problem, Trait
from service.work import Options

Output = Literal["prediction", "drawing", "film"]
Outputs = dict[Output, bytes]
"""What comes of a clip: the JSON of the prediction, what figures are drawn from (`service.jobs.drawing`), the film."""
READING_SHARE = 0.7
"""Of reading in the work on a job that also makes a film."""


class JobOptions(Options):
    film: FilmFormat | None = None

    def progress(self) -> Progress:
        return Progress(READING_SHARE if self.film else 1.0)


@dataclass(frozen=True)
class Submission:
    """A clip to be worked on.

    Attributes:
        clip: seekable file, read during the request only.
        key: the client's Idempotency-Key.
        fingerprint: of clip and parameters; equal for equal answers.
    """

    clip: BinaryIO
    options: JobOptions
    key: str | None
    fingerprint: str

    @classmethod
    def of(cls, clip: BinaryIO, options: JobOptions, key: str | None) -> "Submission":
        """Reads the clip once; for a thread."""
        clip.seek(0)
        digest = hashlib.sha256(options.model_dump_json().encode())
        for chunk in iter(lambda: clip.read(1 << 20), b""):
            digest.update(chunk)
        return cls(clip, options, key, digest.hexdigest())


@dataclass(frozen=True)
class Record:
    """What is kept of a job beside its clip and its outputs.

    Attributes:
        trait: the first that was asked for.
        created_s, expires_s: seconds of the epoch; `expires_s` None until it has ended.
        frames, fraction, seconds: decoded, done, and spent on this attempt.
    """

    id: str
    fingerprint: str
    created_s: float
    trait: Trait = "age"
    film: FilmFormat | None = None
    network: Networks = "fdin"
    state: JobState = "queued"
    attempts: int = 0
    frames: int = 0
    fraction: float | None = 0.0
    seconds: float = 0.0
    expires_s: float | None = None
    problem: Problem | None = None

    def shown(self) -> Job:
        done = self.state == "done"
        left = self.seconds * (1 / self.fraction - 1) if self.state == "running" and self.fraction else None
        return Job(
            id=self.id,
            state=self.state,
            created=_moment(self.created_s),
            attempts=self.attempts,
            fraction=1.0 if done else None if self.fraction is None else round(self.fraction, 4),
            frames_decoded=self.frames,
            frames_per_second=round(self.frames / self.seconds, 1) if self.frames and self.seconds else None,
            remaining_s=0.0 if done else None if left is None else round(left, 1),
            expires=None if self.expires_s is None else _moment(self.expires_s),
            film=self.film,
            network=self.network,
            problem=self.problem,
        )


def _moment(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)


def for_logs(job_id: str) -> str:
    """Enough to follow a job by; whoever knows the whole id may read and delete the job."""
    return job_id[:8]


class Jobs(Protocol):
    async def check(self, key: str | None) -> None:
        """Before the clip has arrived: raises Overloaded where `submit` would, which it never does with a key that is
        known; Refusal where nothing can be kept."""

    async def submit(self, submission: Submission) -> Record:
        """Keep the clip and queue its job; with a key that is known, the job that has it already.

        Raises:
            Overloaded: no more clips may wait.
            Refusal: the key belongs to another clip or other parameters, or nothing can be kept for now.
        """

    async def record(self, job_id: str) -> Record:
        """Raises Refusal where there is no such job (any more)."""

    async def output(self, job_id: str, output: Output) -> bytes:
        """Of a job that is done. Raises Refusal where there is none (any more)."""

    async def delete(self, job_id: str) -> None:
        """Stop the work within one block and erase everything. Raises Refusal where there is no such job."""

    async def close(self) -> None:
        """Stop what runs here and erase what only this process keeps."""


def unknown() -> Refusal:
    return Refusal(
        HTTPStatus.NOT_FOUND,
        "job_not_found",
        "There is no such job here: it was deleted, the time for which its results are kept has passed, or newer ones "
        "needed their room.",
    )


def other_submission() -> Refusal:
    return Refusal(
        HTTPStatus.CONFLICT,
        "idempotency_conflict",
        "This Idempotency-Key was used for another clip or other parameters. Take a new key for a new job.",
    )


def unavailable() -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "jobs_unavailable",
        "The queue of jobs cannot be reached. Nothing is lost; try again later.",
        {"Retry-After": "5"},
    )
