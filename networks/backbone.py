"""The per-frame network: VGG-Face conv1_1 to pool4, cut into nine regions (SPEC A2 rows 1-11)."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from networks.initialise import initialise_relu
from smile.regions import GRID, REGIONS
from smile.tensors import MAP_CELLS, MAP_CHANNELS, REGION_FEATURES

MEAN_RGB = (129.1863, 104.7624, 93.5940)
"""Mean colour of the VGG-Face training set on the 0-255 scale."""
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (MAP_CHANNELS,) * 3)
"""Output channels of the 3x3 convolutions of each block; each block ends with a 2x2 max pooling."""


@dataclass(frozen=True)
class BackboneConfig:
    """`source` says in words where the weights come from."""

    source: str = "random"


class Backbone(nn.Module):
    """uint8 RGB crops -> features of the nine regions.

    The first convolution expects RGB, 0-255, minus MEAN_RGB; an importer of BGR weights reverses the input axis of
    conv1_1. Features are divided by `feature_scale`, the RMS of the map over the training set (1 until it is measured).
    The convolutions run in the dtype of their weights: `backbone.layers.half()` gives the float16 variant.
    """

    mean: Tensor
    feature_scale: Tensor

    def __init__(self, config: BackboneConfig | None = None) -> None:
        super().__init__()
        self.config = config or BackboneConfig()
        self.layers = nn.Sequential(_layers())
        self.register_buffer("mean", torch.tensor(MEAN_RGB).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("feature_scale", torch.tensor(1.0))
        initialise_relu(self.layers)

    def map(self, frames: Tensor) -> Tensor:
        """(N, 96, 96, 3) uint8 RGB -> (N, 512, 6, 6) activations after pool4, unscaled."""
        pixels = frames.permute(0, 3, 1, 2).float() - self.mean
        return self.layers(pixels.to(next(self.layers.parameters()).dtype))

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 96, 96, 3) uint8 RGB -> (N, 9, 2048) float16."""
        scaled = self.map(frames).float() / self.feature_scale
        return tile(scaled.clamp(max=torch.finfo(torch.float16).max)).half()


def tile(maps: Tensor) -> Tensor:
    """Cut (N, 512, 6, 6) into the 2x2 blocks of SPEC A3: (N, 9, 2048), each flattened as (channel, row, column)."""
    cells = MAP_CELLS // GRID
    blocks = maps.reshape(-1, MAP_CHANNELS, GRID, cells, GRID, cells).permute(0, 2, 4, 1, 3, 5)
    return blocks.reshape(-1, len(REGIONS), REGION_FEATURES)


def _layers() -> "OrderedDict[str, nn.Module]":
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for block, widths in enumerate(BLOCKS, start=1):
        for index, width in enumerate(widths, start=1):
            layers[f"conv{block}_{index}"] = nn.Conv2d(channels, width, kernel_size=3, padding=1)
            layers[f"relu{block}_{index}"] = nn.ReLU()
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    return layers
