"""The `image_cnn` ablation: a static CNN on single frames (SPEC A7; Levi & Hassner, CVPR workshops 2015).

Their layers (96@7x7, 256@5x5, 384@3x3, each with ReLU and 3x3/2 max pooling, local response normalisation after the
first two; two fully connected layers of 512 with dropout 0.5) on the aligned 96x96 crop. The first stride is 2 where
theirs is 4 on 227x227, so that the last map (5x5) stays about as fine as theirs (7x7): our choice. The compact width
has half of the channels.
"""

import torch
from torch import Tensor, nn

from networks.config import NetworkConfig
from networks.initialise import initialise_relu
from networks.traits import answer_layer
from smile.alignment import CROP_PX


class ImageCNN(nn.Module):
    """A clip's answer is the mean over its frames of `answer(network(frames))`."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.frame_channels
        hidden = config.frame_hidden
        self.features = nn.Sequential(
            nn.Conv2d(3, first, 7, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            nn.LocalResponseNorm(5),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            nn.LocalResponseNorm(5),
            nn.Conv2d(second, third, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            nn.Flatten(),
        )
        flat = self.features(torch.zeros(1, 3, CROP_PX, CROP_PX)).shape[1]
        self.classifier = nn.Sequential(
            nn.Linear(flat, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, config.outputs),
        )
        self.answer = answer_layer(config.trait)
        initialise_relu(self.features)
        initialise_relu(self.classifier)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 96, 96, 3) uint8 RGB -> (N, 1) standardised age or (N, 2) logits, one for each frame."""
        pixels = frames.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        return self.classifier(self.features(pixels))
