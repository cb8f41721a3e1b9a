"""Another card for graphs that are there."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from export.recard import recard
from export.triton import MODEL_FILE
from service.backends.inprocess import InProcessBackend
from smile.card import METADATA_CARD, AgeInterval, Card
from smile.tensors import GRAPHS, RELATIONS


async def test_the_card_is_another_one_and_the_weights_are_the_same(model_repository: Path, tmp_path: Path) -> None:
    """What is served afterwards says what the new card says, with the initialisers and nodes of before."""
    before = onnx.load(model_repository / RELATIONS.name / "1" / MODEL_FILE)
    card = Card.from_json({entry.key: entry.value for entry in before.metadata_props}[METADATA_CARD])
    other = replace(card, name="calibrated anew", age_interval=AgeInterval(0.8, (0.0,), (1.0,), (2.0,)))
    recard(model_repository, tmp_path, GRAPHS, other, version=3)
    backend = InProcessBackend(tmp_path)
    model = await backend.model()
    await backend.close()
    assert (model.card, model.version) == (other, "3")
    after = onnx.load(tmp_path / RELATIONS.name / "3" / MODEL_FILE)
    assert after.graph == before.graph


def test_a_repository_without_them_is_named(tmp_path: Path) -> None:
    """Nothing is published."""
    with pytest.raises(FileNotFoundError, match="backbone"):
        recard(tmp_path / "empty", tmp_path / "target", GRAPHS, Card("n", None, "l", 25.0), version=1)
    assert not (tmp_path / "target").exists()
