"""Answers of a server, by HTTP."""

import asyncio
import io
from functools import partial
from http import HTTPStatus
from typing import BinaryIO, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from service import schemas
from service.cli.exits import Postponed, Refused, Unavailable, Usage
from service.cli.predictor import Answer, Wanted
from service.cli.threads import in_thread

PARALLEL = 4
CONNECT_S, ANSWER_S = 10, 300
"""Longest wait for a connection, and for any sign of an answer."""
WAITS_S = (1, 2, 4, 8, 16)
"""Before each further attempt, where a server that had answered is away, or overloaded and does not say how long."""
LONGEST_TOLD_S = 60
"""Of what `Retry-After` says: a proxy may name a day."""
SLOW_TRIES = 3
"""Of a clip whose answer does not come in time; then the next clips have their turn."""
AWAY, SLOW = {429, 502, 503}, {408, 504}
"""Statuses that pass: of the gateway, or of a proxy before it."""
NOT_A_GATEWAY = "not_a_gateway"

Parsed = TypeVar("Parsed", bound=BaseModel)


class _Away(Exception):
    """The server is not there for the moment; it may say for how many seconds."""

    def __init__(self, message: str, told_s: int = 0) -> None:
        super().__init__(message)
        self.told_s = told_s


class _Slow(Postponed):
    """The answer did not come in time."""

    def __init__(self, message: str) -> None:
        super().__init__("timeout", message)


class RemotePredictor:
    """A server at `url`, which may have a path. It is asked from threads: whoever sends from an event loop loses what
    a server says before it has the whole clip."""

    def __init__(self, url: str, parallel: int | None = None) -> None:
        """Raises Usage where `url` is none."""
        self.parallel = parallel or PARALLEL
        self._url = url
        try:
            self._client = httpx.Client(
                base_url=url,
                timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S, pool=None),
                limits=httpx.Limits(max_connections=self.parallel),
            )
            if httpx.URL(url).scheme not in ("http", "https"):
                raise httpx.InvalidURL("not http")
        except httpx.InvalidURL as error:
            raise Usage(f"{url}: not a URL; try http://127.0.0.1:8080") from error

    async def card(self) -> schemas.ModelCard:
        try:
            response = await in_thread(partial(self._client.get, "/model"))
        except httpx.TransportError as error:
            raise Unavailable(f"{self._url}: no server answers there") from error
        if not response.is_success:
            raise Unavailable(f"{self._url}: {_problem(response).detail}")
        return self._parsed(schemas.ModelCard, response.content)

    async def predict(self, clip: BinaryIO, wanted: Wanted, film: BinaryIO | None = None) -> Answer:
        asked = {"mirrored": _flag(wanted.mirrored), "top": str(wanted.top or "all"), "network": wanted.network}
        if wanted.traits:
            asked["traits"] = ",".join(wanted.traits)
        answer, drawn = io.BytesIO(), io.BytesIO()
        await self._post("/predict", clip, asked | {"explain": _flag(wanted.explain)}, answer)
        if wanted.figure:
            format, kind = wanted.figure
            await self._post("/figure", clip, asked | {"format": format, "kind": kind}, drawn)
        if film:
            await self._post("/film", clip, asked | {"format": wanted.film}, film)
        return Answer(self._parsed(schemas.Prediction, answer.getvalue()), drawn.getvalue() or None)

    async def close(self) -> None:
        self._client.close()

    async def _post(self, route: str, clip: BinaryIO, asked: dict[str, str], body: BinaryIO) -> None:
        """Write the answer into `body`; ask again while the server is away, or too slow, for the moment."""
        for tried, wait_s in enumerate((*WAITS_S, 0), 1):
            try:
                return await in_thread(partial(self._ask, route, clip, asked, body))
            except _Slow:
                if tried >= SLOW_TRIES:
                    raise
            except _Away as error:
                if tried > len(WAITS_S):
                    raise Unavailable(f"{self._url}: {error}") from error
                wait_s = max(wait_s, error.told_s)
            await asyncio.sleep(wait_s)

    def _ask(self, route: str, clip: BinaryIO, asked: dict[str, str], body: BinaryIO) -> None:
        clip.seek(0)
        body.seek(0)
        body.truncate()
        try:
            with self._client.stream("POST", route, params=asked, files={"video": ("clip", clip)}) as response:
                if response.is_success:
                    for chunk in response.iter_bytes():
                        body.write(chunk)
                    return
                response.read()
        except httpx.ReadTimeout as error:
            raise _Slow(f"No answer came within {ANSWER_S} s.") from error
        except httpx.TransportError as error:
            raise _Away("went away") from error
        problem = _problem(response)
        if response.status_code in AWAY:
            raise _Away(problem.detail, _retry_after_s(response))
        if response.status_code in SLOW:
            raise _Slow(problem.detail)
        raise self._failure(problem)

    def _failure(self, problem: schemas.Problem) -> Refused | Usage | Unavailable:
        """What a problem means: only what is said of the clip itself is final."""
        if problem.code == NOT_A_GATEWAY and problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return Refused("upload_too_large", "A proxy before the server takes no upload of this size.")
        if problem.code == NOT_A_GATEWAY:
            return Unavailable(f"{self._url}: {problem.detail}")
        if problem.code == "invalid_parameter":
            return Usage(problem.detail)
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Postponed(problem.code, problem.detail)
        return Refused(problem.code, problem.detail)

    def _parsed(self, schema: type[Parsed], text: bytes) -> Parsed:
        try:
            return schema.model_validate_json(text)
        except ValidationError as error:
            raise Unavailable(f"{self._url}: answers in a form that this version does not know") from error


def _flag(value: bool) -> str:
    return str(value).lower()


def _retry_after_s(response: httpx.Response) -> int:
    told = response.headers.get("retry-after", "")
    return min(int(told), LONGEST_TOLD_S) if told.isdecimal() else 0


def _problem(response: httpx.Response) -> schemas.Problem:
    """What the server says is wrong; its status, where something else than a gateway answers."""
    try:
        return schemas.Problem.model_validate_json(response.content)
    except ValidationError:
        status = response.status_code
        detail = f"answers with status {status} and no problem of this API"
        return schemas.Problem(
            type="about:blank", title="", status=status, code=NOT_A_GATEWAY, detail=detail, request_id=""
        )
