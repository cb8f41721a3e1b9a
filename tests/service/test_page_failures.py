"""What the page at `/` does where a clip, the camera, the service or the way to it fails; in a real Chromium."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.settings import Settings
from tests import clips
from tests.service.browser import Browser, in_chromium
from tests.service.conftest import DEMO, opened, serve

READING = "Following the face and weighing its regions"
FOREIGN = "<title>Bad gateway</title>"


class Proxy:
    """Stands between page and service, and fails as proxies do.

    Attributes:
        asked: "METHOD /path" of all requests.
        jobs: ids in the answers to `POST /jobs`; keys: the Idempotency-Keys of these, None where there was none.
        instead: (METHOD /path as a pattern, status): the next answer to such a request is HTML of this status, after
            the service has worked on it.
        away: every GET of a job is answered with 502, and events that are followed break off.
        held: answers to `POST /jobs` wait.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.reset()

    def reset(self) -> None:
        """Forget what was asked, and fail no more."""
        self.asked: list[str] = []
        self.jobs: list[str] = []
        self.keys: list[str | None] = []
        self.instead: list[tuple[str, int]] = []
        self.away = self.held = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        asked = f"{scope['method']} {scope['path']}"
        self.asked.append(asked)
        if asked == "POST /jobs":
            self.keys.append(Headers(scope=scope).get("idempotency-key"))
        of_job = asked.startswith("GET /jobs/")
        if of_job and self.away:
            return await Response(FOREIGN, 502, media_type="text/html")(scope, receive, send)
        status = self._planned(asked)
        broken = False

        async def sending(message: Message) -> None:
            nonlocal broken
            if asked == "POST /jobs" and message["type"] == "http.response.body":
                self.jobs.append(json.loads(message["body"])["id"])
                while self.held:
                    await asyncio.sleep(0.02)
            if of_job and self.away and not broken:
                broken = True
                await send({"type": "http.response.body"})
            elif not status and not broken:
                await send(message)

        await self._app(scope, receive, sending)
        if status:
            await Response(FOREIGN, status, media_type="text/html")(scope, receive, send)

    def _planned(self, asked: str) -> int:
        """Status of the answer to be given instead of the service's; 0: none."""
        for plan in self.instead:
            if re.fullmatch(plan[0], asked):
                self.instead.remove(plan)
                return plan[1]
        return 0


@contextmanager
def _behind_proxy(settings: Settings) -> Iterator[tuple[Proxy, httpx.Client]]:
    """What stands before a service with these settings, and a client of both."""
    proxies: list[Proxy] = []

    def between(app: ASGIApp) -> ASGIApp:
        proxies.append(Proxy(app))
        return proxies[0]

    with serve(settings, between=between) as client:
        yield proxies[0], client


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Proxy, httpx.Client]]:
    """Shared: `proxied` resets it for each test."""
    with _behind_proxy(Settings()) as proxy_and_client:
        yield proxy_and_client


@pytest.fixture
def proxied(window: Browser, behind: tuple[Proxy, httpx.Client]) -> Iterator[Proxy]:
    """What stands between the page, freshly opened, and a service."""
    proxy, client = behind
    proxy.reset()
    opened(window, client)
    yield proxy
    window.open("about:blank")
    window.errors()


