"""Spread what the channels of a layer span, so that one scale of int8 fits them all.

A layer's activations share one scale. Where a channel spans a hundredth of another, next to nothing of it is left.
Convolution, ReLU and pooling commute with a positive factor for each channel, so the next layer can undo it: the
network stays the same function (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
ICCV 2019; by activations and part of the way, as Xiao et al., "SmoothQuant", ICML 2023).
"""

import copy
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networks.backbone import Backbone

SHARE = 0.4
"""Exponent of the factor: 0 leaves everything as it is, 1 makes all channels of a layer span the same, at the price of
weights that are as unequal as the channels were."""
LEAST = 1e-2
"""A channel that spans less than this share of the widest one is treated as if it spanned so much."""
BLOCK = 16
"""Crops looked at together; bounds memory."""


@torch.no_grad()
def equalised(backbone: Backbone, crops: NDArray[np.uint8]) -> Backbone:
    """The same function with channels of more equal span.

    Args:
        crops: (N, 96, 96, 3) uint8 RGB, by which the spans are measured.
    """
    backbone = copy.deepcopy(backbone)
    layers = [layer for layer in backbone.layers if isinstance(layer, nn.Conv2d)]
    for (layer, following), span in zip(pairwise(layers), _spans(backbone, layers, crops), strict=False):
        factor = (span / span.max()).clamp_min(LEAST) ** SHARE
        layer.weight /= factor[:, None, None, None]
        assert layer.bias is not None
        layer.bias /= factor
        following.weight *= factor[:, None, None]
    return backbone


def _spans(backbone: Backbone, layers: list[nn.Conv2d], crops: NDArray[np.uint8]) -> list[Tensor]:
    """Largest activation of each channel of each layer behind its ReLU, which begins at 0."""
    spans = [torch.zeros(layer.out_channels) for layer in layers]

    def watch(span: Tensor, output: Tensor) -> None:
        span.copy_(torch.maximum(span, output.amax(dim=(0, 2, 3))))

    watching = [
        layer.register_forward_hook(lambda _, inputs, output, span=span: watch(span, output))
        for layer, span in zip(layers, spans, strict=True)
    ]
    for at in range(0, len(crops), BLOCK):
        backbone.map(torch.from_numpy(crops[at : at + BLOCK]))
    for hook in watching:
        hook.remove()
    return spans
