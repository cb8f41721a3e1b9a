"""Files that appear when they are complete: a run that is killed, or a full disk, leaves none that looks finished."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

SUFFIX = ".partial"


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """The file to be written; it takes the place of `path` at the end, unless an exception comes first."""
    partial = path.with_name(f"{path.name}.{os.getpid()}{SUFFIX}")
    try:
        with open(partial, "wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`text` in UTF-8 as the whole of the file."""
    with whole(path) as file:
        file.write(text.encode())


def write_png(path: Path, rgb: NDArray[np.uint8]) -> None:
    """(H, W, 3) uint8 RGB as a PNG file."""
    with whole(path) as file:
        file.write(cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())