@pytest.fixture(scope="module")
def long_named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long clip with a long name."""
    clip = tmp_path_factory.mktemp("clips") / f"{'long' * 40}.mp4"
    clip.write_bytes(clips.clip_bytes(clips.astronaut_frames(30, (360, 360)) * 20))
    return clip


@pytest.fixture
def reading(window: Browser, proxied: Proxy, long_named: Path) -> Proxy:
    """What stands between a service and its page, which is in the middle of a long clip."""
    window.upload("#file", long_named)
    window.wait(lambda: proxied.jobs and window.text("#stage") == READING)
    window.wait(lambda: 0 < window.run("return document.querySelector('#bar').value ?? 0") < 1)
    return proxied


def _failed(window: Browser) -> tuple[str, bool]:
    """What the page says that has failed, and whether it can be tried again."""
    window.wait(lambda: window.shown("#failure") or window.shown("#result"))
    assert window.shown("#failure")
    return window.text("#failure-title"), window.shown("#again")


@in_chromium
def test_cancel_stops_the_work(window: Browser, reading: Proxy) -> None:
    """While a clip is followed the bar shows how far it is; cancel goes back to the start, and the job is erased."""
    assert window.text("#stage") == READING
    window.look(width=390, height=844)
    assert window.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    window.click("#cancel")
    assert window.shown("#start")
    window.wait(lambda: f"DELETE /jobs/{reading.jobs[0]}" in reading.asked)
    assert window.shown("#start")


@in_chromium
def test_cancel_before_the_answer_erases_the_job(window: Browser, proxied: Proxy) -> None:
    """A clip that has arrived, but not the word that it has, leaves no job behind."""
    proxied.held = True
    window.upload("#file", DEMO)
    window.wait(lambda: proxied.jobs)
    window.click("#cancel")
    assert window.shown("#start")
    proxied.held = False
    window.wait(lambda: f"DELETE /jobs/{proxied.jobs[0]}" in proxied.asked)
    assert window.shown("#start")


@in_chromium
def test_waits_for_a_service_that_was_away(window: Browser, reading: Proxy) -> None:
    """A job outlives a proxy that cannot reach the service for a while: nothing is erased, and the answer is shown."""
    reading.away = True
    window.wait(lambda: window.text("#stage") == "Waiting for the service")
    reading.away = False
    window.wait(lambda: window.shown("#result") or window.shown("#failure"))
    assert window.shown("#result"), window.text("#failure")
    result, erased = f"GET /jobs/{reading.jobs[0]}/result", f"DELETE /jobs/{reading.jobs[0]}"
    window.wait(lambda: erased in reading.asked)
    assert reading.asked.index(erased) > reading.asked.index(result)


@in_chromium
@pytest.mark.parametrize("away", [False, True])
def test_says_when_the_clip_is_lost(window: Browser, reading: Proxy, away: bool) -> None:
    """A job that the service does not know any more is told, be it deleted or the service restarted."""
    reading.away = away
    window.wait(lambda: not away or window.text("#stage") == "Waiting for the service")
    assert window.run("return fetch(arguments[0], {method: 'DELETE'}).then((r) => r.status)", f"jobs/{reading.jobs[0]}")
    reading.away = False
    assert _failed(window) == ("The service has forgotten the clip.", True)


@in_chromium
def test_fetches_again_what_something_in_between_broke(window: Browser, proxied: Proxy) -> None:
    """An answer of a proxy is taken neither for the result nor for a figure: both are fetched once more."""
    proxied.instead = [("GET /jobs/.+/result", 502), ("GET /jobs/.+/figure", 200)]
    window.upload("#file", DEMO)
    window.wait(lambda: window.shown("#result") or window.shown("#failure"))
    assert window.shown("#result"), window.text("#failure")
    window.click("#save-svg")
    figure = window.downloads / "smile-age.svg"
    window.wait(figure.exists)
    assert figure.read_text().startswith("<svg") and proxied.instead == []


@in_chromium
@pytest.mark.parametrize("status", [200, 502])
def test_sends_again_without_reading_twice(window: Browser, proxied: Proxy, status: int) -> None:
    """Where the word that a clip has arrived was lost, "Try again" finds its job."""
    proxied.instead = [("POST /jobs", status)]
    window.upload("#file", DEMO)
    assert _failed(window) == ("The service cannot be reached.", True)
    window.click("#again")
    window.wait(lambda: window.shown("#result"))
    first, second = proxied.jobs
    assert first == second


@in_chromium
def test_starts_anew_where_a_job_has_failed(window: Browser) -> None:
    """By another key: under the first, "Try again" would find the job that has failed, were that not erased."""
    with _behind_proxy(Settings(job_deadline_s=0.01)) as (proxy, client):
        opened(window, client)
        window.upload("#file", DEMO)
        assert _failed(window) == ("It took too long.", True)
        window.click("#again")
        window.wait(lambda: len(proxy.jobs) == 2)
        window.open("about:blank")
    first, second = proxy.keys
    assert None not in (first, second) and first != second
    window.errors()


@in_chromium
def test_says_what_is_wrong_with_a_clip(start: Browser, tmp_path: Path) -> None:
    """A clip without a face: what is wrong and what to do in plain words, and another clip can be taken."""
    clip = tmp_path / "wall.mp4"
    clip.write_bytes(clips.clip_bytes([clips.flat((90, 90, 90), (320, 320))] * 30))
    start.upload("#file", clip)
    assert _failed(start) == ("No face was found.", False)
    assert "Face the camera" in start.text("#failure-advice")
    assert start.run("return document.activeElement.id") == "failure-title"
    start.click("#other")
    assert start.shown("#start")
    assert all("422" in error for error in start.errors())


@in_chromium
def test_says_when_service_or_file_is_gone(window: Browser, tmp_path: Path) -> None:
    """The page outlives its service, keeps the clip, and says so; a clip that has been moved away is something else."""
    clip = tmp_path / "moved.mp4"
    shutil.copy(DEMO, clip)
    with serve(Settings()) as client:
        opened(window, client)
    window.upload("#file", clip)
    assert _failed(window) == ("The service cannot be reached.", True)
    clip.unlink()
    window.click("#again")
    window.wait(lambda: window.text("#failure-title") == "This file cannot be opened.")
    assert not window.shown("#again")
    window.errors()


def _camera_open(window: Browser) -> None:
    window.wait(lambda: window.run("return !document.querySelector('#start-recording').disabled"))


@in_chromium
def test_camera_allowed_too_late_is_switched_off(start: Browser) -> None:
    """Cancelled while the browser asks for leave, and opened again: the camera that comes first is stopped."""
    start.run(
        "const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "[window.allow, window.streams] = [[], []];"
        "navigator.mediaDevices.getUserMedia = async (...asked) => {"
        "  await new Promise((resolve) => window.allow.push(resolve));"
        "  window.streams.push(await real(...asked));"
        "  return window.streams.at(-1);"
        "};"
    )
    for button in ("#record", "#stop-camera", "#record"):
        start.click(button)
    start.run("window.allow.forEach((allow) => allow())")
    _camera_open(start)
    states = "return window.streams.map((stream) => stream.getVideoTracks()[0].readyState)"
    assert start.run(states) == ["ended", "live"]
    start.click("#stop-camera")
    assert start.run(states) == ["ended", "ended"]


@in_chromium
@pytest.mark.parametrize("recording", [False, True])
def test_says_when_the_camera_goes_away(start: Browser, recording: bool) -> None:
    """Before or during the recording: it is told, and nothing is sent."""
    start.click("#record")
    _camera_open(start)
    if recording:
        start.click("#start-recording")
        start.wait(lambda: start.shown("#guide-progress"))
    start.run("document.querySelector('#preview').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    assert _failed(start) == ("The camera has gone away.", False)
    start.click("#other")
    assert start.shown("#start") and not start.run("return document.querySelector('#preview').srcObject")
