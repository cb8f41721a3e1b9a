"""What surrounds every request: its id, one log line, its metrics, and the limits on an upload while it arrives."""

import asyncio
import logging
import re
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.admission import Overloaded
from service.backends.base import BackendError
from service.metrics import Metrics
from service.problems import UNEXPECTED, Refusal, overloaded, problem

log = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CODE = "x-problem-code"
_CLOSE = {"Connection": "close"}
LINGER_S = 2.0
"""Longest time for which what follows a refusal is read."""
PROBES = "/health/"
"""Routes that orchestrators ask every few seconds: their lines are for debugging."""
UNMATCHED = "unmatched"
"""Stands in logs and metrics for whatever path and method a client made up."""


def path_of(scope: Scope) -> str:
    """Without the path that the whole application lies under."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


class RequestScope:
    """Outside the limits of uploads: gives the request an id (the client's, where well formed), answers the unexpected,
    logs one line."""

    def __init__(self, app: ASGIApp, metrics: Metrics, uploads: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _WELL_FORMED_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status, code = 0, ""

        async def sending(message: Message) -> None:
            nonlocal status, code
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                status, code = message["status"], headers.get(_CODE, "")
                if code:
                    del headers[_CODE]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            log.exception("unexpected error", extra={"request_id": request_id})
            if status:
                raise  # half an answer is out: only breaking the connection tells the client
            answer = problem(request_id, 500, "internal_error", UNEXPECTED)
            await answer(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - started
            route = self._route(scope)
            self._metrics.request(scope["method"] if route != UNMATCHED else UNMATCHED, route, status, code, seconds)
            log.log(
                logging.DEBUG if route.startswith(PROBES) else logging.INFO,
                "request",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "path": route,
                    "status": status,
                    "code": code,
                    "duration_ms": round(seconds * 1000, 1),
                },
            )

    def _route(self, scope: Scope) -> str:
        """Template of the path, known too where an upload was refused before it came to the routes."""
        path = path_of(scope)
        unrouted = path if path in self._uploads else UNMATCHED
        return str(getattr(scope.get("route"), "path", unrouted))


class UploadGuard:
    """Refuses an upload as early as it can: by its announced length, by what has arrived, by silence, by overload.

    Applies to POST requests to `uploads`. What a refused body still brings is left to LingeringClose.
    `admit` raises Overloaded or Refusal where there is no place for what a request would bring.
    """

    def __init__(
        self,
        app: ASGIApp,
        uploads: Collection[str],
        admit: Callable[[Scope], Awaitable[None]],
        max_bytes: int,
        pause_s: float,
    ) -> None:
        self._app = app
        self._uploads = uploads
        self._admit = admit
        self._max_bytes = max_bytes
        self._pause_s = pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or path_of(scope) not in self._uploads:
            return await self._app(scope, receive, send)
        request_id = scope["state"]["request_id"]
        try:
            await self._admit(scope)
            self._check_headers(Headers(scope=scope))
        except Overloaded as error:
            return await overloaded(request_id, error, _CLOSE)(scope, receive, send)
        except Refusal as error:
            answer = problem(
                request_id, error.status_code, error.code, error.detail, {**(error.headers or {}), **_CLOSE}
            )
            return await answer(scope, receive, send)
        arrived = 0
        complete = False

        async def receiving() -> Message:
            nonlocal arrived, complete
            if complete:
                return await receive()  # only a disconnect can follow
            try:
                message = await asyncio.wait_for(receive(), self._pause_s)
            except TimeoutError as error:
                raise Refusal(
                    HTTPStatus.REQUEST_TIMEOUT, "timeout", f"Nothing more arrived for {self._pause_s:g} s.", _CLOSE
                ) from error
            arrived += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if arrived > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, receiving, send)

    def _check_headers(self, headers: Headers) -> None:
        if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the clip as multipart/form-data, in the field `video`.",
            )
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> Refusal:
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "upload_too_large",
            f"The upload is larger than the {self._max_bytes / 1e6:g} MB accepted here. Send a shorter clip.",
            _CLOSE,
        )


class LingeringClose:
    """Where a connection is to be closed before its upload has arrived, what still comes is first dropped.

    A client that writes is reset when the connection is closed, and may lose the answer, which has long been sent.
    For at most LINGER_S and `max_bytes`: nobody can hold a connection open by it.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        arrived = early = False

        async def receiving() -> Message:
            nonlocal arrived
            message = await receive()
            arrived = not message.get("more_body", False)
            return message

        async def sending(message: Message) -> None:
            nonlocal early
            if message["type"] == "http.response.start":
                early = not arrived and Headers(raw=message["headers"]).get("connection") == "close"
            elif early:
                message = {**message, "more_body": True}  # the server closes after the last part
            await send(message)

        await self._app(scope, receiving, sending)
        if early:
            await self._drop(receive)
            await send({"type": "http.response.body"})

    async def _drop(self, receive: Receive) -> None:
        dropped = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while dropped < self._max_bytes:
                    message = await receive()
                    if not message.get("more_body", False):
                        return
                    dropped += len(message["body"])


class StartReport:
    """Says in one line why the graphs cannot be served; of any other failure to start, the trace is told as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            error = sys.exception()  # a failure is told while it is handled
            if message["type"] == "lifespan.startup.failed" and isinstance(error, BackendError):
                message = {**message, "message": f"cannot serve: {error}"}
            await send(message)

        await self._app(scope, receive, sending if scope["type"] == "lifespan" else send)
