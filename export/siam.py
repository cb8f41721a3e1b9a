"""SIAM's release and its export: the ladder, the gate and the publication of export.steps, for its own pair of graphs.

A release is a directory with siam/ (networks.checkpoint) and card.json.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from export import gate, parity, precision
from export.release import AGE_MEAN, AGE_STD, CARD
from export.steps import Candidate, Exported, climb
from export.tracing import trace
from networks import checkpoint
from networks.config import Width
from networks.siam import Siam, SiamFrames, SiamSequence
from networks.siam_config import siam_config
from smile import sampling
from smile.card import Card
from smile.tensors import SIAM_FRAMES, SIAM_GRAPHS, SIAM_SEQUENCE

NETWORK = "siam"
FIRST_LAYER = "appearance.conv1.0.weight"
"""The weights that meet the pixels, as SiamFrames calls them."""

OPERATORS = ("Conv", "Relu", "Gemm")
"""The poolings stand between float32 operations, where they are faster than on integers."""


@dataclass(frozen=True)
class SiamRelease:
    """What the two graphs are made from, in evaluation mode."""

    network: Siam
    card: Card


def load(directory: Path) -> SiamRelease:
    """Read siam/ and card.json. Raises checkpoint.CheckpointError."""
    network = checkpoint.load_siam(directory / NETWORK)
    try:
        card = Card.from_json((directory / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise checkpoint.CheckpointError(f"{directory} is not a release: {error}") from error
    return SiamRelease(network, card)


def save(release: SiamRelease, directory: Path, provenance: dict[str, object] | None = None) -> None:
    """Write what `load` reads."""
    checkpoint.save(release.network, directory / NETWORK, provenance)
    (directory / CARD).write_text(release.card.to_json() + "\n", encoding="utf-8")


def untrained(seed: int, width: Width, faces: NDArray[np.uint8]) -> SiamRelease:
    """Seeded weights that were never trained: for tests, and until trained ones exist.

    Pixel statistics are measured on `faces`; ages spread around AGE_MEAN, so that a comparison sees a signal.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Siam(siam_config(width)).eval()
    network.appearance.pixel_mean.fill_(float(faces.mean()) / 255)
    network.appearance.pixel_std.fill_(float(faces.std()) / 255)
    network.answer.mean.fill_(AGE_MEAN)
    network.answer.std.fill_(AGE_STD)
    return SiamRelease(network, Card(f"siam-{width}-untrained", None, "Apache-2.0", sampling.FRAME_RATE_HZ))


def export(
    release: SiamRelease,
    repository: Path,
    calibration: NDArray[np.uint8],
    held_out: NDArray[np.uint8],
    *,
    version: int | None = None,
) -> Exported:
    """Write `release` into the repository as its next version.

    Args:
        calibration: (N, 114, 114) uint8 grey, warped faces on which int8 ranges are chosen.
        held_out: others, at least 16, on which precisions are compared.
        version: instead of the next one.

    Raises:
        ExportError: a check failed, and nothing was published.
        FileExistsError: the version, or a newer one, exists.
        ValueError: a network whose answers the graphs cannot carry.
    """
    card = release.card
    print("tracing")
    frames, sequence = SiamFrames(release.network).eval(), SiamSequence(release.network).eval()
    exact = trace(frames, SIAM_FRAMES, card)
    quantised = precision.int8(exact, calibration, card, SIAM_FRAMES, FIRST_LAYER, OPERATORS)
    candidate = Candidate(
        card,
        SIAM_GRAPHS,
        (frames, sequence),
        (exact, trace(sequence, SIAM_SEQUENCE, card)),
        {"int8": quantised, "float16": _float16(frames, card)},
        parity.siam_sequence_grid(),
        gate.measure_siam,
        gate.SIAM_LIMITS,
    )
    return climb(candidate, repository, held_out, version)


def _float16(frames: SiamFrames, card: Card) -> onnx.ModelProto:
    """Everything behind the scaled pixels in float16."""
    half = copy.deepcopy(frames)
    for part in (half.appearance.conv1, half.appearance.conv2, half.appearance.conv3, half.appearance.full):
        part.half()
    if half.appearance.attention is not None:
        half.appearance.attention.half()
    return trace(half, SIAM_FRAMES, card)
