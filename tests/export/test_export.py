from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from export import calibration, gate, ladder, parity, precision, release
from export.__main__ import MIN_CROPS, main
from export.equalise import equalised
from export.steps import GATE_FRAMES, export
from export.tracing import trace
from networks.interpreter import PerItemScore
from smile.card import METADATA_CARD, METADATA_FINGERPRINT, Card
from smile.tensors import BACKBONE, GRAPHS, RELATIONS, fingerprint
from training.extraction import CROPS

FILES = ("backbone/1/model.onnx", "backbone/1/model.fp16.onnx", "relations/1/model.onnx")


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return calibration.portrait_crops(16, seed=0)


@pytest.fixture(scope="module")
def untrained(crops: np.ndarray) -> release.Release:
    return release.untrained(0, "compact", crops)


def test_a_saved_release_exports_to_the_same_bytes(
    model_repository: Path, untrained: release.Release, crops: np.ndarray, tmp_path: Path
) -> None:
    """The checkpoint loses nothing, and an export can be repeated: every file equals the fixture's."""
    release.save(untrained, tmp_path / "checkpoint")
    held_out = calibration.portrait_crops(16, seed=1)
    export(release.load(tmp_path / "checkpoint"), tmp_path / "repository", crops, held_out)
    for name in (*FILES, *(f"{graph.name}/config.pbtxt" for graph in GRAPHS)):
        assert (tmp_path / "repository" / name).read_bytes() == (model_repository / name).read_bytes(), name


def test_files_carry_card_and_fingerprint_and_fit_in_git(model_repository: Path) -> None:
    """Metadata as ONNX Runtime reads it; 40 MB is what may be committed."""
    for name in FILES:
        metadata = ort.InferenceSession(model_repository / name).get_modelmeta().custom_metadata_map
        card = Card.from_json(metadata[METADATA_CARD])
        assert card.trained_on is None and metadata[METADATA_FINGERPRINT] == fingerprint(card.frame_rate_hz)
    assert sum((model_repository / name).stat().st_size for name in FILES) < 30e6


def test_triton_24_10_can_read_them(model_repository: Path) -> None:
    """Its ONNX Runtime 1.19 knows opsets up to 21 and IR versions up to 10."""
    for name in FILES:
        model = onnx.load(model_repository / name)
        assert model.ir_version <= 10
        assert {entry.domain: entry.version for entry in model.opset_import if entry.version > 21} == {}


def test_the_int8_file_computes_in_integers_behind_the_first_layer(model_repository: Path, tmp_path: Path) -> None:
    """ONNX Runtime fuses nine convolutions; the first stays in float, where full-range pixels cannot overflow."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(model_repository / FILES[0], options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    in_float = [node for node in nodes if "Conv" in node.op_type and node.op_type != "QLinearConv"]
    assert [node.op_type for node in nodes].count("QLinearConv") == 9 and len(in_float) == 1
    assert precision.FIRST_LAYER in in_float[0].input


def test_the_float16_file_answers_each_frame_by_itself(model_repository: Path, crops: np.ndarray) -> None:
    """Whatever else is in its batch, to the bit; the export asks that of int8 alone, whose sums are exact anywhere."""
    ladder.check_batches(parity.session(onnx.load(model_repository / FILES[1])), BACKBONE, crops)


def test_an_int8_graph_calibrated_on_the_wrong_pictures_is_refused(
    untrained: release.Release, crops: np.ndarray, tmp_path: Path
) -> None:
    """Ranges chosen on nearly black crops clip real faces; the gate says so and nothing is published."""
    dark = crops // 32
    with pytest.raises(gate.AccuracyLost, match="int8: features differ by"):
        export(untrained, tmp_path, dark, crops)
    assert list(tmp_path.iterdir()) == []


def test_each_limit_of_the_gate_is_enforced() -> None:
    """At the limits it passes; beyond any one of them, or not a number, it does not."""
    for every in (gate.LIMITS, gate.SIAM_LIMITS):
        for name, limits in every.items():
            gate.check(name, limits, every)
            for field, limit in vars(limits).items():
                for value in (limit * 1.01, float("nan")):
                    with pytest.raises(gate.AccuracyLost, match=f"{name}: {field}"):
                        gate.check(name, replace(limits, **{field: value}), every)


def test_untrained_importance_is_not_uniform(model_repository: Path) -> None:
    """The seeded weights rank the pairs, differently for different clips, so comparisons can see them."""
    session = ort.InferenceSession(model_repository / FILES[2])
    feeds = next(feeds for feeds in parity.relations_grid() if feeds["regions"].shape[:2] == (3, 7))
    importance = session.run(["age_importance"], feeds)[0][:, 0]
    assert (importance.max(axis=-1) > 1.3 * importance.min(axis=-1)).all()
    assert not np.allclose(importance[0], importance[1])


def test_the_paper_width_exports(crops: np.ndarray) -> None:
    """109 million parameters in one graph with the papers' sizes, equal to torch at sizes that were not traced."""
    paper = release.untrained(1, "paper", crops[:8])
    assert any(isinstance(part, PerItemScore) for part in paper.relations.modules())
    assert sum(weight.numel() for weight in paper.relations.parameters()) == 54_725_669 + 54_726_694
    model = trace(paper.relations, RELATIONS, paper.card)
    ladder.check_interface(model, RELATIONS)
    small = [
        feeds
        for feeds in parity.relations_grid()
        if feeds["regions"].shape[1] == 7 and feeds["region_mask"].shape[1] == 3
    ]
    gaps = parity.check(parity.session(model), paper.relations, RELATIONS, iter(small))
    assert len(small) == 2 and gaps["age"] < 1e-3


