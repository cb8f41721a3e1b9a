"""Reader for .t7 files, the binary serialisation of Lua Torch 7 on a 64-bit machine.

Written for weights: the file is mapped into memory, tensors are views of it, and nothing in the file is executed.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN, FUNCTION, LEGACY_FUNCTION, RECURSIVE_FUNCTION = 0, 1, 2, 3, 4, 5, 6, 7, 8
_DTYPES = {
    "Byte": "u1",
    "Char": "i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Float": "<f4",
    "Double": "<f8",
    "Cuda": "<f4",
}
DTYPES = _DTYPES | {f"Cuda{name}": dtype for name, dtype in _DTYPES.items() if name not in ("Float", "Cuda")}
"""numpy dtype of `torch.<name>Tensor` and `torch.<name>Storage`; CUDA's plain name is float32."""
MAX_STRING = 1 << 28


class Torch7Error(ValueError):
    """Not a .t7 file of this kind, or a damaged one."""


@dataclass(eq=False)
class TorchObject:
    """An instance of a Torch class that is neither tensor nor storage, such as nn.Sequential; `fields` is its table."""

    type_name: str
    fields: Any = None


class _Table(dict):
    """A Lua table. Hashable by identity, since Lua allows tables as keys."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def load(path: Path) -> Any:
    """The object in a .t7 file: None, bool, float, str, dict (a Lua table), numpy array, or TorchObject.

    Arrays are read-only views of the mapped file. Raises Torch7Error, and OSError where the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError as error:
            raise Torch7Error(f"{path} is empty") from error
    try:
        return _Reader(view).value()
    except (struct.error, UnicodeDecodeError, IndexError, RecursionError) as error:
        raise Torch7Error(f"{path} is not a Torch 7 file, or it is cut short: {error}") from error
    except Torch7Error as error:
        raise Torch7Error(f"{path}: {error}") from error


class _Reader:
    """One pass over the bytes. Torch writes every shared object once; `seen` resolves the later mentions."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.at = 0
        self.seen: dict[int, Any] = {}

    def value(self) -> Any:
        kind = self.int32()
        if kind == NIL:
            return None
        if kind == NUMBER:
            return self.unpack("<d")
        if kind == BOOLEAN:
            return self.int32() == 1
        if kind == STRING:
            return self.string()
        if kind in (TABLE, TORCH, FUNCTION, LEGACY_FUNCTION, RECURSIVE_FUNCTION):
            index = self.int32()
            if index in self.seen:
                return self.seen[index]
            if kind == TABLE:
                return self.table(index)
            if kind == TORCH:
                return self.torch(index)
            return self.skip_function(index)
        raise Torch7Error(f"unknown object type {kind} at byte {self.at - 4}")

    def table(self, index: int) -> _Table:
        table = self.seen[index] = _Table()  # before its members: they may mention it
        for _ in range(self.int32()):
            key = self.value()
            table[key] = self.value()
        return table

    def torch(self, index: int) -> Any:
        name = self.string()
        if name.startswith("V "):  # older files have no version before the class name
            name = self.string()
        element = name.removeprefix("torch.").removesuffix("Tensor").removesuffix("Storage")
        if name == f"torch.{element}Storage" and element in DTYPES:
            value: Any = self.array(self.unpack("<q"), np.dtype(DTYPES[element]))
            self.seen[index] = value
        elif name == f"torch.{element}Tensor" and element in DTYPES:
            value = self.seen[index] = self.tensor(np.dtype(DTYPES[element]))
        else:
            value = self.seen[index] = TorchObject(name)
            value.fields = self.value()
        return value

    def tensor(self, dtype: np.dtype) -> NDArray[Any]:
        rank = self.int32()
        if not 0 <= rank <= 16:
            raise Torch7Error(f"a tensor of {rank} dimensions before byte {self.at}")
        shape = [self.unpack("<q") for _ in range(rank)]
        strides = [self.unpack("<q") for _ in range(rank)]
        offset = self.unpack("<q") - 1  # Lua counts from 1
        storage = self.value()
        if storage is None or not shape:
            return np.empty(0, dtype)
        reach = 1 + offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if min(shape) < 0 or min(strides) < 0 or offset < 0 or reach > len(storage):
            raise Torch7Error(f"a tensor of shape {shape} reaches outside its storage of {len(storage)} numbers")
        return np.lib.stride_tricks.as_strided(
            storage[offset:], shape, [stride * dtype.itemsize for stride in strides], writeable=False
        )

    def skip_function(self, index: int) -> None:
        self.seen[index] = None
        self.take(self.int32())
        self.value()  # its upvalues

    def array(self, count: int, dtype: np.dtype) -> NDArray[Any]:
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)

    def string(self) -> str:
        length = self.int32()
        if not 0 <= length <= MAX_STRING:
            raise Torch7Error(f"a string of {length} bytes at byte {self.at}")
        return str(self.take(length), "latin-1")

    def int32(self) -> int:
        return self.unpack("<i")

    def unpack(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def take(self, count: int) -> memoryview:
        if count < 0 or self.at + count > len(self.view):
            raise Torch7Error(f"{count} bytes wanted at byte {self.at}, but the file ends at {len(self.view)}")
        self.at += count
        return self.view[self.at - count : self.at]
