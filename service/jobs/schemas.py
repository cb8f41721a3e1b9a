"""The JSON of a job."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.schemas import FilmFormat, Networks, Problem

JobState = Literal["queued", "running", "done", "failed"]


class Job(BaseModel):
    """Where a job is. One that was deleted, or whose time has passed, is not known any more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="whoever knows it may read and delete the job")
    state: JobState
    created: datetime
    attempts: int = Field(description="how often the work was begun; above 1 where a worker was lost")
    fraction: float | None = Field(description="done, 0-1; null where the clip's header does not tell how long it is")
    frames_decoded: int
    frames_per_second: float | None = Field(description="decoded per second of work; null before the first")
    remaining_s: float | None = Field(description="estimate of the work left, once it is running; null where unknown")
    expires: datetime | None = Field(
        description="until when a job that has ended, and what came of it, is kept, unless newer results need its room"
    )
    film: FilmFormat | None = Field(default=None, description="the film that was asked for")
    network: Networks = Field(default="fdin", description="what reads the clip")
    problem: Problem | None = Field(
        description="of a failed job: what /predict would have answered, 500 in place of 503"
    )
