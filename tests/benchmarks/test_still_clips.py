"""A still is answered as the service answers a clip of it; what is refused keeps its place."""

import asyncio
import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.still_clips import FRAMES, answer_stills, as_clip
from service.backends.inprocess import InProcessBackend
from service.pipeline import Pipeline
from smile.decoding import Limits
from smile.video import Video
from tests.clips import astronaut_frames


def encoded(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


def test_stills_are_answered_in_their_order(model_repository: Path, tmp_path: Path) -> None:
    """Between two faces a wall: its place holds the reason; each face has the answer to its own clip."""
    (face,) = astronaut_frames(1)
    images = {
        "a.png": encoded(face[:-1]),
        "b.png": encoded(np.full((200, 200, 3), 128, np.uint8)),
        "c.png": encoded(face),
    }
    with zipfile.ZipFile(tmp_path / "stills.zip", "w") as archive:
        for name, image in images.items():
            archive.writestr(f"folder/{name}", image)
    found = asyncio.run(answer_stills(model_repository, tmp_path / "stills.zip", ["c.png", "b.png", "a.png"]))
    assert found["refused"].tolist() == ["", "no_face", ""]
    assert np.isnan(found["age"]).tolist() == np.isnan(found["female"]).tolist() == [False, True, False]

    async def served() -> float:
        backend = InProcessBackend(model_repository)
        pipeline = Pipeline(backend, Limits(), 1)
        reading = await pipeline.read(io.BytesIO(as_clip(images["c.png"])))
        await pipeline.close()
        await backend.close()
        return float(reading.age[0])

    assert found["age"][0] == pytest.approx(asyncio.run(served()), abs=1e-3)


def test_a_still_becomes_a_clip_of_one_picture(tmp_path: Path) -> None:
    """All of its frames show the image, without the odd last row."""
    (face,) = astronaut_frames(1)
    (tmp_path / "clip.mp4").write_bytes(as_clip(encoded(face[:-1])))
    with Video(tmp_path / "clip.mp4") as video:
        frames = [sample.rgb for sample in video.samples()]
    assert len(frames) == FRAMES
    for frame in frames:
        assert frame.shape == (face.shape[0] - 2, *face.shape[1:])
        assert np.abs(frame.astype(int) - face[:-2]).mean() < 4
    with pytest.raises(ValueError, match="no image"):
        as_clip(b"not an image")
