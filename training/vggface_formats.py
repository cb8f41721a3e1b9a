"""Readers of the file formats in which VGG-Face's weights are published; `training.vggface` makes sense of them."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from training import caffemodel, torch7

ChannelOrder = Literal["rgb", "bgr"]


class ImportFailed(ValueError):
    """A file whose weights are not those of VGG-Face; the message names the file and the tensor."""


class Convolution(NamedTuple):
    """A convolution as the file holds it; `name` is None where the format has only an order."""

    name: str | None
    weight: NDArray[Any]
    bias: NDArray[Any]


class Contents(NamedTuple):
    """`mean` is the file's own mean colour in the file's channel order, where it has one."""

    convolutions: list[Convolution]
    mean: NDArray[Any] | None = None


@dataclass(frozen=True)
class Format:
    """How a kind of file is read. `channel_order` None: files of this kind differ, the caller must say."""

    read: Callable[[Path], Contents]
    kernels: Literal["OIHW", "HWIO"]
    channel_order: ChannelOrder | None


def _read_torch7(path: Path) -> Contents:
    return Contents(list(_torch7_convolutions(torch7.load(path))))


def _torch7_convolutions(module: Any) -> Iterator[Convolution]:
    if not isinstance(module, torch7.TorchObject) or not isinstance(module.fields, dict):
        raise ImportFailed("not a Torch 7 network")
    fields = module.fields
    if "modules" in fields:
        children = fields["modules"]
        for key in sorted(children):
            yield from _torch7_convolutions(children[key])
    elif "Convolution" in module.type_name:
        sizes = [int(fields[key]) for key in ("nOutputPlane", "nInputPlane", "kH", "kW")]
        weight = fields["weight"]  # SpatialConvolutionMM keeps it as a matrix
        if weight.size != np.prod(sizes):
            raise ImportFailed(f"{module.type_name} of shape {sizes} has {weight.size} weights")
        yield Convolution(None, weight.reshape(sizes), fields["bias"])


def _read_caffe(path: Path) -> Contents:
    layers = caffemodel.load(path)
    return Contents([Convolution(name, *blobs[:2]) for name, blobs in layers.items() if len(blobs) >= 2])


def _read_mat(path: Path) -> Contents:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        root = loadmat(path, variable_names=["net", "layers", "meta"])
    except NotImplementedError as error:
        raise ImportFailed("a MATLAB 7.3 file; save it again with -v7") from error
    except (MatReadError, ValueError, TypeError) as error:
        raise ImportFailed(f"not a MATLAB file: {error}") from error
    net = root["net"][0, 0] if "net" in root else root
    if "layers" not in _keys(net):
        raise ImportFailed("no network in it: neither `net.layers` nor `layers`")
    convolutions = []
    for cell in net["layers"].ravel():
        layer = cell[0, 0]
        weights = layer["weights"].ravel() if "weights" in _keys(layer) else ()
        if len(weights) == 2:
            convolutions.append(Convolution(str(layer["name"].item()), *weights))
    owner = net["meta"][0, 0] if "meta" in _keys(net) else net
    if "normalization" not in _keys(owner) or "averageImage" not in _keys(owner["normalization"]):
        return Contents(convolutions)
    mean = np.asarray(owner["normalization"][0, 0]["averageImage"], np.float64)
    return Contents(convolutions, mean.mean(axis=(0, 1)) if mean.ndim == 3 else mean.ravel())


def _keys(record: Any) -> tuple[str, ...]:
    return tuple(record) if isinstance(record, dict) else (record.dtype.names or ())


def _read_keras(path: Path) -> Contents:
    import h5py

    if not h5py.is_hdf5(path):
        raise ImportFailed("not an HDF5 file")
    with h5py.File(path) as file:
        root = file["model_weights"] if "model_weights" in file else file
        if "layer_names" not in root.attrs:
            raise ImportFailed("not a Keras weights file: it has no attribute `layer_names`")
        convolutions = []
        for layer in (_text(name) for name in root.attrs["layer_names"]):
            group = root[layer]
            weights = [group[_text(name)] for name in group.attrs["weight_names"]]
            if len(weights) == 2 and weights[0].ndim == 4:
                convolutions.append(Convolution(layer, weights[0][()], weights[1][()]))
    return Contents(convolutions)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _read_state_dict(path: Path) -> Contents:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ImportFailed("not a plain state dict; files that would run code when read are refused") from error
    if not isinstance(state, dict):
        raise ImportFailed(f"a {type(state).__name__}, not a state dict")
    layers = [name.removesuffix(".weight") for name in state if str(name).endswith(".weight")]
    arrays = {name: tensor.numpy() for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
    return Contents(
        [Convolution(n, arrays[f"{n}.weight"], arrays[f"{n}.bias"]) for n in layers if f"{n}.bias" in arrays]
    )


def _read_onnx(path: Path) -> Contents:
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
    except DecodeError as error:
        raise ImportFailed("not an ONNX file") from error
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    if any(len(node.input) < 3 or not {*node.input[1:3]} <= set(weights) for node in nodes):
        raise ImportFailed("a convolution without constant weight and bias")
    return Contents(
        [Convolution(None, *(numpy_helper.to_array(weights[i]) for i in node.input[1:3])) for node in nodes]
    )


FORMATS: dict[str, Format] = {
    ".t7": Format(_read_torch7, "OIHW", "bgr"),
    ".caffemodel": Format(_read_caffe, "OIHW", "bgr"),
    ".mat": Format(_read_mat, "HWIO", "rgb"),
    ".h5": Format(_read_keras, "HWIO", "bgr"),
    ".pth": Format(_read_state_dict, "OIHW", None),
    ".onnx": Format(_read_onnx, "OIHW", "bgr"),
}
