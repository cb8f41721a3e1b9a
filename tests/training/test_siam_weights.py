"""What SIAM's released weights learn from: stills and smiles, warped as the service warps them."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from networks.siam_config import SiamConfig
from smile import frontal
from smile.frontal_shape import SIDE_PX
from smile.landmarker import FaceLandmarker
from smile.sampling import MIN_SAMPLES
from training import siam_batches, siam_stills, stills
from training.siam_batches import FaceBatches, Faces
from training.siam_module import SiamOptimisation
from training.siam_stills import StillFaces
from training.siam_weights import MixedModule
from training.stills import Stills

FACE = np.ascontiguousarray(astronaut()[0:300, 80:380])
NAMES = ("47_1_0_20170101000000001.jpg", "30_0_3_20170102000000001.jpg")
TINY = SiamConfig(channels=(4, 6, 8), hidden=16, features=12, attention_width=5)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face and its mirror image."""
    path = tmp_path_factory.mktemp("stills") / "stills.zip"
    with zipfile.ZipFile(path, "w") as handle:
        for name, image in zip(NAMES, (FACE, FACE[:, ::-1]), strict=True):
            handle.writestr(f"utkface/{name}", cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    return path


@pytest.fixture(scope="module")
def warped(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> StillFaces:
    labels = np.array([stills.labels(name) for name in NAMES])
    data = Stills(
        np.array(NAMES),
        labels[:, 0].astype(np.float32),
        *labels[:, 1:].T,
        np.zeros((2, 2), np.uint64),
        np.zeros(2, np.uint8),
    )
    cache = tmp_path_factory.mktemp("cache")
    first = siam_stills.prepare(archive, data, cache, 1)
    (kept,) = cache.rglob("*.npz")
    before = kept.stat().st_mtime_ns
    again = siam_stills.prepare(archive, data, cache, 1)
    assert kept.stat().st_mtime_ns == before and np.array_equal(first.pixels, again.pixels)
    return again


@pytest.fixture
def faces(warped: StillFaces, tmp_path: Path) -> Faces:
    """50 stills of two faces, and three smiles of different lengths."""
    rng = np.random.default_rng(0)
    smiles = []
    for number, length in enumerate((9, 12, 30)):
        path = tmp_path / f"{number}.npz"
        np.savez(path, faces=rng.integers(0, 256, (length, SIDE_PX, SIDE_PX), np.uint8))
        smiles.append((path, 20.0 + number))
    many = StillFaces(warped.pixels[[0, 1] * 25], warped.points[[0, 1] * 25])
    return Faces(many, np.arange(50, dtype=np.float32), np.arange(50), smiles)


def test_a_still_is_warped_as_a_frame_of_a_clip(warped: StillFaces) -> None:
    """The plain view is what the service would make of the picture; of the mirrored one, its mirror image."""
    with FaceLandmarker() as landmarker:
        landmarks = landmarker.locate(FACE)
    assert landmarks is not None
    (served,) = frontal.frontal_faces([frontal.cut(FACE, landmarks)])
    plain = warped.plain(0)
    assert plain.shape == (SIDE_PX, SIDE_PX) and plain.dtype == np.uint8
    assert np.abs(plain.astype(float) - served).mean() < 4
    mirrored = warped.plain(1)[:, ::-1].astype(float)
    assert np.abs(plain - mirrored).mean() < np.abs(plain - mirrored[:, ::-1]).mean() / 2


def test_training_views_differ_and_can_be_had_again(warped: StillFaces) -> None:
    """Views of one still are its seed's alone, and half of them are mirrored."""
    views = [warped.view(0, np.random.default_rng(seed)) for seed in range(40)]
    assert np.array_equal(views[7], warped.view(0, np.random.default_rng(7)))
    assert len({view.tobytes() for view in views}) == 40
    plain = warped.plain(0).astype(float)
    straight = [np.corrcoef(plain.ravel(), view.ravel())[0, 1] for view in views]
    turned = [np.corrcoef(plain.ravel(), view[:, ::-1].ravel())[0, 1] for view in views]
    assert 8 < sum(one < other for one, other in zip(straight, turned, strict=True)) < 32


def test_an_epoch_shows_everything_once(faces: Faces) -> None:
    """Each still as one face that lasts, each smile frame by frame; in another order in another epoch."""
    batches = FaceBatches(faces, seed=1, epoch=0)
    ages, frames = [], 0
    for batch in (batches[number] for number in range(len(batches))):
        ages += batch.age.tolist()
        frames += len(batch.faces)
        for row, count in zip(batch.frame_of, batch.frame_count, strict=True):
            assert len(set(row[:count].tolist())) in (1, int(count)) and int(row.max()) < len(batch.faces)
    assert sorted(ages) == sorted([*range(50), 20.0, 21.0, 22.0]) and frames == 50 + 9 + 12 + 30
    again, other = FaceBatches(faces, seed=1, epoch=0), FaceBatches(faces, seed=1, epoch=1)
    assert all(torch.equal(again[0][part], batches[0][part]) for part in range(4))
    assert not torch.equal(other[0].age, batches[0].age)


def test_padding_and_company_do_not_change_an_answer(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    """The errors that select an epoch are those of each clip alone, and their mean is what training makes smaller."""
    module = MixedModule(TINY, SiamOptimisation(), 0, (40.0, 12.0), (0.5, 0.25), faces, faces).eval()
    batch = next(batch for batch in module.val_dataloader() if len(batch.faces) == 51)
    with torch.inference_mode():
        module.validation_step(batch, 0)
        for place, (path, age) in enumerate(faces.smiles):
            clip = torch.from_numpy(siam_batches.smile_faces(path))
            estimate, _ = module.network(clip[None], torch.tensor([len(clip)]))
            alone = abs(float(module.network.answer(estimate.output)) - age)
            assert float(module._errors[0][place]) == pytest.approx(alone, abs=1e-3)
        monkeypatch.setattr(module, "log", lambda *_, **__: None)
        loss = float(module.training_step(batch, 0)) * 12.0
    assert loss == pytest.approx(float(module._errors[0].mean()), rel=0.02)


def test_a_step_learns_from_stills_and_smiles(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of either batch is a number that reaches the first convolution."""
    module = MixedModule(TINY, SiamOptimisation(), 0, (40.0, 12.0), (0.5, 0.25), faces, faces)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    kinds = set()
    batches = FaceBatches(faces, seed=1, epoch=0)
    for batch in (batches[number] for number in range(len(batches))):
        kinds.add(batch.frame_of.shape[1] == MIN_SAMPLES)
        module.zero_grad()
        module.training_step(batch, 0).backward()
        gradient = next(module.network.appearance.conv1.parameters()).grad
        assert gradient is not None and float(gradient.abs().max()) > 0
    assert kinds == {True, False}
