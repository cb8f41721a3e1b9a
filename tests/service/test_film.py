"""`POST /film`: a film that any player shows, at the clip's own times, refused where /predict refuses."""

import asyncio
import io
import tempfile
import threading
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
import pytest

from service.backends.inprocess import InProcessBackend
from service.film import MEDIA_TYPES, read_and_film
from service.pipeline import Pipeline
from service.problems import Refusal
from service.settings import Settings
from tests import clips
from tests.service.conftest import Serve, post


def film(client: httpx.Client, clip: bytes, **params: Any) -> httpx.Response:
    return client.post("/film", files={"video": ("clip.mp4", clip)}, params=params)


def times(video: bytes) -> list[float]:
    with av.open(io.BytesIO(video)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


@pytest.mark.parametrize(("format", "codec"), [("mp4", "h264"), ("webm", "vp9")])
def test_film_of_the_demo(client: httpx.Client, demo: bytes, format: str, codec: str) -> None:
    """Every frame of the clip, at its time, in a file whose index comes first where the format has one."""
    answer = film(client, demo, format=format)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPES[format]  # type: ignore[index]
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with av.open(io.BytesIO(answer.content)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == codec
        assert stream.codec_context.pix_fmt == "yuv420p"
    assert times(answer.content) == pytest.approx(times(demo), abs=1e-3)
    if format == "mp4":
        assert answer.content.index(b"moov") < answer.content.index(b"mdat")


def test_uneven_times_are_kept_and_sound_is_dropped(client: httpx.Client) -> None:
    """A clip of variable frame rate with sound gives a silent film whose frames come when the clip's do."""
    uneven = np.cumsum([0.0, *([0.03, 0.05, 0.041, 0.079] * 10)])
    clip = clips.clip_bytes(clips.astronaut_frames(len(uneven)), times=uneven, audio=True)
    answer = film(client, clip).content
    assert times(answer) == pytest.approx(times(clip), abs=1e-4)
    with av.open(io.BytesIO(answer)) as container:
        assert not container.streams.audio


def test_pictures_are_shown_upright_with_square_pixels(client: httpx.Client) -> None:
    """A turned clip with oblong pixels is filmed as players show it, between the two sizes of the longer side."""
    turned = [np.rot90(frame).copy() for frame in clips.astronaut_frames(30, (320, 480))]
    clip = clips.clip_bytes(turned, rotation=-90, pixel_aspect=Fraction(2, 1))
    shown = post(client, clip).json()["clip"]
    with av.open(io.BytesIO(film(client, clip).content)) as container:
        frame = next(container.decode(video=0))
    assert (shown["width"], shown["height"]) == (320, 960)
    assert frame.width == 214 and frame.height > 640


def test_trait_top_and_mirror_change_what_is_drawn(client: httpx.Client, demo: bytes) -> None:
    """Another trait, fewer links, or a mirrored face is another film of the same length."""
    films = [film(client, demo, **params) for params in ({}, {"trait": "gender"}, {"top": 1}, {"mirrored": True})]
    assert len({answer.content for answer in films}) == len(films)
    assert {len(times(answer.content)) for answer in films} == {len(times(demo))}


def test_refuses_as_predict_does(client: httpx.Client, gateway: Serve, demo: bytes) -> None:
    """One code for one fault, whichever answer was asked for."""
    for clip in (b"", clips.not_a_video(), clips.still(), clips.one_frame(), clips.huge_claim()):
        asked = [ask(client, clip).json() for ask in (post, film)]
        assert asked[0]["code"] == asked[1]["code"]
        assert asked[0]["status"] == asked[1]["status"]
    for params in ({"format": "gif"}, {"trait": "mood"}, {"top": 0}):
        assert film(client, demo, **params).json()["code"] == "invalid_parameter"
    assert film(gateway(gender=False), demo, trait="gender").json()["code"] == "invalid_parameter"


@pytest.mark.parametrize("full", ["recording", "film"])
async def test_full_disk_is_refused(demo: bytes, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    """Where there is no room for the pictures, or for the film, the refusal says so."""
    settings = Settings()
    backend = InProcessBackend(settings.model_repository)
    pipeline = Pipeline(backend, settings.limits, concurrency=1)
    disk = open("/dev/full", "r+b")
    if full == "recording":
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: disk)
    with pytest.raises(Refusal) as refused:
        out = disk if full == "film" else io.BytesIO()
        await read_and_film(pipeline, io.BytesIO(demo), out, trait="age", links=5)
    assert (refused.value.status_code, refused.value.code) == (503, "storage_full")
    with suppress(OSError):
        disk.close()
    await pipeline.close()
    await backend.close()


async def test_cancelled_film_stops(demo: bytes) -> None:
    """A film that nobody waits for any more is not drawn to its end."""
    settings = Settings()
    backend = InProcessBackend(settings.model_repository)
    pipeline = Pipeline(backend, settings.limits, concurrency=1)
    loop, drawing, may_go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    class Out(io.BytesIO):
        def write(self, data: Any) -> int:
            loop.call_soon_threadsafe(drawing.set)
            may_go_on.wait()
            return super().write(data)

    out = Out()
    work = asyncio.create_task(read_and_film(pipeline, io.BytesIO(demo), out, trait="age", links=5))
    await asyncio.wait((work, asyncio.ensure_future(drawing.wait())), return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    await asyncio.sleep(0.05)
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert len(times(out.getvalue())) < len(times(demo))
    await pipeline.close()
    await backend.close()
