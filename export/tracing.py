"""torch module -> ONNX, with the names, dtypes and dynamic axes of smile.tensors and the card in the metadata."""

import io
import warnings

import onnx
import torch
from torch import nn

from smile.card import METADATA_CARD, METADATA_FINGERPRINT, Card
from smile.tensors import Graph, Tensor, fingerprint_of

OPSET = 18
"""Read by every ONNX Runtime since 1.15, so also by the one in Triton 24.10 (1.19)."""
TRACED = {"n": 2, "b": 2, "t": 3, "m": 2}
"""Sizes of the dynamic axes in the example; above 1 so that none is mistaken for a fixed one."""


def trace(module: nn.Module, graph: Graph, card: Card) -> onnx.ModelProto:
    """Export `module`, whose forward takes and gives the tensors of `graph` in order.

    The TorchScript exporter is used: it keeps both the batch and the time axis of an LSTM dynamic.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older exporter, and of constants that the check ladder covers
        torch.onnx.export(
            module,
            tuple(_example(tensor) for tensor in graph.inputs),
            buffer,  # type: ignore[arg-type]  # the annotation omits what the documentation allows
            input_names=[tensor.name for tensor in graph.inputs],
            output_names=[tensor.name for tensor in graph.outputs],
            dynamic_axes={tensor.name: _dynamic_axes(tensor) for tensor in (*graph.inputs, *graph.outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    _copy_shared_weights(model)
    model = _with_inferred_sizes(model, graph)
    model.producer_name, model.producer_version = "smile-interpreter export", ""
    return with_metadata(model, graph, card)


def with_metadata(model: onnx.ModelProto, graph: Graph, card: Card) -> onnx.ModelProto:
    """Write the card and the fingerprint of the graph's contract into the model."""
    metadata = {METADATA_CARD: card.to_json(), METADATA_FINGERPRINT: fingerprint_of(graph, card.frame_rate_hz)}
    onnx.helper.set_model_props(model, metadata)
    return model


def _example(tensor: Tensor) -> torch.Tensor:
    return torch.ones(tensor.shape(**TRACED), dtype=getattr(torch, tensor.dtype))


def _dynamic_axes(tensor: Tensor) -> dict[int, str]:
    return {index: axis for index, axis in enumerate(tensor.axes) if isinstance(axis, str)}


def _with_inferred_sizes(model: onnx.ModelProto, graph: Graph) -> onnx.ModelProto:
    """Let ONNX infer the fixed output sizes for which the exporter only made up names."""
    given = {axis for tensor in (*graph.inputs, *graph.outputs) for axis in tensor.axes}
    for output in model.graph.output:
        for axis in output.type.tensor_type.shape.dim:
            if axis.dim_param not in given:
                axis.ClearField("dim_param")
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def _copy_shared_weights(model: onnx.ModelProto) -> None:
    """Give every layer its own: the exporter joins equal ones by Identity, which the quantiser cannot follow."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    for node in [n for n in model.graph.node if n.op_type == "Identity" and n.input[0] in weights]:
        copy = model.graph.initializer.add()
        copy.CopyFrom(weights[node.input[0]])
        copy.name = node.output[0]
        model.graph.node.remove(node)
