"""What a stage is said to cost is all that it costs."""

import asyncio
import time
from pathlib import Path

import pytest

from benchmarks import stages
from service.backends.inprocess import InProcessBackend
from smile import frontal
from tests.clips import astronaut_frames, write_clip

RELEASED = Path(__file__).resolve().parents[2] / "model_repository"
BURNT_S = 0.05


def test_siams_alignment_includes_the_cutting_of_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made slow, the cutting shows in the stage, once for each frame; afterwards nothing is timed any more."""
    honest = frontal.cut
    calls = []

    def slow(*given):
        calls.append(time.process_time())
        while time.process_time() < calls[-1] + BURNT_S:
            pass
        return honest(*given)

    monkeypatch.setattr(frontal, "cut", slow)
    write_clip(tmp_path / "face.mp4", astronaut_frames(20))
    backend = InProcessBackend(RELEASED)
    seconds, _, used = stages.of_siam(tmp_path / "face.mp4", backend)
    asyncio.run(backend.close())
    assert set(seconds) == {"align", "siam_frames", "siam_sequence"}
    assert len(calls) == used > 10 and seconds["align"] >= BURNT_S * used
    assert frontal.cut is slow
