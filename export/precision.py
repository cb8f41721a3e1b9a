"""The graphs that look at frames in int8 for the CPU and in float16 for the GPU."""

import copy
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from export.tracing import trace, with_metadata
from networks.backbone import Backbone
from smile.card import Card
from smile.tensors import BACKBONE, Graph

BLOCK = 8
"""Crops per calibration step; bounds its memory."""
OPERATORS = ("Conv", "Relu", "MaxPool")
FIRST_LAYER = "layers.conv1_1.weight"
"""Stays in float32, with its ReLU: 0.6 % of the multiplications, and half of what int8 changed in an age at most.

CPUs without VNNI could not do it in integers either: they add two products uint8 * int8 in 16 bits, which full-range
pixels and 8-bit weights overflow. Behind a ReLU activations are too small for that: simulated on the portrait crops,
none of the sums of any other layer overflows."""


def int8(
    model: onnx.ModelProto,
    crops: NDArray[np.uint8],
    card: Card,
    graph: Graph = BACKBONE,
    first_layer: str = FIRST_LAYER,
    operators: tuple[str, ...] = OPERATORS,
) -> onnx.ModelProto:
    """Static QDQ quantisation: uint8 activations, int8 weights for each output channel.

    ONNX Runtime fuses every convolution, ReLU and pooling but those of the first layer into integer kernels.
    Sums are exact integers, so a frame's features do not depend on the batch that it came in.

    Args:
        crops: for the graph's only input, as varied as what will be served.
        first_layer: name of the weights that meet the pixels.
        operators: what is quantised.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)  # given in memory, the quantiser would change it
        logging.disable(logging.WARNING)  # advice to simplify the graph first; there is nothing left to simplify
        try:
            quantize_static(
                source,
                target,
                _Crops(crops, graph),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(operators),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_reading(model, first_layer),
            )
        finally:
            logging.disable(logging.NOTSET)
        return with_metadata(onnx.load(target), graph, card)


def _reading(model: onnx.ModelProto, weights: str) -> list[str]:
    """Names of the node that has these weights and of the one that follows it."""
    (first,) = (node for node in model.graph.node if weights in node.input)
    (second,) = (node for node in model.graph.node if first.output[0] in node.input)
    return [first.name, second.name]


def float16(backbone: Backbone, card: Card) -> onnx.ModelProto:
    """Convolutions in float16 with float16 weights; pixels, mean and the final scaling stay float32."""
    half = copy.deepcopy(backbone)
    half.layers.half()
    return trace(half, BACKBONE, card)


class _Crops(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, crops: NDArray[np.uint8], graph: Graph) -> None:
        self.name = graph.inputs[0].name
        self.blocks: Iterator[NDArray[np.uint8]] = iter(np.array_split(crops, max(1, len(crops) // BLOCK)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        block = next(self.blocks, None)
        return None if block is None else {self.name: block}
