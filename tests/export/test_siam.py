"""SIAM's pair of graphs, through the same ladder and gate."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from export import calibration, gate, siam
from smile.card import METADATA_CARD, METADATA_FINGERPRINT, Card
from smile.tensors import SIAM_GRAPHS, fingerprint, siam_fingerprint

FILES = ("siam_frames/1/model.onnx", "siam_frames/1/model.fp16.onnx", "siam_sequence/1/model.onnx")


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    return calibration.portrait_faces(16, seed=0), calibration.portrait_faces(16, seed=1)


@pytest.fixture(scope="module")
def repository(faces: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siam")
    siam.export(siam.untrained(0, "compact", faces[0]), folder, *faces)
    return folder


def test_a_saved_release_exports_to_the_same_bytes(
    repository: Path, faces: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """The checkpoint loses nothing, and an export can be repeated."""
    siam.save(siam.untrained(0, "compact", faces[0]), tmp_path / "checkpoint")
    siam.export(siam.load(tmp_path / "checkpoint"), tmp_path / "again", *faces)
    for name in (*FILES, *(f"{graph.name}/config.pbtxt" for graph in SIAM_GRAPHS)):
        assert (tmp_path / "again" / name).read_bytes() == (repository / name).read_bytes(), name


def test_its_files_are_small_and_carry_its_own_contract(repository: Path) -> None:
    """Card and fingerprint as ONNX Runtime reads them; another fingerprint than the first network's; below 6 MB."""
    for name in FILES:
        metadata = ort.InferenceSession(repository / name).get_modelmeta().custom_metadata_map
        card = Card.from_json(metadata[METADATA_CARD])
        assert card.trained_on is None
        assert metadata[METADATA_FINGERPRINT] == siam_fingerprint(card.frame_rate_hz) != fingerprint(card.frame_rate_hz)
    assert sum((repository / name).stat().st_size for name in FILES) < 6e6


def test_untrained_attention_differs_from_cell_to_cell(repository: Path, faces: tuple[np.ndarray, np.ndarray]) -> None:
    """The seeded weights give a map that a comparison can see, with weights of its own for each cell."""
    appearance, attention = ort.InferenceSession(repository / FILES[0]).run(None, {"faces": faces[1]})
    assert attention.std() > 0.05 and 0 < attention.min() < attention.max() < 1
    assert appearance.dtype == np.float16 and appearance.any(axis=0).mean() > 0.2


def test_calibration_on_the_wrong_faces_is_refused(faces: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    """Ranges chosen on nearly black faces clip real ones; nothing is published."""
    with pytest.raises(gate.AccuracyLost, match="int8"):
        siam.export(siam.untrained(0, "compact", faces[0]), tmp_path, faces[0] // 32, faces[1])
    assert list(tmp_path.iterdir()) == []
