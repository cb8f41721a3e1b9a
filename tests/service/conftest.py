"""A real gateway: uvicorn on a free local port, in a thread, on the model repository that ships."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from service.app import create_app
from service.settings import Settings

DEMO = Path(__file__).resolve().parents[2] / "demo/astronaut_smile.mp4"
Serve = Callable[..., httpx.Client]


@contextmanager
def serve(settings: Settings, root_path: str = "") -> Iterator[httpx.Client]:
    """A client of a gateway with these settings, which runs as long as the context.

    `root_path` is what a proxy has taken off the paths of requests.
    """
    config = uvicorn.Config(
        create_app(settings),
        port=0,
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
