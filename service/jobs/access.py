"""What the routes of `/jobs` have in common: where jobs are kept, and the job that a path names."""

from typing import Annotated

from fastapi import Depends, Path, Request

from service.jobs.base import Jobs, Record

PATH = "/jobs"
GONE = {
    404: "`job_not_found`: never was, deleted, its time has passed, or newer results needed its room",
    422: "`invalid_parameter`",
    503: "`jobs_unavailable`, with Retry-After",
}


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


Kept = Annotated[Jobs, Depends(_jobs)]
JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


async def _record(job_id: JobId, jobs: Kept) -> Record:
    return await jobs.record(job_id)


Known = Annotated[Record, Depends(_record)]
