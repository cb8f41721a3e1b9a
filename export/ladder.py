"""The check ladder: an exported graph climbs it rung by rung, and each rung refuses with an error of its own.

ExportError
├── InvalidGraph       onnx.checker refuses it
├── WrongContract      made for another contract, or for another frame rate than its card says
├── WrongNames         an input or output is missing, unexpected or out of order
├── WrongDtype         another element type than the contract's
├── WrongAxes          an axis that should be dynamic is fixed, or the other way round
├── WrongShape         an answer of another shape than promised
├── WrongValues        an answer too far from torch's
├── WrongSum           a distribution that does not add up to 1
├── BatchDependent     an answer that changes with what else is in the batch
└── NothingCompared    too little to compare on, so that a rung would hold whatever stands on it
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from smile.tensors import Graph, Tensor

Feeds = Mapping[str, NDArray[np.generic]]
Answers = Mapping[str, NDArray[np.generic]]
HALF_STEPS = 2
"""Of float16, by which what travels in it may always differ."""


class ExportError(Exception):
    """The export is refused; nothing is published."""


class InvalidGraph(ExportError):
    pass


class WrongContract(ExportError):
    pass


class WrongNames(ExportError):
    pass


class WrongDtype(ExportError):
    pass


class WrongAxes(ExportError):
    pass


class WrongShape(ExportError):
    pass


class WrongValues(ExportError):
    pass


class WrongSum(ExportError):
    pass


class BatchDependent(ExportError):
    pass


class NothingCompared(ExportError):
    pass


def check_interface(model: onnx.ModelProto, graph: Graph) -> None:
    """Compare names, dtypes and axes with the contract, then run onnx.checker."""
    for side, values, tensors in (
        ("input", model.graph.input, graph.inputs),
        ("output", model.graph.output, graph.outputs),
    ):
        names, expected = [value.name for value in values], [tensor.name for tensor in tensors]
        if names != expected:
            raise WrongNames(f"{graph.name}: {side}s are {names}, expected {expected}")
        for value, tensor in zip(values, tensors, strict=True):
            _check_type(graph, value.type.tensor_type, tensor)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InvalidGraph(f"{graph.name}: {error}") from error


def check_values(
    session: ort.InferenceSession,
    graph: Graph,
    reference: Callable[[Feeds], Answers],
    grid: Iterable[Feeds],
    tolerance: Mapping[str, float],
    sums: Mapping[str, float],
) -> dict[str, float]:
    """Compare the graph's answers with the reference's on every feed of `grid`.

    Args:
        reference: gives what the outputs should be.
        tolerance: largest difference allowed, for each output, in its unit; what travels in float16 may also differ by
            HALF_STEPS of its steps, which are wider than that between large values.
        sums: outputs whose last axis is a distribution, and how far from 1 it may sum.

    Returns:
        the largest absolute difference seen of each output.
    """
    largest = dict.fromkeys(tolerance, 0.0)
    where = None
    for feeds in grid:
        answers = dict(zip(tolerance, session.run(list(tolerance), dict(feeds)), strict=True))
        expected = reference(feeds)
        where = f"{graph.name} at " + ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
        for name, limit in tolerance.items():
            if answers[name].shape != expected[name].shape:
                raise WrongShape(f"{where}: {name} is {answers[name].shape}, expected {expected[name].shape}")
            gaps = np.abs(answers[name].astype(np.float64) - expected[name].astype(np.float64))
            near = gaps <= np.maximum(limit, HALF_STEPS * _half_steps(expected[name]))
            if not near.all():
                raise WrongValues(f"{where}: {name} differs by {gaps[~near].max():.3g}, more than {limit:g}")
            largest[name] = max(largest[name], float(gaps.max()))
        for name, limit in sums.items():
            error = float(np.abs(answers[name].sum(axis=-1, dtype=np.float64) - 1.0).max())
            if not error <= limit:
                raise WrongSum(f"{where}: {name} sums to 1 only within {error:.3g}, more than {limit:g}")
    if where is None:
        raise NothingCompared(f"{graph.name}: there are no feeds to compare on")
    return largest


def _half_steps(values: NDArray[np.generic]) -> NDArray[np.float64] | float:
    """Distance of each value to the next in float16; 0 for other types."""
    return np.spacing(np.abs(values)).astype(np.float64) if values.dtype == np.float16 else 0.0


def check_batches(session: ort.InferenceSession, graph: Graph, items: NDArray[np.generic]) -> None:
    """Run `items` one by one and then in every batch size of the contract; the answers must be the same bytes.

    Args:
        items: for the graph's only input, at least as many as the largest batch.
    """
    check_count(graph, items)
    name = graph.inputs[0].name
    items = items[: graph.max_batch]
    alone: list[bytes] = []
    for size in graph.batches:
        answers = [session.run(None, {name: items[i : i + size]}) for i in range(0, len(items), size)]
        together = [np.concatenate(outputs).tobytes() for outputs in zip(*answers, strict=True)]
        alone = alone or together  # the smallest batch is 1
        if together != alone:
            raise BatchDependent(f"{graph.name}: answers in batches of {size} differ from those alone")


def check_count(graph: Graph, items: NDArray[np.generic]) -> None:
    """Raises NothingCompared: fewer than the largest batch, which would then be a smaller one once more."""
    if len(items) < graph.max_batch:
        raise NothingCompared(f"{graph.name}: {len(items)} items, at least {graph.max_batch} are needed")


def _check_type(graph: Graph, found: onnx.TypeProto.Tensor, tensor: Tensor) -> None:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(found.elem_type).name
    if dtype != tensor.dtype:
        raise WrongDtype(f"{graph.name}: {tensor.name} is {dtype}, expected {tensor.dtype}")
    axes = tuple(axis.dim_param or axis.dim_value for axis in found.shape.dim)
    if axes != tensor.axes:
        raise WrongAxes(f"{graph.name}: {tensor.name} has axes {list(axes)}, expected {list(tensor.axes)}")
