"""The whole export: trace, check, quantise, compare, publish."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from export import gate, ladder, parity, precision, triton
from export.equalise import equalised
from export.publish import next_version, publish, refuse_published
from export.release import Release
from export.tracing import trace
from smile.card import Card
from smile.tensors import BACKBONE, RELATIONS, Graph

GATE_FRAMES = 8
"""The held-out crops are compared as clips of this length."""


@dataclass(frozen=True)
class Exported:
    """Where both graphs were published, and what the lower precisions changed (`gate`)."""

    version: int
    directories: list[Path]
    differences: Mapping[str, gate.Differences | gate.SiamDifferences]


def export(
    release: Release,
    repository: Path,
    calibration: NDArray[np.uint8],
    held_out: NDArray[np.uint8],
    *,
    version: int | None = None,
) -> Exported:
    """Write `release` into the repository as its next version.

    Args:
        calibration: (N, 96, 96, 3) uint8 RGB crops on which int8 ranges are chosen.
        held_out: other crops, at least 16, on which precisions are compared.
        version: instead of the next one.

    Raises:
        ExportError: a check failed, and nothing was published.
        FileExistsError: the version exists.
    """
    card = release.card
    print("tracing")
    exact = trace(release.backbone, BACKBONE, card)
    relations = trace(release.relations, RELATIONS, card)
    backbones = {
        "int8": precision.int8(trace(equalised(release.backbone, calibration), BACKBONE, card), calibration, card),
        "float16": precision.float16(release.backbone, card),
    }
    for model in (exact, *backbones.values()):
        ladder.check_interface(model, BACKBONE)
    ladder.check_interface(relations, RELATIONS)

    print("comparing with torch")
    sessions = {name: parity.session(model) for name, model in {"float32": exact, **backbones}.items()}
    joint = parity.session(relations)
    gaps = parity.check(sessions["float32"], release.backbone, BACKBONE, parity.frames_grid(BACKBONE, held_out))
    gaps |= parity.check(joint, release.relations, RELATIONS, parity.relations_grid())
    ladder.check_batches(sessions["int8"], BACKBONE, held_out)
    print("  largest differences: " + ", ".join(f"{name} {gap:.2g}" for name, gap in gaps.items()))

    clips = held_out[: len(held_out) // GATE_FRAMES * GATE_FRAMES].reshape(-1, GATE_FRAMES, *held_out.shape[1:])
    differences = {}
    for name in backbones:
        differences[name] = gate.measure(sessions["float32"], sessions[name], joint, clips)
        print(f"  {name} against float32: {differences[name]}")
        gate.check(name, differences[name], gate.LIMITS)

    version = version or next_version(repository, (BACKBONE.name, RELATIONS.name))
    contents = {
        BACKBONE: {triton.MODEL_FILE: backbones["int8"], triton.FLOAT16_FILE: backbones["float16"]},
        RELATIONS: {triton.MODEL_FILE: relations},
    }
    return Exported(version, publish_all(repository, version, contents, card), differences)


def publish_all(
    repository: Path, version: int, contents: Mapping[Graph, Mapping[str, onnx.ModelProto]], card: Card
) -> list[Path]:
    """Publish the files of each graph with its config.pbtxt; where they are.

    Raises:
        FileExistsError: one of them has this version already, and nothing was published.
    """
    for graph in contents:
        refuse_published(repository, graph.name, version)
    directories = []
    for graph, models in contents.items():
        files = {name: model.SerializeToString(deterministic=True) for name, model in models.items()}
        directories.append(publish(repository, graph.name, version, files, triton.config(graph, card)))
        for name, content in files.items():
            print(f"published {directories[-1] / name} ({len(content) / 1e6:.2f} MB)")
    return directories
