"""`/jobs`: submit a clip, look how far it is, fetch what came of it, delete it."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service import figure, problems, schemas
from service.jobs import drawing
from service.jobs.base import Jobs, Record, Submission
from service.jobs.schemas import Job
from service.work import PROBLEMS, Asked, Clip, Served, check_offered
from smile.svg import ThemeName

PATH = "/jobs"
FINAL = ("done", "failed", "gone")
"""Events after which none follow."""
LOOK_S = 0.5
"""Between two looks at a job that is followed."""
IDEMPOTENCY = (
    "Any text of the client's choice. The same key with the same clip and parameters is answered with the same job, "
    "for as long as that is kept."
)
GONE = {
    404: "`job_not_found`: never was, deleted, or its time has passed",
    422: "`invalid_parameter`",
    503: "`jobs_unavailable`, with Retry-After",
}
NOT_DONE = {
    **GONE,
    409: "`job_unfinished`, with Retry-After",
    422: f"{problems.OF_CLIPS}: what was wrong with the clip, as `/predict` says it; `invalid_parameter`",
    500: "`internal_error`, `worker_lost`",
    504: "`timeout`: the job took too long",
}


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


Kept = Annotated[Jobs, Depends(_jobs)]
JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Key = Annotated[str | None, Header(min_length=1, max_length=255, description=IDEMPOTENCY)]


async def _record(job_id: JobId, jobs: Kept) -> Record:
    return await jobs.record(job_id)


async def _done(record: Annotated[Record, Depends(_record)]) -> Record:
    """A job that is done. Raises Refusal: what it failed by, or that it has not ended."""
    if record.problem:
        raise problems.Refusal(record.problem.status, record.problem.code, record.problem.detail)
    if record.state != "done":
        raise problems.Refusal(HTTPStatus.CONFLICT, "job_unfinished", "The job is not done yet.", {"Retry-After": "1"})
    return record


Known = Annotated[Record, Depends(_record)]
Done = Annotated[Record, Depends(_done)]

router = APIRouter(prefix=PATH)


@router.post(
    "",
    operation_id="submit_job",
    status_code=HTTPStatus.ACCEPTED,
    summary="Leave a clip to be read, and come back for the answer",
    description="Takes the parameters of `/predict`. What that would refuse about the clip, the job fails by.",
    responses={
        202: {"headers": {"Location": {"description": "of the job", "schema": {"type": "string"}}}},
        **PROBLEMS,
        **problems.documented(
            {
                409: "`idempotency_conflict`: the key belongs to another clip or other parameters",
                503: "`overloaded`, `jobs_unavailable` or `storage_full`, with Retry-After",
            }
        ),
    },
)
async def submit(jobs: Kept, video: Clip, asked: Asked, response: Response, idempotency_key: Key = None) -> Job:
    submission = await asyncio.to_thread(Submission.of, video.file, asked, idempotency_key)
    record = await jobs.submit(submission)
    response.headers["Location"] = f"{PATH}/{record.id}"
    return record.shown()


@router.get("/{job_id}", operation_id="job", summary="Where a job is", responses=problems.documented(GONE))
async def job(record: Known) -> Job:
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
    "go on when it can.",
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


def _event(record: Record) -> tuple[str, Job | None]:
    return (record.state if record.state in FINAL else "progress"), record.shown()


@router.get(
    "/{job_id}/result",
    operation_id="job_result",
    summary="The answer of a job that is done, as `/predict` would have given it",
    response_model=schemas.Prediction,
    responses=problems.documented(NOT_DONE),
)
async def result(record: Done, jobs: Kept) -> Response:
    prediction = await jobs.output(record.id, "prediction")
    return Response(prediction, media_type="application/json", headers=figure.NOT_STORED)


def _look(
    format: Annotated[schemas.FigureFormat, Query(description=figure.FORMAT)] = "png",
    kind: Annotated[schemas.FigureKind, Query(description=figure.KIND)] = "relations",
    trait: Annotated[schemas.Trait, Query(description="The trait whose relations are drawn.")] = "age",
    theme: Annotated[ThemeName, Query(description=figure.THEME)] = "light",
) -> figure.Look:
    return figure.Look(format=format, kind=kind, theme=theme, trait=trait)


@router.get(
    "/{job_id}/figure",
    operation_id="job_figure",
    summary="Any figure of a job that is done",
    response_class=Response,
    responses={200: figure.RESPONSE, **problems.documented(NOT_DONE)},
)
async def job_figure(
    record: Done, jobs: Kept, service: Served, look: Annotated[figure.Look, Depends(_look)]
) -> Response:
    assert look.trait is not None
    check_offered(service.settings, look.trait, "trait")
    kept = drawing.unpacked(await jobs.output(record.id, "drawing"))
    return await figure.answered(kept, look.trait, look)
