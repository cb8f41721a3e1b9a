"""A network on disk: one directory with weights.safetensors and, beside it, a config.json that people can read.

    weights.safetensors    every parameter and persistent buffer
    config.json            {"kind": ..., "config": {...}, "provenance": {...}}

A release is a directory of three such directories, backbone/, age/ and gender/, and card.json (smile.card); of SIAM one
directory, siam/, and card.json.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from networks.backbone import Backbone, BackboneConfig
from networks.config import NetworkConfig
from networks.image_cnn import ImageCNN
from networks.network import InterpreterNetwork, build
from networks.siam import Siam
from networks.siam_config import SiamConfig

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
Network = Backbone | InterpreterNetwork | ImageCNN | Siam


class CheckpointError(Exception):
    """A checkpoint that cannot be read, or whose weights are not those of the network that its config describes."""


def save(network: Network, directory: Path, provenance: dict[str, object] | None = None) -> None:
    """Write `network` to `directory`, which is made if it is absent.

    Args:
        provenance: whatever tells where the weights come from (seed, commit, data); kept as it is.

    Raises OSError; each file is whole, or as it was before.
    """
    directory.mkdir(parents=True, exist_ok=True)
    kind = {Backbone: "backbone", Siam: "siam"}.get(type(network), "network")
    record = {"kind": kind, "config": asdict(network.config), "provenance": provenance or {}}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with _whole(directory / WEIGHTS) as file:
        try:
            save_file(weights, file)
        except SafetensorError as error:
            raise OSError(f"{directory / WEIGHTS} cannot be written: {error}") from error
    with _whole(directory / CONFIG) as file:
        file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def load_backbone(directory: Path) -> Backbone:
    """The backbone in `directory`, in evaluation mode. Raises CheckpointError."""
    network = _load(directory, "backbone")
    assert isinstance(network, Backbone)
    return network


def load_network(directory: Path) -> InterpreterNetwork | ImageCNN:
    """The trait network in `directory`, in evaluation mode. Raises CheckpointError."""
    network = _load(directory, "network")
    assert not isinstance(network, Backbone | Siam)
    return network


def load_siam(directory: Path) -> Siam:
    """The SIAM in `directory`, in evaluation mode. Raises CheckpointError."""
    network = _load(directory, "siam")
    assert isinstance(network, Siam)
    return network


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of `path` at the end, unless an exception comes first."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _load(directory: Path, kind: str) -> Network:
    try:
        record = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        weights = load_file(directory / WEIGHTS)
        if record["kind"] != kind:
            raise CheckpointError(f"{directory} holds a {record['kind']}, not a {kind}")
        network = _build(kind, record["config"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{directory} is not a readable checkpoint: {error}") from error
    differences = _differences(network.state_dict(), weights)
    if differences:
        raise CheckpointError(f"{directory}: the weights do not fit its {CONFIG}:\n  " + "\n  ".join(differences))
    network.load_state_dict(weights)
    return network.eval()


def _build(kind: str, config: dict) -> Network:
    if kind == "backbone":
        return Backbone(BackboneConfig(**config))
    return Siam(SiamConfig(**config)) if kind == "siam" else build(NetworkConfig(**config))


def _differences(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> list[str]:
    lines = [f"{name}: missing" for name in expected if name not in found]
    lines += [f"{name}: not a part of this network" for name in found if name not in expected]
    return lines + [
        f"{name}: {list(found[name].shape)} in the file, {list(expected[name].shape)} in the network"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
