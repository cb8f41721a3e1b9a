"""`/jobs`: submit a clip, look how far it is, delete it; `service.jobs.results` has what came of it."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service import problems, schemas
from service.figure import NOT_STORED
from service.film import check_filmed
from service.jobs.access import GONE, PATH, JobId, Kept, Known
from service.jobs.base import JobOptions, Record, Submission
from service.jobs.schemas import Job
from service.work import PROBLEMS, Asked, Clip

FINAL = ("done", "failed", "gone")
"""Events after which none follow."""
LOOK_S = 0.25
"""Between two looks at a job that is followed."""
IDEMPOTENCY = (
    "Any text of the client's choice. The same key with the same clip and parameters is answered with the same job, "
    "for as long as that is kept."
)
FILM = "Also make the film: of the first of `traits`, with `top` pairs; not with `network=siam`. Default: none."
OF_SUBMISSIONS = (408, 413, 415, 500)
"""What a submission is refused with as `/predict` is; nothing has looked into the clip yet."""
LOCATION = "Of the job, relative to the URL of the request."
Key = Annotated[str | None, Header(min_length=1, max_length=255, description=IDEMPOTENCY)]

router = APIRouter(prefix=PATH)


def _asked(
    asked: Asked,
    film: Annotated[schemas.FilmFormat | None, Query(description=FILM)] = None,
    film_field: Annotated[schemas.FilmFormat | None, Form(alias="film", description=FILM)] = None,
) -> JobOptions:
    film = film_field or film
    if film:
        check_filmed(asked.network)
    unknown = tuple(name for name in asked.unknown if name != "film")
    return JobOptions(**asked.model_dump() | {"film": film, "unknown": unknown})


@router.post(
    "",
    operation_id="submit_job",
    status_code=HTTPStatus.ACCEPTED,
    summary="Leave a clip to be read, and come back for the answer",
    description="Takes the parameters of `/predict`. What that would refuse about the clip, the job fails by.",
    responses={
        202: {
            "headers": {"Location": {"description": LOCATION, "schema": {"type": "string", "format": "uri-reference"}}}
        },
        **{status: PROBLEMS[status] for status in OF_SUBMISSIONS},
        **problems.documented(
            {
                409: "`idempotency_conflict`: the key belongs to another clip or other parameters",
                422: "`invalid_parameter`",
                503: "`overloaded`, `jobs_unavailable` or `storage_full`, and where SIAM is asked for also "
                "`backend_unavailable`; with Retry-After",
            }
        ),
    },
)
async def submit(
    jobs: Kept,
    video: Clip,
    asked: Annotated[JobOptions, Depends(_asked)],
    response: Response,
    idempotency_key: Key = None,
) -> Job:
    submission = await asyncio.to_thread(Submission.of, video.file, asked, idempotency_key)
    record = await jobs.submit(submission)
    response.headers.update(NOT_STORED)
    response.headers["Location"] = f"{PATH.removeprefix('/')}/{record.id}"  # proxies may have taken off what is before
    return record.shown()


@router.get("/{job_id}", operation_id="job", summary="Where a job is", responses=problems.documented(GONE))
async def job(record: Known, response: Response) -> Job:
    response.headers.update(NOT_STORED)
    return record.shown()


@router.delete(
    "/{job_id}",
    operation_id="delete_job",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Stop a job within one block of frames, and erase its clip and results",
    responses=problems.documented(GONE),
)
async def delete(job_id: JobId, jobs: Kept) -> None:
    await jobs.delete(job_id)


@router.get(
    "/{job_id}/events",
    operation_id="job_events",
    summary="A job's progress as server-sent events, to its end",
    description="`progress` whenever it has changed; then `done` or `failed`, each with the job as `GET /jobs/{job_id}`"
    " answers it. `gone`, with null: it was deleted. `unavailable`, with null: the queue cannot be reached; events "
    "go on when it can. `stopping`, with null, is the last one where the server stops.",
    response_class=EventSourceResponse,
    responses=problems.documented(GONE),
)
async def events(request: Request, record: Known, jobs: Kept) -> AsyncIterator[ServerSentEvent]:
    told: tuple[str, Job | None] | None = None
    event, shown = _event(record)
    while not request.app.state.stopping:
        if (event, shown) != told:
            told = event, shown
            yield ServerSentEvent(event=event, raw_data=shown.model_dump_json() if shown else "null")
        if event in FINAL:
            return
        await asyncio.sleep(LOOK_S)
        try:
            event, shown = _event(await jobs.record(record.id))
        except problems.Refusal as refusal:
            event, shown = ("gone" if refusal.status_code == HTTPStatus.NOT_FOUND else "unavailable"), None
    yield ServerSentEvent(event="stopping", raw_data="null")


def _event(record: Record) -> tuple[str, Job | None]:
    return (record.state if record.state in FINAL else "progress"), record.shown()
