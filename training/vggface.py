"""Importer of VGG-Face's conv1_1 to conv4_3 from every file in which the weights are published (SPEC C4).

    python -m training.vggface VGG_FACE.t7 --out weights/backbone
    python -m training.vggface vgg_face_dag.pth --channel-order rgb --out weights/backbone

| file | kernels | channel order |
|---|---|---|
| VGG_FACE.t7 | OIHW, unnamed, in order | BGR |
| VGG_FACE.caffemodel | OIHW | BGR |
| vgg_face.mat, vgg-face.mat | HWIO | RGB |
| rcmalli_vggface_tf_vgg16.h5, ..._notop_vgg16.h5 | HWIO | BGR |
| deepface vgg_face_weights.h5 | HWIO, unnamed, in order | BGR |
| deepface vgg_face_weights.onnx | OIHW, unnamed, in order | BGR |
| vgg_face_dag.pth (RGB), deepface vgg_face_weights.pth (BGR) | OIHW | must be given: the two look alike |

The weights are for non-commercial research (Creative Commons BY-NC); none are shipped with this project.
"""

import argparse
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from networks import checkpoint
from networks.backbone import BLOCKS, MEAN_RGB, Backbone, BackboneConfig
from training import caffemodel, torch7
from training.ending import in_one_line
from training.published import BACKBONE
from training.vggface_formats import FORMATS, ChannelOrder, Convolution, ImportFailed

LICENCE = "non-commercial research only (Creative Commons BY-NC)"


def _shapes() -> dict[str, tuple[int, int, int, int]]:
    widths = [(f"conv{b}_{i}", width) for b, block in enumerate(BLOCKS, 1) for i, width in enumerate(block, 1)]
    inputs = [3] + [width for _, width in widths]
    return {name: (width, channels, 3, 3) for (name, width), channels in zip(widths, inputs, strict=False)}


SHAPES = _shapes()
"""Layer name -> (outputs, inputs, height, width) of its kernels, in the order of the network."""


def read(
    path: Path, channel_order: ChannelOrder | None = None, shapes: Mapping[str, tuple[int, ...]] = SHAPES
) -> dict[str, NDArray[np.float32]]:
    """Weights for a network whose input is RGB, whichever order the file was trained for.

    Args:
        channel_order: of the input that the file's conv1_1 expects; overrides the format's own.
        shapes: layer name -> OIHW shape, in order.

    Returns: "conv1_1.weight" -> float32 (O, I, 3, 3), "conv1_1.bias" -> float32 (O,), and so on.
    Raises ImportFailed, and OSError where the file cannot be opened.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise ImportFailed(f"{path}: not one of the formats {', '.join(FORMATS)}")
    order = channel_order or form.channel_order
    if order is None:
        raise ImportFailed(
            f"{path}: {path.suffix} files exist for both channel orders and look alike; say --channel-order rgb "
            "(vgg_face_dag.pth) or bgr (deepface's vgg_face_weights.pth)"
        )
    try:
        contents = form.read(path)
    except ImportFailed as error:
        raise ImportFailed(f"{path}: {error}") from error
    except (torch7.Torch7Error, caffemodel.CaffeModelError) as error:
        raise ImportFailed(str(error)) from error
    _check_mean(path, contents.mean, order)
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, layer in _named(path, contents.convolutions, shapes):
        if form.kernels == "HWIO" and layer.weight.ndim == 4:
            layer = layer._replace(weight=layer.weight.transpose(3, 2, 0, 1))
        if name == next(iter(shapes)) and order == "bgr" and layer.weight.ndim == 4:
            layer = layer._replace(weight=layer.weight[:, ::-1])
        tensors[f"{name}.weight"] = checked(path, f"{name}.weight", layer.weight, shapes[name])
        tensors[f"{name}.bias"] = checked(path, f"{name}.bias", layer.bias.ravel(), shapes[name][:1])
    return tensors


def backbone(tensors: Mapping[str, NDArray[np.float32]], source: str) -> Backbone:
    """The project's backbone with these weights (names and shapes as `read` gives them), in evaluation mode."""
    network = Backbone(BackboneConfig(source=source))
    network.layers.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    return network.eval()


def _named(
    path: Path, found: list[Convolution], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, Convolution]]:
    """Pair the layers wanted with those found: by name, or by order in files that do not name them."""
    by_name = {layer.name: layer for layer in found if layer.name in shapes}
    unnamed = not by_name and bool(found) and all(_is_automatic(layer.name) for layer in found)
    for index, name in enumerate(shapes):
        layer = (found[index] if index < len(found) else None) if unnamed else by_name.get(name)
        if layer is None:
            names = ", ".join(str(layer.name) for layer in found[:20]) or "none"
            raise ImportFailed(f"{path}: {name}.weight is missing; convolutions in the file: {names}")
        yield name, layer


def _is_automatic(name: str | None) -> bool:
    """Whether the layer has no name, or one that Keras made up: conv2d, conv2d_7, convolution2d_1."""
    return name is None or name.startswith(("conv2d", "convolution2d"))


def checked(path: Path, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A float32 copy of `array`. Raises ImportFailed where it has another shape, or holds other than finite floats."""
    if array.shape != shape:
        raise ImportFailed(f"{path}: {name} has shape {array.shape} (as OIHW), VGG-Face has {shape}")
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ImportFailed(f"{path}: {name} holds values that are not finite floating-point numbers")
    return np.array(array, np.float32, order="C")  # always a copy: views of the mapped file end here


def _check_mean(path: Path, mean: NDArray[Any] | None, order: ChannelOrder) -> None:
    if mean is None:
        return
    expected = np.array(MEAN_RGB if order == "rgb" else MEAN_RGB[::-1])
    if mean.shape == (3,) and np.abs(mean - expected).max() > np.abs(mean[::-1] - expected).max():
        raise ImportFailed(f"{path}: its mean colour {mean.round(1).tolist()} is not in the order {order}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.vggface", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint directory to write")
    parser.add_argument("--channel-order", choices=get_args(ChannelOrder), help="input that the file's conv1_1 expects")
    options = parser.parse_args(arguments)
    with in_one_line(ImportFailed):
        tensors = read(options.file, options.channel_order)
        with open(options.file, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        order = options.channel_order or FORMATS[options.file.suffix.lower()].channel_order
        provenance = {"file": options.file.name, "sha256": digest, "channel_order_of_file": order, "licence": LICENCE}
        checkpoint.save(backbone(tensors, f"{BACKBONE} ({options.file.name})"), options.out, provenance)
    count = sum(array.size for array in tensors.values())
    print(f"{count:,} parameters, read as {order}, written to {options.out}\nLicence of the weights: {LICENCE}")


if __name__ == "__main__":
    main()
