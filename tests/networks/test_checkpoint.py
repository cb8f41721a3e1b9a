import json
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from networks import checkpoint
from networks.backbone import Backbone, BackboneConfig
from networks.config import ABLATIONS, network_config
from networks.network import build
from networks.siam import Siam
from networks.siam_config import siam_config


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_a_network_comes_back_as_it_was(tmp_path: Path, ablation: str) -> None:
    """Config, weights, running statistics and scaling survive; loading gives evaluation mode."""
    network = build(network_config("age", "compact", ablation))
    network.answer.mean.fill_(41.0)
    checkpoint.save(network, tmp_path / "age", {"seed": 3})
    loaded = checkpoint.load_network(tmp_path / "age")
    assert loaded.config == network.config and not loaded.training
    expected = network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
    assert json.loads((tmp_path / "age" / checkpoint.CONFIG).read_text())["provenance"] == {"seed": 3}


def test_a_backbone_comes_back_with_its_scale_and_source(tmp_path: Path) -> None:
    """The feature scale is a part of the weights, their origin of the config."""
    backbone = Backbone(BackboneConfig("VGG-Face"))
    backbone.feature_scale.fill_(12.5)
    checkpoint.save(backbone, tmp_path)
    loaded = checkpoint.load_backbone(tmp_path)
    assert loaded.config.source == "VGG-Face" and loaded.feature_scale == 12.5
    assert "feature_scale" in load_file(tmp_path / checkpoint.WEIGHTS)


def test_weights_of_another_width_are_named(tmp_path: Path) -> None:
    """The error says which tensors differ and how."""
    checkpoint.save(build(network_config("age", "compact")), tmp_path)
    _change(tmp_path, "fc1", 64)
    with pytest.raises(
        checkpoint.CheckpointError, match=r"dynamics.fc1.weight: \[128, 2048\] in the file, \[64, 2048\]"
    ):
        checkpoint.load_network(tmp_path)


def test_weights_of_another_ablation_are_named(tmp_path: Path) -> None:
    """Missing and unexpected tensors are told apart."""
    checkpoint.save(build(network_config("age", "compact", "no_ri")), tmp_path)
    config = tmp_path / checkpoint.CONFIG
    config.write_text(config.read_text().replace("no_ri", "full"))
    with pytest.raises(checkpoint.CheckpointError, match=r"interpreter.h.weight: missing"):
        checkpoint.load_network(tmp_path)
    checkpoint.save(build(network_config("age", "compact", "full")), tmp_path)
    config.write_text(config.read_text().replace("full", "no_ri"))
    with pytest.raises(checkpoint.CheckpointError, match=r"interpreter.h.weight: not a part"):
        checkpoint.load_network(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_of_before(tmp_path: Path) -> None:
    """Where no more can be written that is an OSError, and what was there can still be read."""
    checkpoint.save(Backbone(BackboneConfig("of before")), tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(OSError, match=f"{tmp_path / checkpoint.WEIGHTS} cannot be written"):
            checkpoint.save(Backbone(BackboneConfig("new")), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.load_backbone(tmp_path).config.source == "of before"
    assert {path.name for path in tmp_path.iterdir()} == {checkpoint.CONFIG, checkpoint.WEIGHTS}


@pytest.mark.parametrize("damage", ["absent", "truncated", "not json", "backbone", "unknown field"])
def test_what_is_not_a_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    """Every kind of damage ends in one exception type that names the directory."""
    checkpoint.save(build(network_config("age", "compact")), tmp_path)
    config, weights = tmp_path / checkpoint.CONFIG, tmp_path / checkpoint.WEIGHTS
    match damage:
        case "absent":
            weights.unlink()
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:1000])
        case "not json":
            config.write_text("weights")
        case "backbone":
            config.write_text(config.read_text().replace('"network"', '"backbone"'))
        case "unknown field":
            config.write_text(config.read_text().replace('"fc1"', '"fc2"'))
    with pytest.raises(checkpoint.CheckpointError, match=str(tmp_path)):
        checkpoint.load_network(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fc1", -1),
        ("lstm", 0),
        ("fc1", 1.5),
        ("relation", [256]),
        ("estimator", []),
        ("estimator", [128, 64, 32]),
        ("frame_channels", 48),
        ("frame_hidden", None),
        ("lstm_dropout", "half"),
        ("trait", ["age"]),
    ],
)
def test_a_config_that_no_network_has_is_refused(tmp_path: Path, field: str, value: object) -> None:
    """By the name of the directory, before torch is asked for such a network."""
    checkpoint.save(build(network_config("age", "compact")), tmp_path)
    _change(tmp_path, field, value)
    with pytest.raises(checkpoint.CheckpointError, match=str(tmp_path)):
        checkpoint.load_network(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"), [("channels", [32, 64]), ("hidden", -1), ("features", "n"), ("dropout", 1.0)]
)
def test_a_config_that_no_siam_has_is_refused(tmp_path: Path, field: str, value: object) -> None:
    checkpoint.save(Siam(siam_config("compact")), tmp_path)
    _change(tmp_path, field, value)
    with pytest.raises(checkpoint.CheckpointError, match=field):
        checkpoint.load_siam(tmp_path)


def _change(directory: Path, field: str, value: object) -> None:
    config = directory / checkpoint.CONFIG
    record = json.loads(config.read_text())
    record["config"][field] = value
    config.write_text(json.dumps(record))
