"""What surrounds every request: its id, one log line, its metrics, and the end of a connection whose upload is refused.

`service.uploads` has the limits on an upload while it arrives.
"""

import asyncio
import logging
import re
import sys
import time
import uuid
from collections.abc import Collection
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.backends.base import BackendError
from service.metrics import Metrics
from service.problems import UNEXPECTED, problem

log = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CODE = "x-problem-code"
LINGER_S = 2.0
"""Longest time for which what follows a refusal is read."""
PROBES = "/health/"
"""Routes that orchestrators ask every few seconds: their lines are for debugging."""
FOLDERS = ("/page/", "/static-offline-docs/")
"""Of files, which have no routes of their own."""
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
        path = path_of(scope)  # mounted folders are taken off it by whoever answers
        started = time.perf_counter()
        status, code = 0, ""

        async def sending(message: Message) -> None:
            nonlocal status, code
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
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
            route = str(getattr(scope.get("route"), "path", self._unrouted(path)))
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

    def _unrouted(self, path: str) -> str:
        """Template of a path without a route, or of one where an upload was refused before it came to the routes."""
        if path in self._uploads or path == "/openapi.json":
            return path
        return next((f"{folder}{{file}}" for folder in FOLDERS if path.startswith(folder)), UNMATCHED)


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
