"""The application: routes, lifetime, and how a request becomes a prediction."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import Headers
from starlette.types import Scope

import smile
from service import answer, examples, figure, film, page, problems, schemas
from service.admission import Gate, UploadRoom
from service.backends import create_backend
from service.backends.base import BackendError
from service.jobs import access, create_jobs, results, routes
from service.metrics import Metrics
from service.middleware import LingeringClose, RequestScope, StartReport, path_of
from service.settings import Settings
from service.uploads import UploadGuard
from service.work import PROBLEMS, Asked, Clip, Served, Service, model_card, read

DESCRIPTION = """\
A smile video goes in; age and gender come out, with the relations between facial regions that the network weighed.

It implements the Facial Dynamics Interpreter Network (Kim & Ro, ECCV 2018). Uploads are erased when the
work on them ends, and never logged; where jobs are shared over Redis, its file may hold them for longer.
Gender is the label convention of the training data, not an identity. No emotions are inferred.
"""
UPLOADS = ("/predict", "/figure", "/film", access.PATH)
"""Paths to which clips are sent."""

router = APIRouter()


@router.post(
    "/predict",
    operation_id="predict",
    summary="Age and gender from a smile video, and the relations between facial regions that the network weighed",
    response_model_exclude_none=False,
    responses=PROBLEMS,
)
async def predict(
    request: Request, response: Response, service: Served, video: Clip, asked: Asked
) -> schemas.Prediction:
    response.headers.update(figure.NOT_STORED)
    started = time.perf_counter()
    seen = await read(
        request,
        service,
        video,
        asked.network,
        mirrored=asked.mirrored,
        explain=asked.explain,
        picture=asked.picture,
    )
    return await asyncio.to_thread(
        answer.prediction,
        seen,
        request_id=request.state.request_id,
        traits=asked.traits,
        top=None if asked.top == "all" else asked.top,
        total_s=time.perf_counter() - started,
        unknown=asked.unknown,
    )


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live", operation_id="health_live", summary="The process runs")
async def live() -> schemas.Health:
    return schemas.Health(status="ok")


@router.head("/health/ready", include_in_schema=False)
@router.get(
    "/health/ready",
    operation_id="health_ready",
    summary="A request would be answered now",
    responses=problems.documented({503: "`backend_unavailable`"}),
)
async def ready(service: Served) -> schemas.Health:
    await service.readiness.check()
    return schemas.Health(status="ok")


@router.get(
    "/model",
    operation_id="model",
    summary="The model card",
    responses=problems.documented({503: "`backend_unavailable`"}),
)
async def model(service: Served) -> schemas.ModelCard:
    return await model_card(service.backend, service.settings)


@router.get("/metrics", operation_id="metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; the backend is loaded when it starts, and released when it stops."""
    settings = settings or Settings()
    gate = Gate(settings.concurrency, settings.queue)
    room = UploadRoom(settings.upload_room_bytes)
    metrics = Metrics(gate, room)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        backend = create_backend(settings)
        service = app.state.service = Service(settings, backend)
        with suppress(BackendError):  # a server that comes later is told of with its first clip
            metrics.serving(await backend.model())
        jobs = app.state.jobs = create_jobs(settings, backend, metrics)
        try:
            yield
        finally:
            await jobs.close()
            await service.pipeline.close()
            await backend.close()

    async def admit(scope: Scope) -> None:
        if path_of(scope) == access.PATH:
            await app.state.jobs.check(Headers(scope=scope).get("idempotency-key"))
        else:
            gate.check()

    app = FastAPIOffline(  # the documentation page loads nothing from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        title="Smile interpreter",
        version=smile.__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
    )
    app.state.gate = gate
    app.state.metrics = metrics
    app.state.stopping = False
    app.include_router(router)
    app.include_router(figure.router)
    app.include_router(film.router)
    app.include_router(results.router)
    app.include_router(routes.router)
    page.install(app)
    problems.install(app)
    examples.install(app)
    app.add_middleware(
        UploadGuard,
        uploads=UPLOADS,
        admit=admit,
        room=room,
        max_bytes=settings.max_upload_bytes,
        pause_s=settings.upload_pause_s,
        deadline_s=settings.upload_deadline_s,
    )
    app.add_middleware(RequestScope, metrics=metrics, uploads=UPLOADS)
    app.add_middleware(page.BrowserPolicy)
    app.add_middleware(LingeringClose, max_bytes=2 * settings.max_upload_bytes)
    app.add_middleware(StartReport)
    return app
