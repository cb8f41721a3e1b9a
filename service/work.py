"""How a request becomes a reading: parameters, a place in the queue, a deadline, a client that may go away."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from http import HTTPStatus
from itertools import chain, islice
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, File, Form, Query, Request, UploadFile
from pydantic import BaseModel, Field

from service import answer, kinds, problems, schemas
from service.admission import Gate
from service.backends.base import Backend, BackendError, both_models
from service.middleware import path_of
from service.pipeline import Pipeline
from service.readiness import Readiness
from service.reading import Seen
from service.settings import Settings

Read = TypeVar("Read", bound=Seen)


class Service:
    """What lives as long as the application."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self.settings = settings
        self.backend = backend
        self.readiness = Readiness(backend)
        self.pipeline = Pipeline(backend, settings.limits, settings.concurrency)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]
Clip = Annotated[
    UploadFile,
    File(description="The clip: any container and codec that FFmpeg decodes.", json_schema_extra={"format": "binary"}),
]

Count = Annotated[int, Field(ge=1)] | Literal["all"]
TOP = f"How many relations to list, or `all`. Default {schemas.DEFAULT_TOP}."
TRAITS = "Which traits to answer; repeat or separate by commas. Default: all that are offered."
MIRRORED = "The clip shows its subject as in a mirror (a selfie preview)."
EXPLAIN = "Also measure what zeroing each region and each pair does to the answer. Not with `network=siam`."
PICTURE = (
    "Also give what figures are drawn from: the aligned face at the apex, and the mouth at every instant; of SIAM the "
    "most attended frames and warped faces, under their heat."
)
NETWORK = "Which network reads the clip: the interpreter (`fdin`, the default), SIAM (`siam`, age alone), or both."

PROBLEMS = problems.documented(
    {
        408: "`timeout`: the upload stopped arriving, or took too long",
        413: "`upload_too_large`",
        415: "`unsupported_media_type`: not multipart/form-data",
        422: f"{problems.OF_CLIPS}, `invalid_parameter`",
        500: "`internal_error`",
        503: "`overloaded`, `backend_unavailable` or `storage_full`, with Retry-After",
        504: "`timeout`: the deadline passed",
    }
)
"""What every route that takes a clip may answer instead."""


class Options(BaseModel):
    """Parameters of a prediction. Each may stand in the query or in the form; the form wins. `unknown` names the first
    others that came."""

    top: Count = schemas.DEFAULT_TOP
    traits: tuple[schemas.Trait, ...]
    mirrored: bool = False
    explain: bool = False
    picture: bool = False
    network: schemas.Networks = "fdin"
    unknown: tuple[str, ...] = ()


PARAMETERS = {"video", *Options.model_fields} - {"unknown"}
NAMED, NAME_LENGTH = 5, 40
"""How many others are named, and how much of each."""


async def _options(
    request: Request,
    service: Served,
    top: Annotated[Count | None, Query(description=TOP)] = None,
    traits: Annotated[list[str] | None, Query(description=TRAITS)] = None,
    mirrored: Annotated[bool | None, Query(description=MIRRORED)] = None,
    explain: Annotated[bool | None, Query(description=EXPLAIN)] = None,
    picture: Annotated[bool | None, Query(description=PICTURE)] = None,
    network: Annotated[schemas.Networks | None, Query(description=NETWORK)] = None,
    top_field: Annotated[Count | None, Form(alias="top", description=TOP)] = None,
    traits_field: Annotated[list[str] | None, Form(alias="traits", description=TRAITS)] = None,
    mirrored_field: Annotated[bool | None, Form(alias="mirrored", description=MIRRORED)] = None,
    explain_field: Annotated[bool | None, Form(alias="explain", description=EXPLAIN)] = None,
    picture_field: Annotated[bool | None, Form(alias="picture", description=PICTURE)] = None,
    network_field: Annotated[schemas.Networks | None, Form(alias="network", description=NETWORK)] = None,
) -> Options:
    form = await request.form()
    if len(form.getlist("video")) > 1:
        raise invalid("video: send one clip")
    offered = offered_traits(service.settings)
    asked = _names(traits_field) or _names(traits) or offered
    for name in asked:
        check_offered(service.settings, name, "traits")
    chosen = network_field or network or "fdin"
    explained = bool(explain if explain_field is None else explain_field)
    if why := kinds.unanswered(chosen, asked, explained):
        raise invalid(why)
    if chosen == "both":
        await both_models(service.backend)
    elif chosen == "siam":
        await service.backend.model("siam")
    return Options(
        top=top_field or top or schemas.DEFAULT_TOP,
        traits=tuple(name for name in offered if name in asked),
        mirrored=bool(mirrored if mirrored_field is None else mirrored_field),
        explain=explained,
        picture=bool(picture if picture_field is None else picture_field),
        network=chosen,
        unknown=_unknown(request.query_params, form),
    )


