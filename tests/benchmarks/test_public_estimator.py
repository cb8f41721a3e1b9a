"""The public estimator, with random weights since the real ones are fetched to compare; and the tables made of both."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import faceres, public_estimator
from training.evaluate_clips import Answers
from training.stills import Stills

WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


def deviation(name: str, shape: tuple[int, ...]) -> float:
    """Such that signals neither fade nor saturate on their way: He's, and pixels are tens and hundreds."""
    if len(shape) == 1:
        return 1.4 if name.endswith("/mul") else 0.1
    summed = shape[:2] if "depthwise" in name else shape[:-1]
    return float((2 / np.prod(summed)) ** 0.5 / (64 if name.startswith("conv1/") else 1))


def write(folder: Path, dtype: str) -> Path:
    """A graph file with random weights of the right names and shapes, all of which float16 holds exactly."""
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/convolution/merged_input": (3, 3, 3, 32),
        "conv1_bn/batchnorm_1/sub": (32,),
    }
    for block, (before, after) in enumerate(zip(WIDTHS, WIDTHS[1:], strict=False), start=1):
        shapes |= {
            f"conv_dw_{block}/depthwise_kernel": (3, 3, before, 1),
            f"conv_dw_{block}_bn/batchnorm_1/mul": (before,),
            f"conv_dw_{block}_bn/batchnorm_1/sub": (before,),
            f"conv_pw_{block}/convolution/merged_input": (1, 1, before, after),
            f"conv_pw_{block}_bn/batchnorm_1/sub": (after,),
        }
    for name, before, after in (("feats", 1024, 256), ("age_pred", 256, 100), ("gender_pred", 256, 1)):
        shapes |= {f"{name}/kernel": (before, after), f"{name}/bias": (after,)}
    rng = np.random.default_rng(0)
    values = [np.float16(rng.normal(0, deviation(name, shape), shape)) for name, shape in shapes.items()]
    form = {"dtype": "float32"} | ({"quantization": {"dtype": dtype}} if dtype != "float32" else {})
    entries = [{"name": name, "shape": shape} | form for name, shape in shapes.items()]
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"".join(value.astype(dtype).tobytes() for value in values))
    model = folder / "faceres.json"
    model.write_text(json.dumps({"weightsManifest": [{"paths": ["weights.bin"], "weights": entries}]}))
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("faceres") / "half", "float16")


def test_weights_are_read_in_either_precision(model: Path, tmp_path: Path) -> None:
    """The same values as float16 and as float32 are the same network; other faces, other answers."""
    chips = np.stack([np.full((224, 224, 3), level, np.uint8) for level in (40, 200)])
    half, single = (
        faceres.read(path)(torch.from_numpy(chips)) for path in (model, write(tmp_path / "full", "float32"))
    )
    for mine, other in zip(half, single, strict=True):
        torch.testing.assert_close(mine, other)
        assert mine.shape == (2,) and not torch.isclose(mine[0], mine[1], rtol=1e-4)
    assert 0 <= float(half[0].min()) and float(half[0].max()) <= 99 and 0 <= float(half[1].min()) <= 1


def test_another_graph_is_refused(model: Path, tmp_path: Path) -> None:
    """One whose weights have other names, or too few values, is named."""
    other = tmp_path / "faceres.json"
    other.write_text(model.read_text().replace("conv_pw_13/", "conv_pw_14/"))
    content = (model.parent / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(content)
    with pytest.raises(faceres.UnknownGraph, match=str(other)):
        faceres.read(other)
    other.write_text(model.read_text())
    (tmp_path / "weights.bin").write_bytes(content[:-2])
    with pytest.raises(faceres.UnknownGraph, match=str(other)):
        faceres.read(other)


def test_halving_layers_begin_at_the_first_pixel() -> None:
    """TensorFlow puts its zeros behind an even image: the first window is the first three by three pixels."""
    layer = nn.Conv2d(1, 1, 3, stride=2, bias=False)
    nn.init.ones_(layer.weight)
    image = torch.arange(36.0).reshape(1, 1, 6, 6)
    with torch.inference_mode():
        seen = layer(faceres._around(image, layer))
    assert seen.shape == (1, 1, 3, 3) and float(seen[0, 0, 0, 0]) == float(image[0, 0, :3, :3].sum())


def test_stills_are_answered_in_their_order(model: Path, tmp_path: Path) -> None:
    """Whatever the order of the archive, and as the network answers each alone."""
    levels = {"30_1_b.png": 40, "20_0_a.png": 200}
    with zipfile.ZipFile(tmp_path / "stills.zip", "w") as archive:
        for name, level in levels.items():
            picture = np.full((50, 50, 3), level, np.uint8)
            archive.writestr(f"folder/{name}", cv2.imencode(".png", picture)[1].tobytes())
    network = faceres.read(model)
    years, female = public_estimator.answers_of(network, tmp_path / "stills.zip", ["20_0_a.png", "30_1_b.png"])
    for at, level in enumerate((200, 40)):
        alone = network(torch.full((1, 224, 224, 3), level, dtype=torch.uint8))
        assert (years[at], female[at]) == (
            pytest.approx(float(alone[0]), rel=1e-4),
            pytest.approx(float(alone[1]), rel=1e-4),
        )


def test_the_tables_hold_both_and_the_difference() -> None:
    """Ours off by 2 years and right, the other off by 5 and wrong for women: rows, slices and differences say so."""
    count = 40
    age, gender = np.full(count, 30, np.float32), np.arange(count) % 2
    zeros = np.zeros(count, np.int64)
    names = np.array([str(index) for index in range(count)])
    data = Stills(names, age, gender, zeros, zeros + 20170101, zeros.astype(np.uint64), zeros.astype(np.uint8))
    rows = np.arange(count)
    ours = Answers(age + 2.0, gender.astype(float), rows)
    text = public_estimator.report(ours, Answers(age - 5.0, np.zeros(count), rows), data, asked=43)
    assert "Of 43 test stills of UTKFace ours refused 3" in text
    assert "| ours | 40 | 2.00 (2.00 to 2.00) | +2.00 | 100.0 (100.0 to 100.0) |" in text
    assert "| HSE-FaceRes | 40 | 5.00 (5.00 to 5.00) | -5.00 | 50.0" in text
    assert "MAE -3.00 (-3.00 to -3.00) years, accuracy 50.0" in text
    assert "| female, HSE-FaceRes | 20 | 5.00 (5.00 to 5.00) | -5.00 | 0.0 (0.0 to 0.0) |" in text


def test_a_missing_file_ends_with_one_line(tmp_path: Path) -> None:
    """Before anything is computed."""
    with pytest.raises(SystemExit, match="error: .*nowhere.json"):
        public_estimator.main(["--model", str(tmp_path / "nowhere.json")])
