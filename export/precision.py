"""The backbone in int8 for the CPU and in float16 for the GPU."""

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
from smile.tensors import BACKBONE

BLOCK = 8
"""Crops per calibration step; bounds its memory."""
SEVEN_BIT_WEIGHTS = {"layers.conv1_1.weight": [{"quant_type": QuantType.QInt8, "reduce_range": True, "axis": 0}]}
"""CPUs without VNNI add two products uint8 * int8 in 16 bits, which full-range pixels and 8-bit weights overflow.

Behind a ReLU activations are too small for that: simulated on the portrait crops, 1.4 % of the sums of conv1_1 overflow
and none of any other layer. Seven bits cannot: 2 * 255 * 64 < 2 ** 15."""


def int8(model: onnx.ModelProto, crops: NDArray[np.uint8], card: Card) -> onnx.ModelProto:
    """Static QDQ quantisation: uint8 activations, int8 weights for each output channel.

    ONNX Runtime fuses every convolution, ReLU and pooling into integer kernels, from the quantised pixels on.
    Sums are exact integers, so a frame's features do not depend on the batch that it came in.

    Args:
        crops: (N, 96, 96, 3) uint8 RGB, as varied as what will be served.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)  # given in memory, the quantiser would change it
        logging.disable(logging.WARNING)  # advice to simplify the graph first; there is nothing left to simplify
        try:
            quantize_static(
                source,
                target,
                _Crops(crops),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Relu", "MaxPool"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options={"TensorQuantOverrides": SEVEN_BIT_WEIGHTS},
            )
        finally:
            logging.disable(logging.NOTSET)
        return with_metadata(onnx.load(target), card)


def float16(backbone: Backbone, card: Card) -> onnx.ModelProto:
    """Convolutions in float16 with float16 weights; pixels, mean and the final scaling stay float32."""
    half = copy.deepcopy(backbone)
    half.layers.half()
    return trace(half, BACKBONE, card)


class _Crops(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, crops: NDArray[np.uint8]) -> None:
        self.blocks: Iterator[NDArray[np.uint8]] = iter(np.array_split(crops, max(1, len(crops) // BLOCK)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        block = next(self.blocks, None)
        return None if block is None else {BACKBONE.inputs[0].name: block}
