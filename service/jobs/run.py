"""The work of one job, wherever it is done: clip -> outputs, or what was wrong."""

import asyncio
import logging
import tempfile
import time
from dataclasses import replace
from http import HTTPStatus
from typing import BinaryIO, cast

from service import answer, problems
from service.backends.base import BackendError
from service.drawing import Drawing
from service.film import read_and_film
from service.jobs import drawing
from service.jobs.base import JobOptions, Outputs, for_logs
from service.pipeline import Pipeline
from service.progress import Progress
from service.reading import Reading, Seen, without_picture
from service.schemas import Problem
from smile.errors import SmileError
from smile.regions import PAIRS

log = logging.getLogger(__name__)


async def run(
    pipeline: Pipeline, clip: BinaryIO, options: JobOptions, job_id: str, progress: Progress, deadline_s: float
) -> tuple[Seen, Outputs]:
    """Read the clip. Every figure can be drawn afterwards, so it is always read with its picture and explained.

    Raises:
        SmileError, BackendError, Refusal: as `/predict`.
    """
    started = time.perf_counter()
    try:
        async with asyncio.timeout(deadline_s):
            reading, film = await _read(pipeline, clip, options, progress)
    except TimeoutError as error:
        raise problems.Refusal(
            HTTPStatus.GATEWAY_TIMEOUT, "timeout", f"The job was not done within {deadline_s:g} s."
        ) from error
    prediction = await asyncio.to_thread(
        answer.prediction,
        _as_asked(reading, options),
        request_id=job_id,
        traits=options.traits,
        top=None if options.top == "all" else options.top,
        total_s=time.perf_counter() - started,
        unknown=options.unknown,
    )
    outputs: Outputs = {
        "prediction": prediction.model_dump_json().encode(),
        "drawing": await asyncio.to_thread(drawing.packed, Drawing.of(reading)),
    }
    return reading, outputs | ({"film": film} if film else {})


async def _read(pipeline: Pipeline, clip: BinaryIO, options: JobOptions, progress: Progress) -> tuple[Seen, bytes]:
    """(reading, film, empty unless asked for)."""
    if not options.film:
        seen = await pipeline.read_by(
            options.network, clip, mirrored=options.mirrored, explain=True, picture=True, progress=progress
        )
        return seen, b""
    with tempfile.TemporaryFile() as out:
        reading = await read_and_film(
            pipeline,
            clip,
            cast(BinaryIO, out),
            trait=options.traits[0],
            links=len(PAIRS) if options.top == "all" else options.top,
            format=options.film,
            mirrored=options.mirrored,
            explain=True,
            siam=options.network == "both",
            progress=progress,
        )
        out.seek(0)
        return reading, out.read()


def _as_asked(seen: Seen, options: JobOptions) -> Seen:
    """Without what was not asked for, so that the answer is that of `/predict`."""
    if isinstance(seen, Reading) and not options.explain:
        seen = replace(seen, age=seen.age[:1], gender=seen.gender[:1])
    return seen if options.picture else without_picture(seen)


def failure(error: Exception, job_id: str) -> Problem:
    """What to tell of work that failed, which is final: 500 where `/predict` would say 503, that it passes.

    Logs what is not the clip's fault.
    """
    if not isinstance(error, (SmileError, problems.Refusal)):
        event = "backend failed" if isinstance(error, BackendError) else "unexpected error"
        log.error(event, exc_info=error, extra={"job": for_logs(job_id)})
    problem = problems.of(error, job_id)
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        final = HTTPStatus.INTERNAL_SERVER_ERROR
        problem = problem.model_copy(update={"status": final.value, "title": final.phrase})
    return problem
