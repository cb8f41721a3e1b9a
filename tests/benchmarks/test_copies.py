"""Copies of clips: turned over, or at the share of the bits that was asked for, with the same times."""

from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks import copies
from tests.clips import astronaut_frames, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("copies") / "face.mp4"
    write_clip(path, astronaut_frames(60))
    return path


def _frames(file: object) -> tuple[list[np.ndarray], list[float], int]:
    """Pictures, their times, and the bytes they are coded in."""
    with av.open(file) as container:
        packets = list(container.demux(video=0))
        frames = [frame for packet in packets for frame in packet.decode()]
    pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in frames]
    return pictures, [float(frame.time or 0) for frame in frames], sum(packet.size for packet in packets)


def test_a_mirrored_copy_shows_the_picture_turned_over(clip: Path) -> None:
    (picture, *_), times, _ = _frames(str(clip))
    (turned, *_), again, _ = _frames(copies.mirrored(clip))
    assert np.abs(turned[:, ::-1] - picture).mean() < 4 < np.abs(turned - picture).mean()
    assert np.allclose(times, again, atol=2e-3)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_copy_takes_the_share_of_the_bits_that_it_says(clip: Path, share: float) -> None:
    """An encoder that is asked for a bit rate falls short of it in a short clip."""
    _, times, size = _frames(str(clip))
    _, again, less = _frames(copies.at_share(clip, share))
    assert less / size == pytest.approx(share, rel=copies.TOLERANCE)
    assert np.allclose(times, again, atol=2e-3)
