"""Everything that can go wrong with a request -> RFC 9457 problem details with a stable code.

Unexpected errors are logged with their trace and answered as a plain `internal_error`: no message of a library ever
reaches a client.
"""

import errno
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from service.admission import Overloaded
from service.backends.base import BackendError, NotServed
from service.schemas import Problem
from smile import errors

log = logging.getLogger(__name__)

_CLIP_STATUS = {
    errors.UnreadableVideo: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.VideoTooLong: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.FrameTooLarge: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NoFace: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.FaceTooSmall: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooFewFrames: HTTPStatus.UNPROCESSABLE_ENTITY,
}
OF_CLIPS = ", ".join(f"`{error.code}`" for error in _CLIP_STATUS)
"""For `documented`: what is refused about a clip."""
UNEXPECTED = "Something went wrong here. It has been logged."
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
CLIENT_GONE = 499
"""As nginx counts it; nobody is there to read it."""
_HTTP_CODE = {404: "not_found", 405: "method_not_allowed"}
_WANTED = {
    "video": "send the clip as a file, by a `filename` (not `filename*` alone): with curl, `-F video=@clip.mp4`",
    "top": "give a whole number above 0, or `all`",
    "traits": "name them, separated by commas",
    "job_id": "give the `id` of a job: 32 hexadecimal digits",
    "idempotency-key": "give 1 to 255 characters",
}
"""By parameter; the others are choices or switches."""


class Refusal(HTTPException):
    """A request refused by the service itself, before or while it is read."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.code = code


def problem(
    request_id: str, status: int, code: str, detail: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """One error response. `code` is also left on the response for the log and the metrics (`x-problem-code`)."""
    return JSONResponse(
        _body(request_id, status, code, detail).model_dump(),
        status,
        headers={**(headers or {}), "x-problem-code": code},
        media_type="application/problem+json",
    )


def _body(request_id: str, status: int, code: str, detail: str) -> Problem:
    return Problem(
        type="about:blank",
        title=_PHRASES.get(status, "Client Closed Request"),
        status=status,
        code=code,
        detail=detail,
        request_id=request_id,
    )


def of(error: Exception, request_id: str) -> Problem:
    """What the handlers below would answer to an error of the work on a clip."""
    if isinstance(error, errors.SmileError):
        return _body(request_id, _CLIP_STATUS[type(error)], error.code, str(error))
    if isinstance(error, Refusal):
        return _body(request_id, error.status_code, error.code, str(error.detail))
    if is_disk_full(error):
        return of(no_space(), request_id)
    if isinstance(error, NotServed):
        return of(_not_served(error), request_id)
    if isinstance(error, BackendError):
        return of(backend_away(), request_id)
    return _body(request_id, HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", UNEXPECTED)


def no_space() -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "storage_full",
        "There is no room to keep the clip for now. Try again later.",
        {"Retry-After": "5"},
    )


def backend_away() -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "backend_unavailable",
        "The model server cannot be reached or does not fit this gateway. Try again later.",
        {"Retry-After": "5"},
    )


def _not_served(error: NotServed) -> Refusal:
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_parameter", f"network: not offered here: {error}")


def client_gone() -> Refusal:
    return Refusal(CLIENT_GONE, "client_gone", "The client closed the connection.")


def _broken_form() -> Refusal:
    return Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_parameter",
        "The form cannot be read: its boundary is missing or not kept to, or it has over a thousand fields, or one of "
        "over 1 MB beside the clip. Let the HTTP library write it.",
    )


def is_disk_full(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def overloaded(request_id: str, error: Overloaded, headers: dict[str, str] | None = None) -> JSONResponse:
    return problem(
        request_id,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overloaded",
        f"All places are taken. Try again in {error.retry_after_s} s.",
        {**(headers or {}), "Retry-After": str(error.retry_after_s)},
    )


def _wanted(name: str, context: dict[str, Any]) -> str:
    """What the parameter takes; `context` is that of pydantic's error."""
    if name in _WANTED:
        return _WANTED[name]
    return f"choose from {context['expected']}" if "expected" in context else "give `true` or `false`"


def documented(by_status: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses: a problem for each status, with the codes that it may carry."""
    schema = {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": codes, "content": schema} for status, codes in by_status.items()}


def install(app: FastAPI) -> None:
    """Register the handlers, and the problem's schema, which `documented` refers to."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        document["components"]["schemas"][Problem.__name__] = Problem.model_json_schema()
        return document

    app.openapi = openapi  # type: ignore[method-assign]

    def request_id(request: Request) -> str:
        return str(request.state.request_id)

    @app.exception_handler(errors.SmileError)
    async def _clip(request: Request, error: errors.SmileError) -> JSONResponse:
        return problem(request_id(request), _CLIP_STATUS[type(error)], error.code, str(error))

    @app.exception_handler(Overloaded)
    async def _overloaded(request: Request, error: Overloaded) -> JSONResponse:
        return overloaded(request_id(request), error)

    @app.exception_handler(NotServed)
    async def _network(request: Request, error: NotServed) -> JSONResponse:
        return await _http(request, _not_served(error))

    @app.exception_handler(BackendError)
    async def _backend(request: Request, error: BackendError) -> JSONResponse:
        log.error("backend failed", exc_info=error, extra={"request_id": request_id(request)})
        return await _http(request, backend_away())

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = str(first["loc"][:2][-1])
        return problem(
            request_id(request),
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_parameter",
            f"{name}: {_wanted(name, first.get('ctx', {}))}",
        )

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if is_disk_full(error.__cause__):  # while the upload was put aside
            log.error("disk full", extra={"request_id": request_id(request)})
            error = no_space()
        elif isinstance(error.__cause__, ClientDisconnect):
            error = client_gone()
        elif error.status_code == HTTPStatus.BAD_REQUEST:  # by the libraries alone, and only of a form
            error = _broken_form()
        code = error.code if isinstance(error, Refusal) else _HTTP_CODE.get(error.status_code, "invalid_request")
        headers = dict(error.headers) if error.headers else None
        return problem(request_id(request), error.status_code, code, str(error.detail), headers)
