"""Reader for .caffemodel files: the layers of a Caffe network and their weights.

Caffe stores a NetParameter in protobuf's wire format. Only the few fields that carry weights are read, from the mapped
file, so that neither Caffe nor its generated code nor the prototxt is needed. Field numbers are caffe.proto's.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NET_V1_LAYERS, NET_LAYERS = 2, 100
"""NetParameter.layers (V1LayerParameter, the layout of VGG_FACE.caffemodel) and .layer (LayerParameter)."""
LAYER_FIELDS = {NET_V1_LAYERS: (4, 6), NET_LAYERS: (1, 7)}
"""Field numbers of (name, blobs) in each kind of layer."""
BLOB_LEGACY_SHAPE = (1, 2, 3, 4)
"""BlobProto.num, .channels, .height, .width."""
BLOB_DATA, BLOB_SHAPE, BLOB_DOUBLE_DATA, SHAPE_DIM = 5, 7, 8, 1

Value = int | memoryview


class CaffeModelError(ValueError):
    """Not a .caffemodel, or a damaged one."""


def load(path: Path) -> dict[str, list[NDArray[np.float32]]]:
    """Layer name -> its blobs, (weight, bias) for a convolution; layers without weights are left out.

    Legacy blobs have four dimensions: a bias comes as (1, 1, 1, O). Raises CaffeModelError, and OSError where the file
    cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError as error:
            raise CaffeModelError(f"{path} is empty") from error
    layers: dict[str, list[NDArray[np.float32]]] = {}
    try:
        for number, value in _fields(view):
            if number in LAYER_FIELDS and isinstance(value, memoryview):
                name, blobs = _layer(value, *LAYER_FIELDS[number])
                if blobs:
                    layers[name] = blobs
    except (IndexError, ValueError) as error:
        raise CaffeModelError(f"{path} is not a caffemodel, or it is cut short: {error}") from error
    return layers


def _layer(view: memoryview, name_field: int, blobs_field: int) -> tuple[str, list[NDArray[np.float32]]]:
    name, blobs = "", []
    for number, value in _fields(view):
        if number == name_field and isinstance(value, memoryview):
            name = str(value, "utf-8")
        elif number == blobs_field and isinstance(value, memoryview):
            blobs.append(_blob(value))
    return name, blobs


def _blob(view: memoryview) -> NDArray[np.float32]:
    legacy = dict.fromkeys(BLOB_LEGACY_SHAPE, 1)
    shape: list[int] | None = None
    parts: list[NDArray[np.floating]] = []
    for number, value in _fields(view):
        if number in legacy and isinstance(value, int):
            legacy[number] = value
        elif number == BLOB_SHAPE and isinstance(value, memoryview):
            shape = _shape(value)
        elif number in (BLOB_DATA, BLOB_DOUBLE_DATA) and isinstance(value, memoryview):
            parts.append(np.frombuffer(value, "<f4" if number == BLOB_DATA else "<f8"))
    data = np.concatenate(parts) if parts else np.empty(0, np.float32)
    return data.astype(np.float32, copy=False).reshape(list(legacy.values()) if shape is None else shape)


def _shape(view: memoryview) -> list[int]:
    shape: list[int] = []
    for number, value in _fields(view):
        if number == SHAPE_DIM:
            shape += [value] if isinstance(value, int) else _packed_varints(value)
    return shape


def _packed_varints(view: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(view):
        value, at = _varint(view, at)
        values.append(value)
    return values


def _fields(view: memoryview) -> Iterator[tuple[int, Value]]:
    """(field number, value) of one message: varints as int, everything else as its bytes."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = _varint(view, at)
            yield number, value
            continue
        if wire_type == 2:
            size, at = _varint(view, at)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if number == 0 or at + size > len(view):
            raise ValueError(f"field {number} of {size} bytes reaches beyond the end")
        yield number, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")
