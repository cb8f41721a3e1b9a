"""What model_repository/ holds as checkpoints that training can use: what is served is what is studied.

    python -m training.shipped --out runs/shipped             # the backbone
    python -m training.shipped --release --out runs/shipped   # backbone/, age/, gender/ and card.json

The backbone's weights are those of the float16 graph; the int8 one was made of the same.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from export.release import CARD
from export.triton import FLOAT16_FILE, MODEL_FILE
from networks import checkpoint
from networks.backbone import Backbone, BackboneConfig
from networks.config import TRAITS, network_config
from networks.network import InterpreterNetwork
from networks.siam import Siam
from networks.siam_config import siam_config
from smile.card import METADATA_CARD, Card
from smile.tensors import BACKBONE, RELATIONS, SIAM_FRAMES, SIAM_SEQUENCE
from training import ROOT
from training.ending import in_one_line
from training.model_card import BEGUN, VIEWS

REPOSITORY = ROOT / "model_repository"


class NotShipped(Exception):
    """The repository holds no graph that can be taken back."""


def write(folder: Path, repository: Path = REPOSITORY) -> Path:
    """The newest version of the backbone in `repository` as a checkpoint in `folder`, unless there is one already.

    Raises:
        NotShipped: there is no graph, or it holds other weights than a backbone's.
    """
    if (folder / checkpoint.CONFIG).exists():
        return folder
    file = _newest(repository, BACKBONE.name, FLOAT16_FILE)
    with _read(file) as (model, card):
        found = {tensor.name: numpy_helper.to_array(tensor).astype(np.float32) for tensor in model.graph.initializer}
        network = Backbone(BackboneConfig(source=f"a release of {card.name}"))
        network.load_state_dict({name: torch.from_numpy(found[name].copy()) for name in network.state_dict()})
    provenance = _provenance(file, card)
    if card.report and VIEWS in card.report:
        provenance["images_seen"] = card.report[VIEWS]
    if card.report and BEGUN in card.report:
        provenance["begun"] = card.report[BEGUN]
    checkpoint.save(network, folder, provenance)
    return folder


def write_release(folder: Path, repository: Path = REPOSITORY) -> Path:
    """All that is shipped as a release in `folder` (networks.checkpoint): backbone/, age/, gender/ and card.json.

    Raises:
        NotShipped: a graph is missing, or holds other weights than those of compact networks.
    """
    file = _newest(repository, RELATIONS.name, MODEL_FILE)
    with _read(file) as (model, card):
        found = _parameters(model)
        networks = {trait: InterpreterNetwork(network_config(trait, "compact")) for trait in TRAITS}
        for trait, network in networks.items():
            state = network.state_dict()
            kept = {name: found[f"{trait}.{name}"] for name in state if not name.endswith("num_batches_tracked")}
            network.load_state_dict(state | kept)
    write(folder / "backbone", repository)
    for trait, network in networks.items():
        checkpoint.save(network, folder / trait, _provenance(file, card))
    (folder / CARD).write_text(card.to_json() + "\n", encoding="utf-8")
    return folder


def write_siam(folder: Path, repository: Path = REPOSITORY) -> Card:
    """SIAM as it is shipped as a checkpoint in `folder`, with what its card tells of its training; the card.

    The weights that look at single frames are those of the float16 graph.

    Raises:
        NotShipped: a graph is missing, or holds other weights than those of the compact network.
    """
    file = _newest(repository, SIAM_FRAMES.name, FLOAT16_FILE)
    with _read(_newest(repository, SIAM_SEQUENCE.name, MODEL_FILE)) as (model, _):
        over_time = {name.removeprefix("network."): values for name, values in _parameters(model).items()}
    with _read(file) as (model, card):
        found = over_time | {name: values.float() for name, values in _parameters(model).items()}
        network = Siam(siam_config("compact"))
        network.load_state_dict({name: found[name].reshape(kept.shape) for name, kept in network.state_dict().items()})
        told = (json.loads(card.to_json())["report"] or {})["provenance"]["network"]
    checkpoint.save(network, folder, told | _provenance(file, card))
    return card


def _newest(repository: Path, graph: str, name: str) -> Path:
    versions = sorted((repository / graph).glob(f"*/{name}"), key=lambda path: int(path.parent.name))
    if not versions:
        raise NotShipped(f"{repository}: no {graph}/*/{name}")
    return versions[-1]


@contextmanager
def _read(file: Path) -> Iterator[tuple[onnx.ModelProto, Card]]:
    """The graph and its card; what goes wrong with them is the file's fault."""
    model = onnx.load(file)
    try:
        yield model, Card.from_json({entry.key: entry.value for entry in model.metadata_props}[METADATA_CARD])
    except (KeyError, ValueError, RuntimeError) as error:
        raise NotShipped(f"{file} holds other weights than expected: {error}") from error


def _provenance(file: Path, card: Card) -> dict[str, object]:
    return {
        "file": f"{file.parent.parent.name}/{file.parent.name}/{file.name}",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "name": card.name,
        "trained_on": card.trained_on,
        "licence": card.licence,
    }


def _parameters(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Parameters of a network by name: the exporter kept most of the names, but not those of matrices that it
    transposed, which the node that multiplies by them tells, and of recurrent layers; the gates of LSTMs it put in
    another order."""
    arrays = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in model.graph.initializer}
    found = dict(arrays)
    for node in model.graph.node:
        path = node.name.strip("/").split("/")
        if node.op_type == "MatMul" and node.input[1] in arrays:
            # /age/interpreter/g/g.0/MatMul: the parts of a Sequential are named after it
            module = [part for part, following in pairwise(path) if not following.startswith(f"{part}.")]
            found[".".join((*module, "weight"))] = arrays[node.input[1]].T
        if node.op_type == "Conv" and node.input[2].startswith("onnx::"):
            found[".".join((*path[:-1], "b"))] = arrays[node.input[2]]  # of spatial attention, which shapes it anew
        if node.op_type in ("LSTM", "RNN"):
            layer = path[-1].removeprefix(node.op_type).removeprefix("_") or "0"
            weights = [arrays[name][0] for name in node.input[1:3]] + list(arrays[node.input[3]][0].chunk(2))
            for kind, values in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), weights, strict=True):
                if node.op_type == "LSTM":
                    inputs, outputs, forget, cell = values.chunk(4)
                    values = torch.cat((inputs, forget, cell, outputs))
                found[".".join((*path[:-1], f"{kind}_l{layer}"))] = values
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.shipped", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    parser.add_argument("--release", action="store_true", help="the networks of both traits and the card as well")
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    options = parser.parse_args(arguments)
    with in_one_line(NotShipped):
        print((write_release if options.release else write)(options.out, options.repository))


if __name__ == "__main__":
    main()
