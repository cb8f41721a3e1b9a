"""Graphs that were exported before under another card: their weights stay as they are, to the bit."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from export.publish import next_version
from export.steps import publish_all
from export.tracing import with_metadata
from smile.card import Card
from smile.tensors import Graph


def recard(source: Path, target: Path, graphs: Sequence[Graph], card: Card, *, version: int) -> list[Path]:
    """Publish the newest version of `graphs` in the repository `source` as `version` in `target`, with this card.

    Returns:
        where they are.

    Raises:
        FileNotFoundError: `source` lacks a graph, or its newest version.
        FileExistsError: `target` has this version, or a newer one.
    """
    newest = str(next_version(source, tuple(graph.name for graph in graphs)) - 1)
    if newest == "0":
        raise FileNotFoundError(f"{source} holds no version of {graphs[0].name}")
    contents = {}
    for graph in graphs:
        files = sorted((source / graph.name / newest).glob("*.onnx"))
        if not files:
            raise FileNotFoundError(f"{source} holds no version {newest} of {graph.name}")
        contents[graph] = {file.name: with_metadata(onnx.load(file), graph, card) for file in files}
    return publish_all(target, version, contents, card)
