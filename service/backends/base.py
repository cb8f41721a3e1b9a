"""The seam between the pipeline and whatever executes the graphs.

    BackendError
    ├── BackendUnavailable     the server is away, starting, or broke off; trying again later may help
    ├── ContractMismatch       the graphs were made for another contract, or not for each other; nothing is served
    └── NotServed              not with this model repository, however often it is tried

Exceptions of onnxruntime, tritonclient and grpc are mapped to these at the boundary, with `from`.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from smile.card import METADATA_CARD, METADATA_FINGERPRINT, Card
from smile.sampling import MIN_SAMPLES
from smile.tensors import GRAPHS, SIAM_GRAPHS, Graph, bucket, fingerprint_of

Arrays = dict[str, NDArray[Any]]


class BackendError(Exception):
    """The graphs cannot be executed."""


class BackendUnavailable(BackendError):
    """For the time being."""


class ContractMismatch(BackendError):
    """The graphs and this gateway do not agree on names, shapes, regions, geometry or frame rate, or the graphs of a
    network are not of one release."""


class NotServed(BackendError):
    """The model repository holds no graphs of this network, or none that can be asked together. The message is for
    clients too."""


Network = Literal["fdin", "siam"]
"""The two papers' networks: the interpreter (Kim & Ro), which is always served, and SIAM (Pei et al.)."""
NETWORKS: dict[Network, tuple[Graph, Graph]] = {"fdin": GRAPHS, "siam": SIAM_GRAPHS}
"""The graph of frames and the graph of sequences of each."""


@dataclass(frozen=True)
class Model:
    """What a backend has loaded of one network.

    Attributes:
        card: identity and provenance of the weights.
        version: of the model repository, such as "1".
        provider: what really executes: an ONNX Runtime execution provider, or Triton and its device ("triton, GPU").
    """

    card: Card
    version: str
    provider: str
    network: Network = "fdin"

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(NETWORKS[self.network][0], self.card.frame_rate_hz)


class Backend(Protocol):
    async def run(self, graph: Graph, inputs: Arrays) -> Arrays:
        """Execute a graph on one batch.

        Args:
            inputs: every input of the graph by name, with its dtype and axes.

        Returns:
            Every output of the graph by name.

        Raises:
            BackendUnavailable: try again later.
        """

    async def model(self, network: Network = "fdin") -> Model:
        """What is loaded. Raises BackendUnavailable, ContractMismatch, NotServed."""

    async def ready(self) -> None:
        """Returns where a request would be answered now. Raises BackendError, with the reason, where it would not."""

    async def close(self) -> None:
        """Release everything."""


def blank(graph: Graph, count: int = 1, masks: int = 1) -> Arrays:
    """Inputs of a graph to warm it, or to try it: `count` black frames, or one clip of the fewest instants."""
    sizes = {"n": count, "b": 1, "t": bucket(MIN_SAMPLES), "m": masks}
    zeros = {tensor.name: np.zeros(tensor.shape(**sizes), tensor.dtype) for tensor in graph.inputs}
    if "frame_count" in zeros:
        zeros["frame_count"][:] = MIN_SAMPLES
    return zeros


async def both_models(backend: Backend) -> tuple[Model, Model]:
    """The interpreter and SIAM, to read one clip together.

    Raises:
        NotServed: SIAM is not there, or was trained at another frame rate.
    """
    model, siam = await backend.model(), await backend.model("siam")
    if siam.card.frame_rate_hz != model.card.frame_rate_hz:
        raise NotServed("fdin and siam were trained at different frame rates and cannot share a clip")
    return model, siam


def checked_card(network: Network, of_frames: dict[str, str], of_sequences: dict[str, str]) -> Card:
    """The one card of both graphs of a network, from their metadata.

    Raises:
        ContractMismatch: a graph was made for another contract, or the two are not of one release.
    """
    frames, sequences = NETWORKS[network]
    card, other = _card(frames, of_frames), _card(sequences, of_sequences)
    if card != other:
        raise ContractMismatch(
            f"{frames.name} is of the release {card.name}, {sequences.name} of another one ({other.name}): the newest "
            "versions of both must come from one export"
        )
    return card


def _card(graph: Graph, metadata: dict[str, str]) -> Card:
    try:
        card = Card.from_json(metadata[METADATA_CARD])
        found = metadata[METADATA_FINGERPRINT]
    except (KeyError, ValueError) as error:
        raise ContractMismatch(f"{graph.name} carries no card and fingerprint; export it again") from error
    expected = fingerprint_of(graph, card.frame_rate_hz)
    if found != expected:
        raise ContractMismatch(
            f"{graph.name} was made for contract {found}, this gateway has {expected}; export it again"
        )
    return card
