"""The application: routes, lifetime, and how a request becomes a prediction."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

import smile
from service import answer, problems, schemas
from service.admission import Gate
from service.backends import create_backend
from service.backends.base import Backend, BackendUnavailable
from service.metrics import Metrics
from service.middleware import RequestScope, UploadGuard
from service.pipeline import Pipeline, Reading
from service.settings import Settings

DESCRIPTION = """\
A smile video goes in; age and gender come out, with the relations between facial regions that decided them.

It implements the Facial Dynamics Interpreter Network (Kim & Ro, ECCV 2018). Uploads are never kept, nor logged.
Gender is the label convention of the training data, not an identity. No emotions are inferred.
"""
NOTICE = (
    "Estimates from appearance and motion, wrong for some people more than for others. Not for decisions about anyone. "
    "Importances are weights inside the network, not proof of what decided."
)
CLIENT_GONE = 499


class Service:
    """What lives as long as the application."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self.settings = settings
        self.backend = backend
        self.pipeline = Pipeline(backend, settings.limits, settings.concurrency)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]

Count = Annotated[int, Field(ge=1)] | Literal["all"]
CLIP = "The clip: any container and codec that FFmpeg decodes."
TOP = "How many relations to list, or `all`. Default 5."
TRAITS = "Which traits to answer; repeat or separate by commas. Default: all that are offered."
MIRRORED = "The clip shows its subject as in a mirror (a selfie preview)."
EXPLAIN = "Also measure what zeroing each region and each pair does to the answer."
DEFAULT_TOP = 5


class Options(BaseModel):
    """Parameters of a prediction. Each may stand in the query or in the form; the form wins."""

    top: Count = DEFAULT_TOP
    traits: tuple[schemas.Trait, ...]
    mirrored: bool = False
    explain: bool = False


def _options(
    service: Served,
    top: Annotated[Count | None, Query(description=TOP)] = None,
    traits: Annotated[list[str] | None, Query(description=TRAITS)] = None,
    mirrored: Annotated[bool | None, Query(description=MIRRORED)] = None,
    explain: Annotated[bool | None, Query(description=EXPLAIN)] = None,
    top_field: Annotated[Count | None, Form(alias="top", description=TOP)] = None,
    traits_field: Annotated[list[str] | None, Form(alias="traits", description=TRAITS)] = None,
    mirrored_field: Annotated[bool | None, Form(alias="mirrored", description=MIRRORED)] = None,
    explain_field: Annotated[bool | None, Form(alias="explain", description=EXPLAIN)] = None,
) -> Options:
    offered = offered_traits(service.settings)
    asked = [name.strip() for entry in (traits_field or traits or offered) for name in entry.split(",")]
    if unknown := [name for name in asked if name not in offered]:
        raise problems.Refusal(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_parameter",
            f"traits: {unknown[0][:40]!r} is not offered here; choose from {', '.join(offered)}",
        )
    return Options(
        top=top_field or top or DEFAULT_TOP,
        traits=tuple(name for name in offered if name in asked),
        mirrored=bool(mirrored if mirrored_field is None else mirrored_field),
        explain=bool(explain if explain_field is None else explain_field),
    )


def offered_traits(settings: Settings) -> tuple[schemas.Trait, ...]:
    return ("age", "gender") if settings.gender else ("age",)


router = APIRouter()


@router.post(
    "/predict",
    operation_id="predict",
    summary="Age and gender from a smile video, and the relations between facial regions behind them",
    response_model_exclude_none=False,
    responses=problems.documented(
        {
            408: "`timeout`: the upload stopped arriving",
            413: "`upload_too_large`",
            415: "`unsupported_media_type`: not multipart/form-data",
            422: "`unreadable_video`, `video_too_long`, `frame_too_large`, `no_face`, `face_too_small`, "
            "`too_few_frames`, `invalid_parameter`",
            503: "`overloaded` or `backend_unavailable`, with Retry-After",
            504: "`timeout`: the deadline passed",
        }
    ),
)
async def predict(
    request: Request,
    service: Served,
    video: Annotated[UploadFile, File(description=CLIP, json_schema_extra={"format": "binary"})],
    options: Annotated[Options, Depends(_options)],
) -> schemas.Prediction:
    started = time.perf_counter()
    reading = await _while_connected(request, _read(request, service, video, options))
    request.app.state.metrics.reading(reading)
    return answer.prediction(
        reading,
        request_id=request.state.request_id,
        traits=options.traits,
        top=None if options.top == "all" else options.top,
        total_s=time.perf_counter() - started,
    )


async def _read(request: Request, service: Service, video: UploadFile, options: Options) -> Reading:
    gate: Gate = request.app.state.gate
    try:
        async with asyncio.timeout(service.settings.deadline_s), gate.slot():
            return await service.pipeline.read(video.file, mirrored=options.mirrored, explain=options.explain)
    except TimeoutError as error:
        raise problems.Refusal(
            HTTPStatus.GATEWAY_TIMEOUT,
            "timeout",
            f"No answer was ready within {service.settings.deadline_s:g} s. Send a shorter clip or try again later.",
        ) from error


async def _while_connected(request: Request, work: Coroutine[Any, Any, Reading]) -> Reading:
    """Await `work`, but give it up when the client goes away."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise problems.Refusal(CLIENT_GONE, "client_gone", "The client closed the connection.")
        return task.result()
    finally:
        for pending in (task, gone):
            pending.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@router.get("/health/live", operation_id="live", summary="The process runs")
async def live() -> schemas.Health:
    return schemas.Health(status="ok")


@router.get(
    "/health/ready",
    operation_id="ready",
    summary="A request would be answered now",
    responses=problems.documented({503: "`backend_unavailable`"}),
)
async def ready(service: Served) -> schemas.Health:
    if not await service.backend.ready():
        raise BackendUnavailable("not ready")
    return schemas.Health(status="ok")


@router.get(
    "/model",
    operation_id="model",
    summary="The model card",
    responses=problems.documented({503: "`backend_unavailable`"}),
)
async def model(service: Served) -> schemas.ModelCard:
    loaded = await service.backend.model()
    card = loaded.card
    return schemas.ModelCard(
        name=card.name,
        version=loaded.version,
        trained_on=card.trained_on,
        licence=card.licence,
        frame_rate_hz=card.frame_rate_hz,
        fingerprint=loaded.fingerprint,
        backend=service.settings.backend,
        provider=loaded.provider,
        traits=list(offered_traits(service.settings)),
        interval_coverage=card.age_interval.coverage if card.age_interval else None,
        report=card.report,
        notice=NOTICE,
    )


@router.get("/metrics", operation_id="metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; the backend is loaded when it starts, and released when it stops."""
    settings = settings or Settings()
    gate = Gate(settings.concurrency, settings.queue)
    metrics = Metrics(gate)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        backend = create_backend(settings)
        service = app.state.service = Service(settings, backend)
        try:
            yield
        finally:
            await service.pipeline.close()
            await backend.close()

    app = FastAPIOffline(  # the documentation page loads nothing from elsewhere
        redoc_url=None,
        title="Smile interpreter",
        version=smile.__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
    )
    app.state.gate = gate
    app.state.metrics = metrics
    app.include_router(router)
    problems.install(app)
    app.add_middleware(UploadGuard, gate=gate, max_bytes=settings.max_upload_bytes, pause_s=settings.upload_pause_s)
    app.add_middleware(RequestScope, metrics=metrics)
    return app
