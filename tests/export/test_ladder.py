from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from export import ladder, parity
from smile.sampling import MAX_SAMPLES
from smile.tensors import RELATIONS, SIAM_SEQUENCE, Graph, Tensor

ITEMS = Graph("items", (Tensor("x", "float32", ("n", 4)),), (Tensor("y", "float32", ("n", 4)),), (1, 2))


def graph_of(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A small model of the interface of ITEMS."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy")
    model = helper.make_model(
        helper.make_graph(list(nodes), "items", [x], [y]), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 8
    return model


SOFTMAX = graph_of(helper.make_node("Softmax", ["x"], ["y"], axis=-1))
MINUS_BATCH_MEAN = graph_of(
    helper.make_node("Constant", [], ["axis"], value_ints=[0]),
    helper.make_node("ReduceMean", ["x", "axis"], ["mean"]),
    helper.make_node("Sub", ["x", "mean"], ["y"]),
)


def softmax(feeds: ladder.Feeds) -> ladder.Answers:
    exponentials = np.exp(feeds["x"].astype(np.float64))
    return {"y": exponentials / exponentials.sum(axis=-1, keepdims=True)}


def climb(reference: Callable[[ladder.Feeds], ladder.Answers] = softmax, model: onnx.ModelProto = SOFTMAX) -> float:
    grid = [{"x": np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)} for n in (1, 3)]
    return ladder.check_values(parity.session(model), ITEMS, reference, grid, {"y": 1e-5}, {"y": 1e-5})["y"]


@pytest.fixture
def relations(model_repository: Path) -> onnx.ModelProto:
    return onnx.load(model_repository / "relations/1/model.onnx")


def test_another_name_is_refused(relations: onnx.ModelProto) -> None:
    """An output called otherwise."""
    relations.graph.output[2].name = "lambda"
    with pytest.raises(ladder.WrongNames, match="lambda"):
        ladder.check_interface(relations, RELATIONS)


def test_a_missing_output_is_refused(relations: onnx.ModelProto) -> None:
    """One output fewer than promised."""
    del relations.graph.output[3]
    with pytest.raises(ladder.WrongNames, match="gender_importance"):
        ladder.check_interface(relations, RELATIONS)


def test_another_dtype_is_refused(relations: onnx.ModelProto) -> None:
    """Features in float32 instead of float16."""
    relations.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    with pytest.raises(ladder.WrongDtype, match="regions is float32, expected float16"):
        ladder.check_interface(relations, RELATIONS)


@pytest.mark.parametrize(("axis", "value"), [(1, {"dim_value": 3}), (2, {"dim_param": "r"}), (0, {"dim_param": "x"})])
def test_other_axes_are_refused(relations: onnx.ModelProto, axis: int, value: dict) -> None:
    """A time axis frozen at the traced length, a region axis left open, a batch axis by another name."""
    relations.graph.input[0].type.tensor_type.shape.dim[axis].CopyFrom(onnx.TensorShapeProto.Dimension(**value))
    with pytest.raises(ladder.WrongAxes, match="regions has axes"):
        ladder.check_interface(relations, RELATIONS)


def test_an_invalid_graph_is_refused() -> None:
    """A node that reads what nobody wrote."""
    with pytest.raises(ladder.InvalidGraph, match="nobody"):
        ladder.check_interface(graph_of(helper.make_node("Relu", ["nobody"], ["y"])), ITEMS)


def test_right_values_pass_and_their_gap_is_told() -> None:
    """The largest difference comes back; it is small, and it was measured."""
    assert 0 < climb() < 1e-6


def test_wrong_values_are_refused() -> None:
    """A reference that is off by more than the tolerance, and one that is not a number."""
    with pytest.raises(ladder.WrongValues, match=r"items at x \[1, 4\]: y differs by"):
        climb(lambda feeds: {"y": softmax(feeds)["y"] + 1e-4})
    with pytest.raises(ladder.WrongValues, match="nan"):
        climb(lambda feeds: {"y": softmax(feeds)["y"] * np.nan})


@pytest.mark.parametrize(("steps", "fits"), [(2, True), (4, False)])
def test_large_values_in_float16_may_be_rounded_otherwise(steps: int, fits: bool) -> None:
    """Beyond 32 one step of float16 is more than the tolerance."""
    halved = graph_of(helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16))
    halved.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    feeds = {"x": np.full((1, 4), 60.0, np.float32)}
    expected = {"y": np.full((1, 4), 60.0 + steps * 2**-5, np.float16)}
    with nullcontext() if fits else pytest.raises(ladder.WrongValues):
        ladder.check_values(parity.session(halved), ITEMS, lambda _: expected, [feeds], {"y": 0.02}, {})


def test_another_shape_is_refused() -> None:
    """An answer that would only broadcast to what is expected."""
    with pytest.raises(ladder.WrongShape, match="y is"):
        climb(lambda feeds: {"y": softmax(feeds)["y"][:, :1]})


def test_a_distribution_that_does_not_sum_to_one_is_refused() -> None:
    """Right values by the reference, yet no distribution."""
    relu = graph_of(helper.make_node("Relu", ["x"], ["y"]))
    with pytest.raises(ladder.WrongSum, match="sums to 1 only within"):
        climb(lambda feeds: {"y": np.maximum(feeds["x"], 0)}, relu)


def test_an_answer_that_depends_on_its_batch_is_refused() -> None:
    """Subtracting the batch mean is caught; softmax of each item is not."""
    items = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    ladder.check_batches(parity.session(SOFTMAX), ITEMS, items)
    with pytest.raises(ladder.BatchDependent, match="batches of 2"):
        ladder.check_batches(parity.session(MINUS_BATCH_MEAN), ITEMS, items)


def test_too_little_to_compare_on_is_refused() -> None:
    """No feeds, or fewer items than the largest batch, would pass any graph."""
    running = parity.session(MINUS_BATCH_MEAN)
    with pytest.raises(ladder.NothingCompared, match="no feeds"):
        ladder.check_values(running, ITEMS, softmax, [], {"y": 1e-5}, {})
    one = np.ones((1, 4), np.float32)
    with pytest.raises(ladder.NothingCompared, match="1 items, at least 2"):
        ladder.check_batches(running, ITEMS, one)
    with pytest.raises(ladder.NothingCompared, match="1 items, at least 2"):
        list(parity.frames_grid(ITEMS, one))


def test_what_is_served_is_compared() -> None:
    """The longest clip and the largest batch are in the grids of both graphs of sequences."""
    for grid, graph in ((parity.relations_grid(), RELATIONS), (parity.siam_sequence_grid(), SIAM_SEQUENCE)):
        sizes = [feeds[graph.inputs[0].name].shape[:2] for feeds in grid]
        assert max(clips for clips, _ in sizes) == graph.max_batch
        assert max(frames for _, frames in sizes) == MAX_SAMPLES
