"""The limits on an upload while it arrives."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager, ExitStack
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.admission import Overloaded
from service.middleware import path_of
from service.problems import Refusal, overloaded, problem

_CLOSE = {"Connection": "close"}


class UploadGuard:
    """Refuses an upload as early as it can: by overload, by its announced length, by what has arrived, by silence, by
    how long it takes.

    Applies to POST requests to `uploads`. What a refused body still brings is left to LingeringClose.
    `admit` raises Overloaded or Refusal where there is no place for what a request would bring; `upload` holds room for
    it until the answer begins, and raises Overloaded where there is none.
    """

    def __init__(
        self,
        app: ASGIApp,
        uploads: Collection[str],
        admit: Callable[[Scope], Awaitable[None]],
        upload: Callable[[], AbstractContextManager[None]],
        max_bytes: int,
        pause_s: float,
        deadline_s: float,
    ) -> None:
        self._app = app
        self._uploads = uploads
        self._admit = admit
        self._upload = upload
        self._max_bytes = max_bytes
        self._pause_s = pause_s
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or path_of(scope) not in self._uploads:
            return await self._app(scope, receive, send)
        request_id = scope["state"]["request_id"]
        with ExitStack() as room:
            try:
                await self._admit(scope)
                self._check_headers(Headers(scope=scope))
                room.enter_context(self._upload())
            except Overloaded as error:
                return await overloaded(request_id, error, _CLOSE)(scope, receive, send)
            except Refusal as error:
                answer = problem(
                    request_id, error.status_code, error.code, error.detail, {**(error.headers or {}), **_CLOSE}
                )
                return await answer(scope, receive, send)

            async def sending(message: Message) -> None:
                room.close()
                await send(message)

            await self._app(scope, self._limited(receive), sending)

    def _limited(self, receive: Receive) -> Receive:
        """`receive`, which raises Refusal where too much comes, or nothing, or for too long."""
        arrived = 0
        complete = False
        ends = time.monotonic() + self._deadline_s

        async def receiving() -> Message:
            nonlocal arrived, complete
            if complete:
                return await receive()  # only a disconnect can follow
            try:
                message = await asyncio.wait_for(receive(), min(self._pause_s, ends - time.monotonic()))
            except TimeoutError as error:
                raise self._too_slow(is_late=time.monotonic() >= ends) from error
            arrived += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if arrived > self._max_bytes:
                raise self._too_large()
            return message

        return receiving

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
