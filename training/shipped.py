"""The backbone of model_repository/ as a checkpoint that training can use: what is served is what is studied.

    python -m training.shipped --out runs/shipped

The weights are those of the float16 graph; the int8 one was made of the same.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from export.triton import FLOAT16_FILE
from networks import checkpoint
from networks.backbone import Backbone, BackboneConfig
from smile.card import METADATA_CARD, Card
from smile.tensors import BACKBONE
from training.model_card import BEGUN, VIEWS

REPOSITORY = Path(__file__).resolve().parents[1] / "model_repository"


class NotShipped(Exception):
    """The repository holds no backbone that can be taken back."""


def write(folder: Path, repository: Path = REPOSITORY) -> Path:
    """The newest version of the backbone in `repository` as a checkpoint in `folder`, unless there is one already.

    Raises:
        NotShipped: there is no graph, or it holds other weights than a backbone's.
    """
    if (folder / checkpoint.CONFIG).exists():
        return folder
    versions = sorted((repository / BACKBONE.name).glob(f"*/{FLOAT16_FILE}"), key=lambda path: int(path.parent.name))
    if not versions:
        raise NotShipped(f"{repository}: no {BACKBONE.name}/*/{FLOAT16_FILE}")
    graph = versions[-1]
    content = graph.read_bytes()
    model = onnx.load_from_string(content)
    found = {tensor.name: numpy_helper.to_array(tensor).astype(np.float32) for tensor in model.graph.initializer}
    try:
        card = Card.from_json({entry.key: entry.value for entry in model.metadata_props}[METADATA_CARD])
        network = Backbone(BackboneConfig(source=f"a release of {card.name}"))
        network.load_state_dict({name: torch.from_numpy(found[name].copy()) for name in network.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise NotShipped(f"{graph} holds other weights than a backbone's: {error}") from error
    provenance: dict[str, object] = {
        "file": f"{BACKBONE.name}/{graph.parent.name}/{graph.name}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "name": card.name,
        "trained_on": card.trained_on,
        "licence": card.licence,
    }
    if card.report and VIEWS in card.report:
        provenance["images_seen"] = card.report[VIEWS]
    if card.report and BEGUN in card.report:
        provenance["begun"] = card.report[BEGUN]
    checkpoint.save(network, folder, provenance)
    return folder


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.shipped", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="checkpoint directory to write")
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    options = parser.parse_args(arguments)
    try:
        print(write(options.out, options.repository))
    except NotShipped as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
