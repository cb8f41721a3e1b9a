"""NVIDIA Triton by gRPC, serving the same model repository."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from service.backends.base import (
    NETWORKS,
    Arrays,
    BackendError,
    BackendUnavailable,
    Model,
    Network,
    NotServed,
    checked_card,
)
from smile.tensors import GRAPHS, Graph

CALL_TIMEOUT_S = 30.0
CARD_TIMEOUT_S = 5.0
"""For what is answered without a graph, on a busy machine too."""
READY_TIMEOUT_S = 2.0
CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
]
"""No limit on message size (a block's features pass gRPC's 4 MB); back within a second when the server is back; no
proxy, which the environment may name for the way out of the network."""
_TRANSIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
"""gRPC statuses of a server that is away, starting, or stopping."""


class _NotLoaded(BackendUnavailable):
    """The server answers, without this model."""


@contextmanager
def _mapped() -> Iterator[None]:
    """Translate tritonclient's exception at the boundary."""
    try:
        yield
    except InferenceServerException as error:
        status = str(error.status()).removeprefix("StatusCode.")
        if status == "NOT_FOUND":
            raise _NotLoaded("Triton has a model of the contract not loaded") from error
        if status in _TRANSIENT:
            raise BackendUnavailable("Triton cannot be reached") from error
        raise BackendError("Triton refused a request of the contract") from error


class TritonBackend:
    """One gRPC channel. Nothing is kept: the server may be replaced at any time, so that cards are read and contracts
    checked for every clip and every probe, which takes milliseconds."""

    def __init__(self, url: str, device: Literal["any", "gpu"] = "any") -> None:
        """Does not connect yet: the gateway may be started before the server.

        Args:
            url: host:port.
            device: what the server must execute on; where it does not, it counts as unavailable.
        """
        self._client = triton.InferenceServerClient(url, channel_args=CHANNEL)
        self._device = device

    async def run(self, graph: Graph, inputs: Arrays) -> Arrays:
        feeds = [_feed(tensor.name, inputs[tensor.name]) for tensor in graph.inputs]
        wanted = [triton.InferRequestedOutput(tensor.name) for tensor in graph.outputs]
        with _mapped():
            result = await self._client.infer(graph.name, feeds, outputs=wanted, client_timeout=CALL_TIMEOUT_S)
        return {tensor.name: result.as_numpy(tensor.name) for tensor in graph.outputs}

    async def model(self, network: Network = "fdin") -> Model:
        try:
            return await self._loaded(network)
        except _NotLoaded as error:
            if network == "fdin":
                raise
            await self.ready()  # where the first network is loaded, the other one is not about to be
            raise NotServed(f"no graphs of {network} are loaded") from error

    async def _loaded(self, network: Network) -> Model:
        frames, sequence = NETWORKS[network]
        with _mapped():
            configs = [await self._config(graph) for graph in (frames, sequence)]
            metadata = await self._client.get_model_metadata(sequence.name, client_timeout=CARD_TIMEOUT_S)
        card = checked_card(network, *map(_parameters, configs))
        device = executing_device(configs)
        if self._device == "gpu" and device != "GPU":
            raise BackendUnavailable(f"asked for a GPU, but Triton executes {network} on the {device}")
        return Model(card, max(metadata.versions, key=int), f"triton, {device}", network)

    async def ready(self) -> None:
        for graph in GRAPHS:
            with _mapped():
                is_ready = await self._client.is_model_ready(graph.name, client_timeout=READY_TIMEOUT_S)
            if not is_ready:
                raise BackendUnavailable(f"Triton has {graph.name} not ready")
        await self.model()

    async def close(self) -> None:
        await self._client.close()

    async def _config(self, graph: Graph) -> ModelConfig:
        return (await self._client.get_model_config(graph.name, client_timeout=CARD_TIMEOUT_S)).config


def executing_device(configs: Sequence[ModelConfig]) -> Literal["CPU", "GPU"]:
    """What the server made of KIND_AUTO: the GPU where every instance of these models has one."""
    kinds = {group.kind for config in configs for group in config.instance_group}
    return "GPU" if kinds == {ModelInstanceGroup.KIND_GPU} else "CPU"


def _parameters(config: ModelConfig) -> dict[str, str]:
    return {key: value.string_value for key, value in config.parameters.items()}


def _feed(name: str, array: NDArray[Any]) -> triton.InferInput:
    wire = array if array.ndim > 1 else array[:, np.newaxis]  # Triton has no shape (B,): config.pbtxt reshapes (B, 1)
    feed = triton.InferInput(name, list(wire.shape), np_to_triton_dtype(wire.dtype))
    return feed.set_data_from_numpy(np.ascontiguousarray(wire))
