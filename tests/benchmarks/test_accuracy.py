"""What is written down about the shipped graphs is what the service would answer."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import answer_crops, answer_videos
from service.backends.base import NETWORKS
from service.backends.inprocess import InProcessBackend
from service.pipeline import Pipeline
from smile.decoding import Limits
from smile.faces import FaceReport, align
from smile.frontal import frontal_faces
from smile.video import Video
from tests.clips import astronaut_frames, write_clip

RELEASED = Path(__file__).resolve().parents[2] / "model_repository"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face, and a file that is no video."""
    folder = tmp_path_factory.mktemp("videos")
    write_clip(folder / "face.mp4", astronaut_frames(20))
    (folder / "letter.mp4").write_text("not a video")
    return folder


def test_video_and_its_crops_get_one_answer(videos: Path, model_repository: Path, tmp_path: Path) -> None:
    """The pipeline's answer to a file is that to its crops; its copies are answered, unreadable files left out."""
    report = asyncio.run(answer_videos(model_repository, sorted(videos.iterdir()), tmp_path))
    assert list(report) == ["face.mp4"]
    entry = report["face.mp4"]
    assert len(entry["halves"]) == 2 and {"mirrored", "tenth"} <= set(entry)
    assert np.load(tmp_path / "features" / "face.mp4.npy").shape == (entry["frames"], 9, 2048)
    with Video(videos / "face.mp4") as video:
        crops = np.stack([face.crop for face in align(video.samples(), FaceReport())])
    np.savez(tmp_path / "face.npz", crops=crops)
    answers = asyncio.run(answer_crops(model_repository, [tmp_path / "face.npz"]))
    assert answers["age"] == pytest.approx([entry["age"]], abs=1e-4)
    assert answers["female"] == pytest.approx([entry["female"]], abs=1e-5)


def test_siam_answers_warped_faces_as_the_service_does(videos: Path, tmp_path: Path) -> None:
    """The second network's answer to a file is that to its warped faces, from a repository of its own graphs alone."""
    alone = tmp_path / "alone"
    for graph in NETWORKS["siam"]:
        shutil.copytree(RELEASED / graph.name, alone / graph.name)
    with Video(videos / "face.mp4") as video:
        patches = [face.patch for face in align(video.samples(), FaceReport(), patches="grey") if face.patch]
    np.savez(tmp_path / "face.npz", faces=np.stack(list(frontal_faces(patches))))
    answers = asyncio.run(answer_crops(alone, [tmp_path / "face.npz"], "siam"))

    async def served() -> float:
        backend = InProcessBackend(RELEASED)
        pipeline = Pipeline(backend, Limits(), 1)
        with (videos / "face.mp4").open("rb") as clip:
            seen = await pipeline.read_by("siam", clip)
        await pipeline.close()
        await backend.close()
        assert seen.siam is not None
        return seen.siam.age

    assert list(answers) == ["age"] and answers["age"] == pytest.approx([asyncio.run(served())], abs=1e-3)
