"""The whole export: trace, check, quantise, compare, publish."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from torch import nn

from export import gate, ladder, parity, precision, triton
from export.equalise import equalised
from export.publish import Contents, next_version, publish
from export.release import Release
from export.tracing import trace
from smile.card import Card
from smile.tensors import BACKBONE, GRAPHS, RELATIONS, Graph

GATE_FRAMES = 8
"""The held-out crops are compared as clips of this length."""


@dataclass(frozen=True)
class Exported:
    """Where both graphs were published, and what the lower precisions changed (`gate`)."""

    version: int
    directories: list[Path]
    differences: Mapping[str, gate.Differences | gate.SiamDifferences]


@dataclass(frozen=True)
class Candidate(Generic[gate.Found]):
    """Both graphs of a network on their way to publication: that of single frames, and that of sequences.

    Attributes:
        card: of the release. graphs: their contracts. modules: in torch. exact: traced from these, in float32.
        lower: the graph of frames in lower precisions, by name.
        grid: feeds on which the graph of sequences is compared with torch.
        measure: what a lower precision changes in clips, given the sessions of the exact, the lower and the sequences'
            graph. limits: what it may change.
    """

    card: Card
    graphs: tuple[Graph, Graph]
    modules: tuple[nn.Module, nn.Module]
    exact: tuple[onnx.ModelProto, onnx.ModelProto]
    lower: Mapping[str, onnx.ModelProto]
    grid: Iterator[ladder.Feeds]
    measure: Callable[[ort.InferenceSession, ort.InferenceSession, ort.InferenceSession, NDArray[np.uint8]], gate.Found]
    limits: Mapping[str, gate.Found]


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
        FileExistsError: the version, or a newer one, exists.
    """
    card, backbone = release.card, release.backbone
    print("tracing")
    quantised = precision.int8(trace(equalised(backbone, calibration), BACKBONE, card), calibration, card)
    candidate = Candidate(
        card,
        GRAPHS,
        (backbone, release.relations),
        (trace(backbone, BACKBONE, card), trace(release.relations, RELATIONS, card)),
        {"int8": quantised, "float16": precision.float16(backbone, card)},
        parity.relations_grid(),
        gate.measure,
        gate.LIMITS,
    )
    return climb(candidate, repository, held_out, version)


def climb(
    candidate: Candidate[gate.Found], repository: Path, held_out: NDArray[np.uint8], version: int | None
) -> Exported:
    """Check the graphs against contract and torch, and lower precisions against the exact one; then publish.

    Raises:
        ExportError: a check failed, and nothing was published.
        FileExistsError: the version, or a newer one, exists.
    """
    frames, sequences = candidate.graphs
    exact, joint = candidate.exact
    for model in (exact, *candidate.lower.values()):
        ladder.check_interface(model, frames)
    ladder.check_interface(joint, sequences)

    print("comparing with torch")
    sessions = {name: parity.session(model) for name, model in {"float32": exact, **candidate.lower}.items()}
    over_time = parity.session(joint)
    of_frames, of_sequences = candidate.modules
    gaps = parity.check(sessions["float32"], of_frames, frames, parity.frames_grid(frames, held_out))
    gaps |= parity.check(over_time, of_sequences, sequences, candidate.grid)
    ladder.check_batches(sessions["int8"], frames, held_out)
    print("  largest differences: " + ", ".join(f"{name} {gap:.2g}" for name, gap in gaps.items()))

    clips = held_out[: len(held_out) // GATE_FRAMES * GATE_FRAMES].reshape(-1, GATE_FRAMES, *held_out.shape[1:])
    differences = {}
    for name in candidate.lower:
        differences[name] = candidate.measure(sessions["float32"], sessions[name], over_time, clips)
        print(f"  {name} against float32: {differences[name]}")
        gate.check(name, differences[name], candidate.limits)

    if version is None:
        version = next_version(repository, (frames.name, sequences.name))
    files = {triton.MODEL_FILE: candidate.lower["int8"], triton.FLOAT16_FILE: candidate.lower["float16"]}
    contents = {frames: files, sequences: {triton.MODEL_FILE: joint}}
    return Exported(version, publish_all(repository, version, contents, candidate.card), differences)


def publish_all(
    repository: Path, version: int, contents: Mapping[Graph, Mapping[str, onnx.ModelProto]], card: Card
) -> list[Path]:
    """Publish the files of each graph with its config.pbtxt; where they are.

    Raises:
        FileExistsError: one of them has this version, or a newer one.
        OSError: something could not be written. In either case nothing was published.
    """
    models = {
        graph.name: Contents(
            {name: model.SerializeToString(deterministic=True) for name, model in files.items()},
            triton.config(graph, card),
        )
        for graph, files in contents.items()
    }
    directories = publish(repository, version, models)
    for directory, published in zip(directories, models.values(), strict=True):
        for name, content in published.files.items():
            print(f"published {directory / name} ({len(content) / 1e6:.2f} MB)")
    return directories
