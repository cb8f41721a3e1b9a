"""The network that the stills train: the paper's ten convolutions with batch normalisation, and a head for one frame.

After training the normalisation is folded into the convolutions, which makes networks.backbone.Backbone exactly
(7,635,264 parameters); the head stays apart and gives the answer of a single frame, to compare clips with. `unfold`
goes the other way, so that released convolutions can be trained further.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from networks import checkpoint
from networks.backbone import BLOCKS, MEAN_RGB, Backbone, BackboneConfig
from smile.regions import GRID, REGIONS
from smile.tensors import GENDERS, MAP_CHANNELS
from training.whole import whole

AGES = 117
"""Ages 0-116, one class for each year."""
HEAD = "head.safetensors"
"""File of the head beside a backbone's weights."""
PIXEL_SCALE = 64.0
"""Training divides the centred pixels by it; folding gives it to the first convolution."""


class FrameHead(nn.Module):
    """Map of one frame -> age and gender, linear in the nine region means."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.age = nn.Linear(MAP_CHANNELS * len(REGIONS), AGES)
        self.gender = nn.Linear(MAP_CHANNELS * len(REGIONS), len(GENDERS))

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 512, h, w) -> logits of the years (N, 117) and of (male, female) (N, 2)."""
        regions = self.drop(adaptive_avg_pool2d(maps, GRID).flatten(1))
        return self.age(regions), self.gender(regions)


class StillNetwork(nn.Module):
    """uint8 RGB crops of any size from 48 px -> logits of the years and of the genders."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for widths in BLOCKS:
            for width in widths:
                convolution = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        self.head = FrameHead()
        self.register_buffer("mean", torch.tensor(MEAN_RGB).reshape(1, 3, 1, 1), persistent=False)

    def map(self, frames: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 RGB -> (N, 512, S/16, S/16)."""
        return self.layers((frames.permute(0, 3, 1, 2).float() - self.mean) / PIXEL_SCALE)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(N, S, S, 3) uint8 RGB -> logits of the years (N, 117) and of (male, female) (N, 2)."""
        return self.head(self.map(frames))


def expected_age(age_logits: Tensor) -> Tensor:
    """Expectation of the distribution over the years: (N, 117) -> (N,) float32."""
    years = torch.arange(AGES, dtype=torch.float32, device=age_logits.device)
    return age_logits.float().softmax(dim=1) @ years


@torch.no_grad()
def fold(network: StillNetwork, source: str) -> Backbone:
    """The backbone that computes network.map in evaluation mode: each convolution times gamma / sigma."""
    backbone = Backbone(BackboneConfig(source=source))
    blocks = [layer for layer in network.layers if not isinstance(layer, nn.ReLU | nn.MaxPool2d)]
    targets = [layer for layer in backbone.layers if isinstance(layer, nn.Conv2d)]
    for target, convolution, normalisation in zip(targets, blocks[::2], blocks[1::2], strict=True):
        assert isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)
        assert target.bias is not None and normalisation.running_mean is not None
        assert normalisation.running_var is not None
        gain = normalisation.weight / (normalisation.running_var + normalisation.eps).sqrt()
        target.weight.copy_(convolution.weight * gain.reshape(-1, 1, 1, 1))
        target.bias.copy_(normalisation.bias - normalisation.running_mean * gain)
    targets[0].weight.div_(PIXEL_SCALE)
    return backbone.eval()


@torch.no_grad()
def unfold(backbone: Backbone, frames: Tensor) -> StillNetwork:
    """A network that computes backbone.map, in training mode too on frames like these, and a head that knows nothing.

    Normalisation by each convolution's statistics over `frames` is undone by its gain and shift. Kernels get the size
    that fresh ones have, which normalisation makes free to choose: a rate then moves them as much as it would those.

    Args:
        frames: (N, S, S, 3) uint8 RGB.
    """
    network = StillNetwork().eval()
    sources = iter([layer for layer in backbone.layers if isinstance(layer, nn.Conv2d)])
    x = (frames.permute(0, 3, 1, 2).float() - network.mean) / PIXEL_SCALE
    unit = PIXEL_SCALE
    for layer in network.layers:
        if isinstance(layer, nn.Conv2d):
            source = next(sources)
            size = layer.weight.square().mean().sqrt() / source.weight.square().mean().sqrt()
            layer.weight.copy_(source.weight * size)
            scale, unit = size / unit, 1.0
        if isinstance(layer, nn.BatchNorm2d):
            assert source.bias is not None and layer.running_mean is not None and layer.running_var is not None
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)
            layer.weight.copy_((variance + layer.eps).sqrt() / scale)
            layer.bias.copy_(mean / scale + source.bias)
        x = layer(x)
    return network


class FrameAnswers(nn.Module):
    """Answers of single frames from the features that the backbone gives, by its own head.

    Args:
        feature_scale: of the backbone, which its features were divided by.
    """

    def __init__(self, head: FrameHead, feature_scale: float) -> None:
        super().__init__()
        self.head = head.eval()
        self.feature_scale = feature_scale

    @classmethod
    def load(cls, backbone: Path) -> "FrameAnswers":
        """Of a checkpoint directory. Raises FileNotFoundError where it has no head."""
        head = load_head(backbone / HEAD)
        return cls(head, float(checkpoint.load_backbone(backbone).feature_scale))

    @torch.no_grad()
    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 9, 2048) -> (...) expected age in years and (..., 2) probabilities of (male, female), float32."""
        tiles = regions.float() * self.feature_scale
        means = tiles.reshape(-1, GRID, GRID, MAP_CHANNELS, tiles.shape[-1] // MAP_CHANNELS).mean(dim=-1)
        age, gender = self.head(means.permute(0, 3, 1, 2))
        shape = regions.shape[:-2]
        return expected_age(age).reshape(shape), gender.float().softmax(dim=1).reshape(*shape, len(GENDERS))

    def table(self, regions: NDArray[np.float16]) -> NDArray[np.float32]:
        """(n, 9, 2048) -> (n, 3) float32: age in years, probabilities of (male, female)."""
        years, genders = self(torch.from_numpy(np.array(regions)))
        return np.column_stack([years.numpy(), genders.numpy()])


def save_head(head: FrameHead, path: Path) -> None:
    """Write the head as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as file:
        file.write(save({name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}))


def load_head(path: Path) -> FrameHead:
    """The head written by `save_head`, in evaluation mode."""
    head = FrameHead()
    head.load_state_dict(load_file(path))
    return head.eval()
