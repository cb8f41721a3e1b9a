"""The limits on an upload while it arrives."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.admission import Overloaded, UploadRoom
from service.middleware import path_of
from service.problems import Refusal, overloaded, problem

_CLOSE = {"Connection": "close"}
RETRY_AFTER_S = 10
"""For clips that arrive while there is no room for them: how long an upload takes is up to others."""


class UploadGuard:
    """Refuses an upload as early as it can: by overload, by its announced length, by what has arrived, by silence, by
    how long it takes.

    Applies to POST requests to `uploads`. What a refused body still brings is left to LingeringClose.
    `admit` raises Overloaded or Refusal where there is no place for what a request would bring; `room` is for the bytes
    of all of them.
    """

    def __init__(
        self,
        app: ASGIApp,
        uploads: Collection[str],
        admit: Callable[[Scope], Awaitable[None]],
        room: UploadRoom,
        max_bytes: int,
        pause_s: float,
        deadline_s: float,
    ) -> None:
        self._app = app
        self._uploads = uploads
        self._admit = admit
        self._room = room
        self._max_bytes = max_bytes
        self._pause_s = pause_s
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or path_of(scope) not in self._uploads:
            return await self._app(scope, receive, send)
        request_id = scope["state"]["request_id"]
        try:
            await self._admit(scope)
            self._check_headers(Headers(scope=scope))
            self._check_room()
        except Overloaded as error:
            return await overloaded(request_id, error, _CLOSE)(scope, receive, send)
        except Refusal as error:
            headers = {**(error.headers or {}), **_CLOSE}
            answer = problem(request_id, error.status_code, error.code, error.detail, headers)
            return await answer(scope, receive, send)
        await self._limited(scope, receive, send)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application have the body; what asks for a part beyond the limits gets Refusal instead."""
        arrived = 0
        held = 0
        complete = False
        ends = time.monotonic() + self._deadline_s

        async def receiving() -> Message:
            nonlocal arrived, held, complete
            if complete:
                return await receive()  # only a disconnect can follow
            left_s = ends - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), min(self._pause_s, left_s))
            except TimeoutError as error:
                raise self._too_slow(is_late=left_s < self._pause_s) from error
            size = len(message.get("body", b""))
            arrived += size
            complete = not message.get("more_body", False)
            if arrived > self._max_bytes:
                raise self._too_large()
            self._check_room()
            self._room.taken += size
            held += size
            return message

        def release() -> None:
            nonlocal held
            self._room.taken -= held
            held = 0

        async def sending(message: Message) -> None:
            release()
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        finally:
            release()

    def _check_headers(self, headers: Headers) -> None:
        media_type, _, _ = headers.get("content-type", "").partition(";")
        if media_type.strip().lower() != "multipart/form-data":
            raise Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the clip as multipart/form-data, in the field `video`.",
            )
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_bytes:
            raise self._too_large()

    def _check_room(self) -> None:
        if self._room.is_full:
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "overloaded",
                f"Too many clips arrive at once. Try again in {RETRY_AFTER_S} s.",
                {"Retry-After": str(RETRY_AFTER_S), **_CLOSE},
            )

    def _too_slow(self, *, is_late: bool) -> Refusal:
        late = f"The upload was not complete within {self._deadline_s:g} s. Send a shorter clip."
        silent = f"Nothing more arrived for {self._pause_s:g} s."
        return Refusal(HTTPStatus.REQUEST_TIMEOUT, "timeout", late if is_late else silent, _CLOSE)

    def _too_large(self) -> Refusal:
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "upload_too_large",
            f"The upload is larger than the {self._max_bytes / 1e6:g} MB accepted here. Send a shorter clip.",
            _CLOSE,
        )
