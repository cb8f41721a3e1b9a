"""What came of a job that is done: the answer, its figures, the film."""

import re
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.datastructures import Headers

from service import figure, film, problems, schemas
from service.jobs import drawing
from service.jobs.access import GONE, PATH, Kept, Known
from service.jobs.base import Record
from service.work import Served
from smile.svg import ThemeName

FILM_RESPONSE: dict[str, Any] = {
    "description": "The film.",
    "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in film.MEDIA_TYPES.values()},
}
_ONE_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")
NOT_DONE = {
    **GONE,
    409: "`job_unfinished`, with Retry-After",
    422: f"{problems.OF_CLIPS}: what was wrong with the clip, as `/predict` says it; `invalid_parameter`",
    500: "`internal_error`, `worker_lost`; `backend_unavailable`, `storage_full`: the job failed by it, for good",
    504: "`timeout`: the job took too long",
}


async def _done(record: Known) -> Record:
    """A job that is done. Raises Refusal: what it failed by, or that it has not ended."""
    if record.problem:
        raise problems.Refusal(record.problem.status, record.problem.code, record.problem.detail)
    if record.state != "done":
        raise problems.Refusal(HTTPStatus.CONFLICT, "job_unfinished", "The job is not done yet.", {"Retry-After": "1"})
    return record


Done = Annotated[Record, Depends(_done)]

router = APIRouter(prefix=PATH)


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
    kind: Annotated[schemas.FigureKind | None, Query(description=figure.KIND)] = None,
    trait: Annotated[schemas.Trait | None, Query(description=figure.TRAIT)] = None,
    theme: Annotated[ThemeName, Query(description=figure.THEME)] = "light",
) -> figure.Look:
    return figure.Look(format=format, kind=kind, theme=theme, trait=trait)


@router.get(
    "/{job_id}/figure",
    operation_id="job_figure",
    summary="Any figure of a job that is done",
    response_class=Response,
    responses={
        200: figure.RESPONSE,
        **problems.documented({**NOT_DONE, 404: f"{GONE[404]}; `no_drawing`: done by another version of the service"}),
    },
)
async def job_figure(
    record: Done, jobs: Kept, service: Served, look: Annotated[figure.Look, Depends(_look)]
) -> Response:
    trait = figure.trait_of(service.settings, look.trait or record.trait, record.network)
    kind = figure.kind_of(look.kind, record.network)
    try:
        kept = drawing.unpacked(await jobs.output(record.id, "drawing"))
    except drawing.Outdated as error:
        why = "Another version of the service did this job and kept other things to draw. Send the clip again."
        raise problems.Refusal(HTTPStatus.NOT_FOUND, "no_drawing", why) from error
    return await figure.answered(kept, kind, trait, look)


@router.get(
    "/{job_id}/film",
    operation_id="job_film",
    summary="The film of a job that is done, where it was asked for",
    response_class=Response,
    responses={
        200: FILM_RESPONSE,
        206: {**FILM_RESPONSE, "description": "The one range of its bytes that was asked for."},
        **problems.documented({**NOT_DONE, 404: f"{GONE[404]}; `no_film`: not asked for"}),
    },
)
async def job_film(request: Request, record: Done, jobs: Kept) -> Response:
    if record.film is None:
        raise problems.Refusal(HTTPStatus.NOT_FOUND, "no_film", "No film was asked for with this job: add `film=mp4`.")
    whole = await jobs.output(record.id, "film")
    part = _range(request.headers, len(whole))
    return Response(
        whole[part.start : part.stop] if part else whole,
        HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK,
        media_type=film.MEDIA_TYPES[record.film],
        headers={
            "Content-Disposition": f'inline; filename="smile-film.{record.film}"',
            "Accept-Ranges": "bytes",
            **({"Content-Range": f"bytes {part.start}-{part.stop - 1}/{len(whole)}"} if part else {}),
            **figure.NOT_STORED,
        },
    )


def _range(headers: Headers, size: int) -> range | None:
    """The bytes that are asked for, as Safari asks before it plays anything; None for all of them: also where several
    ranges are asked for, one beyond the end, or one of a version, which are not told apart here."""
    asked = _ONE_RANGE.fullmatch(headers.get("range", ""))
    if asked is None or "if-range" in headers:
        return None
    first, last, from_end = asked.groups()
    if from_end:
        return range(max(0, size - int(from_end)), size) or None
    return range(int(first), min(int(last) + 1, size) if last else size) or None
