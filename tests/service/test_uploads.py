"""Uploads beyond what is kept in memory lie in files without a name, for as long as they are read."""

import struct
import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from service import film
from service.pipeline import Pipeline
from tests.service.conftest import Serve, put_aside

PATIENCE_S = 60


@pytest.fixture
def large(demo: bytes) -> bytes:
    """The demo clip with 2 MB of nothing at its end."""
    return demo + struct.pack(">I4s", 2_000_000, b"free") + bytes(2_000_000 - 8)


@pytest.mark.parametrize("path", ["/predict", "/figure"])
def test_upload_is_erased_with_the_answer(
    gateway: Serve, large: bytes, clip_folder: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """It is put aside while it is read, and gone afterwards."""
    during, read_by = [], Pipeline.read_by

    async def noting(*given: Any, **options: Any) -> Any:
        during.append(put_aside(clip_folder))
        return await read_by(*given, **options)

    monkeypatch.setattr(Pipeline, "read_by", noting)
    assert gateway().post(path, files={"video": large}).is_success
    assert during == [1]
    ends = time.monotonic() + PATIENCE_S
    while put_aside(clip_folder):  # the answer comes first
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_upload_is_erased_before_its_film_is_fetched(
    gateway: Serve, large: bytes, clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the answer begins, the film alone is put aside."""
    at_the_beginning, chunks = [], film._chunks

    def noting(drawn: BinaryIO) -> Any:
        at_the_beginning.append(put_aside(clip_folder))
        return chunks(drawn)

    monkeypatch.setattr(film, "_chunks", noting)
    answer = gateway().post("/film", files={"video": large})
    assert answer.is_success and answer.content
    assert at_the_beginning == [1]
