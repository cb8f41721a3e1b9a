"""Graphs that were exported before under another card: their weights stay as they are, to the bit."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from export.ladder import WrongContract, check_interface
from export.publish import next_version
from export.steps import publish_all
from export.tracing import with_metadata
from smile.card import METADATA_CARD, METADATA_FINGERPRINT, Card
from smile.tensors import Graph, fingerprint_of


def recard(source: Path, target: Path, graphs: Sequence[Graph], card: Card, *, version: int) -> list[Path]:
    """Publish the newest version of `graphs` in the repository `source` as `version` in `target`, with this card.

    Returns:
        where they are.

    Raises:
        FileNotFoundError: `source` lacks a graph, or its newest version.
        FileExistsError: `target` has this version, or a newer one.
        ExportError: a graph of another contract than today's, or trained at another rate than the card says.
    """
    newest = str(next_version(source, tuple(graph.name for graph in graphs)) - 1)
    if newest == "0":
        raise FileNotFoundError(f"{source} holds no version of {graphs[0].name}")
    contents = {}
    for graph in graphs:
        files = sorted((source / graph.name / newest).glob("*.onnx"))
        if not files:
            raise FileNotFoundError(f"{source} holds no version {newest} of {graph.name}")
        contents[graph] = {file.name: with_metadata(_checked(file, graph, card), graph, card) for file in files}
    return publish_all(target, version, contents, card)


def _checked(file: Path, graph: Graph, card: Card) -> onnx.ModelProto:
    """The graph in a file, if it keeps the contract that it will be said to keep."""
    model = onnx.load(file)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    try:
        rate_hz = Card.from_json(metadata[METADATA_CARD]).frame_rate_hz
        found = metadata[METADATA_FINGERPRINT]
    except (KeyError, ValueError) as error:
        raise WrongContract(f"{file} carries no card and fingerprint") from error
    if found != fingerprint_of(graph, rate_hz):
        raise WrongContract(f"{file} was made for contract {found}, not {fingerprint_of(graph, rate_hz)}")
    if rate_hz != card.frame_rate_hz:
        raise WrongContract(f"{file} was trained at {rate_hz:g} Hz, its new card says {card.frame_rate_hz:g}")
    check_interface(model, graph)
    return model