def _unknown(*given: Iterable[str]) -> tuple[str, ...]:
    names = (name[:NAME_LENGTH] for name in dict.fromkeys(chain(*given)) if name not in PARAMETERS)
    return tuple(islice(names, NAMED))


def _names(entries: list[str] | None) -> list[str]:
    """Repeated or separated by commas; none of an empty field, which counts as absent."""
    return [name.strip() for entry in entries or () for name in entry.split(",") if name.strip()]


Asked = Annotated[Options, Depends(_options)]


async def model_card(backend: Backend, settings: Settings) -> schemas.ModelCard:
    """The card of what is served, and of SIAM where that is there too. Raises BackendError."""
    served = await backend.model()
    try:
        siam = await backend.model("siam")
    except BackendError:
        siam = None
    limits = schemas.Limits.model_validate(settings, from_attributes=True)
    return answer.model_card(served, settings.backend, offered_traits(settings), limits, siam)


def offered_traits(settings: Settings) -> tuple[schemas.Trait, ...]:
    return ("age", "gender") if settings.gender else ("age",)


def check_offered(settings: Settings, trait: str, parameter: str) -> None:
    """Raises Refusal where `trait`, given in `parameter`, is not answered here."""
    offered = offered_traits(settings)
    if trait not in offered:
        raise invalid(f"{parameter}: {trait[:40]!r} is not offered here; choose from {', '.join(offered)}")


def invalid(detail: str) -> problems.Refusal:
    """A parameter that means nothing here, or nothing beside the others."""
    return problems.Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_parameter", detail)


async def read(
    request: Request,
    service: Service,
    video: UploadFile,
    network: schemas.Networks,
    *,
    mirrored: bool,
    explain: bool,
    picture: bool,
) -> Seen:
    """Read the clip within the gate and the deadline, for as long as the client waits for it."""
    return await admitted(
        request,
        service,
        lambda: service.pipeline.read_by(network, video.file, mirrored=mirrored, explain=explain, picture=picture),
    )


async def admitted(request: Request, service: Service, work: Callable[[], Coroutine[Any, Any, Read]]) -> Read:
    """Do what reads a clip within the gate and the deadline, for as long as the client waits for it."""
    return await _while_connected(request, _within_limits(request, service, work))


async def _within_limits(request: Request, service: Service, work: Callable[[], Coroutine[Any, Any, Read]]) -> Read:
    gate: Gate = request.app.state.gate
    try:
        async with asyncio.timeout(service.settings.deadline_s), gate.slot():
            started = time.perf_counter()
            reading = await work()
    except TimeoutError as error:
        raise problems.Refusal(
            HTTPStatus.GATEWAY_TIMEOUT,
            "timeout",
            f"No answer was ready within {service.settings.deadline_s:g} s. Send a shorter clip or try again later.",
        ) from error
    request.app.state.metrics.reading(reading, path_of(request.scope), time.perf_counter() - started)
    return reading


async def _while_connected(request: Request, work: Coroutine[Any, Any, Read]) -> Read:
    """Await `work`, but give it up when the client goes away."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise problems.client_gone()
        return task.result()
    finally:
        for pending in (task, gone):
            pending.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
