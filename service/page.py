"""The page at `/`, and what browsers may do with it and with the documentation."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.middleware import path_of

FILES = Path(__file__).parent / "page"
LLMS = Path(__file__).parent / "llms.txt"
READ = ["GET", "HEAD"]
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
DOCUMENTATION = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)
"""Swagger UI starts from a script inside its page."""
BESIDE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


def install(app: FastAPI) -> None:
    """Serve the page at `/` and its files under `/page/`, and what language models should know at `/llms.txt`."""
    app.mount("/page", StaticFiles(directory=FILES), name="page")

    @app.api_route("/", methods=READ, include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(FILES / "index.html")

    @app.api_route("/llms.txt", methods=READ, include_in_schema=False)
    async def llms() -> FileResponse:
        return FileResponse(LLMS, media_type="text/plain; charset=utf-8")


class BrowserPolicy:
    """Adds the Content-Security-Policy of the page and of the documentation to their responses. Browsers ask anew for
    every file of the page: those of two versions do not fit each other."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        added = _headers(path_of(scope)) if scope["type"] == "http" else None
        if added is None:
            return await self._app(scope, receive, send)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update({**added, **BESIDE})
            await send(message)

        await self._app(scope, receive, sending)


def _headers(path: str) -> dict[str, str] | None:
    if path == "/" or path.startswith("/page/"):
        return {"Content-Security-Policy": STRICT, "Cache-Control": "no-cache"}
    return {"Content-Security-Policy": DOCUMENTATION} if path == "/docs" else None
