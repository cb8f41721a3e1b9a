"""Another card for graphs that are there."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from export.ladder import ExportError, WrongAxes, WrongContract
from export.recard import recard
from export.triton import MODEL_FILE
from service.backends.inprocess import InProcessBackend
from smile.card import METADATA_CARD, METADATA_FINGERPRINT, AgeInterval, Card
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


def another_contract(model: onnx.ModelProto) -> None:
    """As if regions lay elsewhere when it was exported."""
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_FINGERPRINT)
    entry.value = "0" * 16


def no_card(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def another_axis(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


@pytest.mark.parametrize(
    ("change", "error"), [(another_contract, WrongContract), (no_card, WrongContract), (another_axis, WrongAxes)]
)
def test_graphs_of_another_contract_get_no_card(
    change: Callable[[onnx.ModelProto], None], error: type[ExportError], model_repository: Path, tmp_path: Path
) -> None:
    """They would be served as if they kept today's."""
    shutil.copytree(model_repository, tmp_path / "source")
    file = tmp_path / "source" / RELATIONS.name / "1" / MODEL_FILE
    model = onnx.load(file)
    change(model)
    onnx.save(model, file)
    with pytest.raises(error, match=RELATIONS.name):
        recard(tmp_path / "source", tmp_path / "target", GRAPHS, Card("n", None, "l", 25.0), version=1)
    assert not (tmp_path / "target").exists()


def test_a_card_of_another_frame_rate_is_refused(model_repository: Path, tmp_path: Path) -> None:
    """Clips would be read at a rate that the weights have never seen."""
    with pytest.raises(WrongContract, match="trained at 25 Hz, its new card says 50"):
        recard(model_repository, tmp_path / "target", GRAPHS, Card("n", None, "l", 50.0), version=1)
    assert not (tmp_path / "target").exists()
