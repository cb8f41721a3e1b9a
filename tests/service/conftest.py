"""A real gateway: uvicorn on a free local port, in a thread, on the model repository that ships; and its page in a real
Chromium."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from service.app import create_app
from service.connection import BoundedHttp
from service.settings import Settings
from tests.service.browser import Browser, browser
from tests.service.triton_server import TritonServer

DEMO = Path(__file__).resolve().parents[2] / "demo/astronaut_smile.mp4"
Serve = Callable[..., httpx.Client]


@contextmanager
def serve(
    settings: Settings, root_path: str = "", between: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> Iterator[httpx.Client]:
    """A client of a gateway with these settings, which runs as long as the context.

    `root_path` is what a proxy has taken off the paths of requests, `between` what stands between client and gateway.
    """
    config = uvicorn.Config(
        between(create_app(settings)),
        port=0,
        http=BoundedHttp,
        root_path=root_path,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="gateway")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the gateway did not start")
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def gateway() -> Iterator[Serve]:
    """Factory: start a gateway with the given settings, get a client; all are stopped after the test."""
    with ExitStack() as running:

        def start(**settings: Any) -> httpx.Client:
            return running.enter_context(serve(Settings(**settings)))

        yield start


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """A client of one gateway with default settings, shared by tests that leave it as it was."""
    with serve(Settings()) as client:
        yield client


@pytest.fixture(scope="session")
def demo() -> bytes:
    """The demo clip: an astronaut, neutral, smiling, neutral."""
    return DEMO.read_bytes()


def post(client: httpx.Client, clip: bytes, name: str = "clip.mp4", **params: Any) -> httpx.Response:
    return client.post("/predict", files={"video": (name, clip)}, params=params)


@pytest.fixture
def clip_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where clips are put aside during the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def put_aside(folder: Path) -> int:
    """Open files without a name in a folder: clips put aside."""
    descriptors = Path("/proc/self/fd")
    targets = []
    for entry in os.listdir(descriptors):
        with suppress(FileNotFoundError):  # closed meanwhile
            targets.append(os.readlink(descriptors / entry))
    return sum(target.startswith(str(folder)) and target.endswith("(deleted)") for target in targets)


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """The real Triton on the repository that ships, shared by tests that leave it as it is."""
    with TritonServer(Settings().model_repository, tmp_path_factory.mktemp("triton") / "log.txt") as server:
        yield server


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo clip as Chromium's fake camera plays it, over and over."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    with av.open(str(DEMO)) as source, av.open(str(path), "w", format="mjpeg") as sink:
        stream = sink.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 480, 360, "yuvj420p"
        stream.options = {"q:v": "3"}
        for frame in source.decode(video=0):
            sink.mux(stream.encode(frame.reformat(480, 360, "yuvj420p")))
        sink.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def window(camera: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with browser(tmp_path_factory.mktemp("saved"), *flags, f"--use-file-for-fake-video-capture={camera}") as window:
        yield window


def opened(window: Browser, client: httpx.Client) -> None:
    """Open the page and wait until its scripts have run: Chromium may say that it is loaded before they have."""
    window.look()
    window.open(str(client.base_url))
    window.wait(lambda: window.run("return document.querySelector('#card-fields').children.length"))


@pytest.fixture
def start(window: Browser, client: httpx.Client) -> Iterator[Browser]:
    """The page, freshly opened; whatever it complains about fails the test."""
    opened(window, client)
    yield window
    assert window.errors() == []


@pytest.fixture
def read(start: Browser) -> Browser:
    """The page after it has read the demo clip."""
    start.upload("#file", DEMO)
    start.wait(lambda: start.shown("#result"))
    return start