def test_the_feature_scale_gives_features_of_size_one(untrained: release.Release, crops: np.ndarray) -> None:
    """RMS 1 over the crops it was measured on."""
    with torch.no_grad():
        features = untrained.backbone(torch.from_numpy(crops)).double()
    assert features.square().mean().sqrt().item() == pytest.approx(1.0, abs=1e-3)
    assert release.measured_scale(untrained.backbone, crops[:3]) > 0


def test_the_command_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that is no checkpoint, crops of the wrong size, or too few: status 1, a line each, no files."""
    np.savez(tmp_path / "crops.npz", np.zeros((200, 64, 64, 3), np.uint8))
    repository = str(tmp_path / "repository")
    assert main(["--checkpoint", str(tmp_path), "--repository", repository]) == 1
    assert main(["--untrained", "--calibration", str(tmp_path / "crops.npz"), "--repository", repository]) == 1
    (tmp_path / "cut.npz").write_bytes((tmp_path / "crops.npz").read_bytes()[:2000])
    np.save(tmp_path / "bare.npy", np.zeros((200, 96, 96, 3), np.uint8))
    np.savez(tmp_path / "empty.npz")
    np.savez(tmp_path / "few.npz", np.zeros((MIN_CROPS - 1, 96, 96, 3), np.uint8))
    (tmp_path / "nothing.npz").touch()
    for crops in ("cut.npz", "bare.npy", "empty.npz", "nothing.npz", "few.npz"):
        assert main(["--untrained", "--calibration", str(tmp_path / crops), "--repository", repository]) == 1
    first, second, *others, last = capsys.readouterr().err.splitlines()
    assert first.startswith("CheckpointError") and "not uint8 (N, 96, 96, 3)" in second
    assert "few.npz holds 63 crops, at least 64 are needed" in last
    assert len(others) == 4 and all("no .npz with an array of crops" in line for line in others)
    assert not (tmp_path / "repository").exists()


def test_crops_of_a_clip_are_dealt_together() -> None:
    """Precisions are compared on clips that int8 ranges were not chosen on, whole ones; those of studies as well."""
    assert CROPS % GATE_FRAMES == 0
    clips = np.repeat(np.arange(5), GATE_FRAMES)
    chosen, compared = calibration.dealt(clips)
    assert chosen.tolist() == [0] * GATE_FRAMES + [2] * GATE_FRAMES + [4] * GATE_FRAMES
    assert compared.tolist() == [1] * GATE_FRAMES + [3] * GATE_FRAMES


def test_given_crops_are_read_from_npz_or_images(tmp_path: Path, crops: np.ndarray) -> None:
    """Both give RGB as it was written."""
    import cv2

    np.savez(tmp_path / "crops.npz", crops)
    (tmp_path / "images").mkdir()
    for index, crop in enumerate(crops):
        cv2.imwrite(str(tmp_path / f"images/{index:03d}.png"), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
    for source in ("crops.npz", "images"):
        assert np.array_equal(calibration.load_crops(tmp_path / source), crops)


def test_equalising_changes_no_answer() -> None:
    """Channels span more equally, and the features are what they were."""
    crops = calibration.portrait_crops(seed=0)[:16]
    backbone = release.untrained(0, "compact", crops).backbone
    with torch.no_grad():
        first = backbone.layers[0]
        assert isinstance(first, torch.nn.Conv2d) and first.bias is not None
        unequal = torch.logspace(-2, 0, first.out_channels)
        first.weight *= unequal[:, None, None, None]
        first.bias *= unequal
        frames = torch.from_numpy(crops)
        other = equalised(backbone, crops)
        expected = backbone.map(frames)
        assert (other.map(frames) - expected).abs().max() < 1e-5 * expected.max()
    shares = [torch.log(network.layers[0].weight.abs().amax(dim=(1, 2, 3))).std() for network in (backbone, other)]
    assert shares[1] < 0.8 * shares[0]
