"""SIAM's convolutions: a warped grey face -> p_t, with the spatial attention among them (S section III; SPEC B1)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from networks.initialise import initialise_relu
from networks.siam_config import SiamConfig
from networks.spatial_attention import SpatialAttention
from smile.frontal_shape import SIDE_PX

MAP_SIDES = (26, 10, 8)
"""Cells per side of the map after each convolution and, for the first two, its pooling."""


class ResponseNorm(nn.Module):
    """AlexNet's local response normalisation over 5 channels: x / (2 + 1e-4 * sum x^2) ^ 0.75.

    The same as nn.LocalResponseNorm(5, 5e-4, 0.75, 2), in operations that stay cheap when exported.
    """

    SIZE, SCALE, OFFSET = 5, 1e-4, 2.0

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        channels, reach = x.shape[1], self.SIZE // 2
        squares = pad((x * self.SCALE**0.5).square(), (0, 0, 0, 0, reach, reach))
        total = squares[:, :channels] + self.OFFSET
        for k in range(1, self.SIZE):
            total = total + squares[:, k : k + channels]
        root = total.sqrt()
        return x / (root * root.sqrt())


class Appearance(nn.Module):
    """Three convolutions and two fully connected layers. No padding; pooling 3x3 with stride 2.

    Pixels are divided by 255, then `pixel_mean` is taken away and the rest divided by `pixel_std`, both measured on the
    training clips. Everything after that runs in the dtype of the weights.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: SiamConfig) -> None:
        super().__init__()
        first, second, third = config.channels
        self.register_buffer("pixel_mean", torch.tensor(0.5))
        self.register_buffer("pixel_std", torch.tensor(0.25))
        self.conv1 = nn.Sequential(
            nn.Conv2d(1, first, 7, stride=2), nn.ReLU(), ResponseNorm(), nn.MaxPool2d(3, stride=2)
        )
        self.conv2 = nn.Sequential(nn.Conv2d(first, second, 5), nn.ReLU(), ResponseNorm(), nn.MaxPool2d(3, stride=2))
        self.conv3 = nn.Sequential(nn.Conv2d(second, third, 3), nn.ReLU())
        self.attended = config.attention_after
        side, channels = MAP_SIDES[self.attended - 1], config.channels[self.attended - 1]
        self.attention = (
            SpatialAttention(config.mechanism, channels, side, config.attention_width) if config.spatial else None
        )
        self.full = nn.Sequential(
            nn.Flatten(),
            nn.Linear(third * MAP_SIDES[-1] ** 2, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.features),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        for layers in (self.conv1, self.conv2, self.conv3, self.full):
            initialise_relu(layers)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Look at frames one by one.

        Args:
            faces: (N, 114, 114) uint8 grey, warped onto the mean shape (smile.frontal).

        Returns:
            p_t (N, n) and spatial attention (N, side, side) float32; 1 everywhere without the module.
        """
        scaled = (faces.reshape(-1, 1, SIDE_PX, SIDE_PX).float() / 255 - self.pixel_mean) / self.pixel_std
        maps = scaled.to(next(self.conv1.parameters()).dtype)
        attention = torch.ones_like(maps[:, 0, : MAP_SIDES[self.attended - 1], : MAP_SIDES[self.attended - 1]])
        for number, convolution in enumerate((self.conv1, self.conv2, self.conv3), start=1):
            maps = convolution(maps)
            if self.attention is not None and number == self.attended:
                maps, attention = self.attention(maps)
        return self.full(maps), attention.float()
