"""`POST /film`: the clip with its relations on the moving face and the course of the smile below, as MP4 or WebM."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, BinaryIO, cast

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from service import problems, schemas
from service.pipeline import Pipeline
from service.progress import Progress
from service.reading import Reading
from service.work import PROBLEMS, Asked, Clip, Served, admitted, check_offered, invalid
from smile import film as drawing
from smile.film import Format
from smile.recording import Recording
from smile.regions import PAIRS

MEDIA_TYPES: dict[Format, str] = {"mp4": "video/mp4", "webm": "video/webm"}
FORMAT = "MP4 (H.264), or WebM (VP9), which takes longer. Default `mp4`."
TRAIT = "The trait whose relations are drawn. Default: the first of `traits`."
CHUNK_BYTES = 1 << 16

router = APIRouter()


async def read_and_film(
    pipeline: Pipeline,
    clip: BinaryIO,
    out: BinaryIO,
    *,
    trait: schemas.Trait,
    links: int,
    format: Format = "mp4",
    mirrored: bool = False,
    explain: bool = False,
    siam: bool = False,
    progress: Progress | None = None,
) -> Reading:
    """Read a clip, with its picture, and draw its film in one go.

    Args:
        clip: seekable; not closed here. It is no longer needed once `progress` is at its end.
        out: seekable, empty; the film is written into it.
        links: how many of the most important pairs are drawn.
        mirrored, explain, siam, progress: as of Pipeline.read.

    Raises: as Pipeline.read; Refusal where the disk is full.
    """
    with _refusing_full_disks(), Recording() as recording:
        reading = await pipeline.read(
            clip,
            mirrored=mirrored,
            explain=explain,
            picture=True,
            siam=siam,
            recording=recording,
            progress=progress,
        )
        picture = reading.picture
        assert picture is not None
        scene = drawing.Scene(
            trait=trait,
            importance=reading.age_importance if trait == "age" else reading.gender_importance,
            links=links,
            mirrored=mirrored,
            course=reading.course,
            times_s=picture.times_s,
            mouth_ratios=picture.mouth_ratios,
        )
        cancelled = threading.Event()
        frame_width = reading.video.width * reading.video.scale
        write = partial(
            drawing.write, recording, scene, out, format, frame_width=frame_width, cancelled=cancelled.is_set
        )
        await pipeline.run(write, cancelled.set)
        return reading


@contextmanager
def _refusing_full_disks() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if problems.is_disk_full(error):
            raise problems.no_space() from error
        raise


def check_filmed(network: schemas.Networks) -> None:
    """Raises Refusal where the network that is asked for has no relations."""
    if network == "siam":
        raise invalid("network: a film shows relations, which siam has none of; ask for fdin or both")


class Look(BaseModel):
    """What to draw, and how it is encoded. Each may stand in the query or in the form; the form wins."""

    format: Format
    trait: schemas.Trait | None


def _look(
    format: Annotated[Format | None, Query(description=FORMAT)] = None,
    trait: Annotated[schemas.Trait | None, Query(description=TRAIT)] = None,
    format_field: Annotated[Format | None, Form(alias="format", description=FORMAT)] = None,
    trait_field: Annotated[schemas.Trait | None, Form(alias="trait", description=TRAIT)] = None,
) -> Look:
    return Look(format=format_field or format or "mp4", trait=trait_field or trait)


@router.post(
    "/film",
    operation_id="film",
    summary="The clip with its strongest relations on the moving face, and the course of the smile below",
    description="Takes the parameters of `/predict`, and refuses what it refuses; also `network=siam`, since a film "
    "shows relations. `top` is how many pairs are drawn; `explain` and `picture` do not change the film. Its pictures "
    "are shown when the clip shows them, at most 45 a second; their longer side is at most 640 pixels, at least 480, "
    "the course below them not counted. There is no sound.",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The film.",
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()},
        },
        **PROBLEMS,
    },
)
async def film(
    request: Request, service: Served, video: Clip, asked: Asked, look: Annotated[Look, Depends(_look)]
) -> StreamingResponse:
    trait = look.trait or asked.traits[0]
    check_offered(service.settings, trait, "trait")
    check_filmed(asked.network)
    out = tempfile.TemporaryFile()
    try:
        await admitted(
            request,
            service,
            lambda: read_and_film(
                service.pipeline,
                video.file,
                cast(BinaryIO, out),
                trait=trait,
                links=len(PAIRS) if asked.top == "all" else asked.top,
                format=look.format,
                mirrored=asked.mirrored,
            ),
        )
    except BaseException:
        out.close()
        raise
    await video.close()  # or it would lie there for as long as somebody takes to fetch the film
    return StreamingResponse(
        _chunks(cast(BinaryIO, out)),
        media_type=MEDIA_TYPES[look.format],
        headers={
            "Content-Disposition": f'inline; filename="smile-film-{trait}.{look.format}"',
            "Content-Length": str(out.seek(0, 2)),
            "Cache-Control": "no-store",
        },
    )


def _chunks(film: BinaryIO) -> Iterator[bytes]:
    with film:
        film.seek(0)
        while chunk := film.read(CHUNK_BYTES):
            yield chunk
