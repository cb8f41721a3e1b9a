"""ONNX Runtime in this process, on the same model repository that Triton serves."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import onnxruntime as ort

from service.backends.base import NETWORKS, Arrays, BackendError, Model, Network, NotServed, blank, checked_card
from service.settings import available_cores
from smile.tensors import BACKBONE, MASK_COUNTS, RELATIONS, SIAM_FRAMES, Graph

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
FILES = {"cpu": ("model.onnx",), "cuda": ("model.fp16.onnx", "model.onnx")}
"""Which file of a version is taken, first found: int8 pays on a CPU, half precision on a GPU."""


class InProcessBackend:
    """One session per graph, shared by all requests.

    Blocks of frames, of one clip or of several, run side by side on a pool of one thread per core; a block itself is
    not split over threads, which wastes less than the other way round.
    """

    def __init__(
        self, repository: Path, device: Literal["cpu", "cuda"] = "cpu", networks: Sequence[Network] | None = None
    ) -> None:
        """Load, check and warm the graphs.

        Args:
            networks: those to load; by default the first, and each other one whose graphs are there.

        Raises:
            BackendError: nothing to load, or the GPU asked for does not execute.
            ContractMismatch: graphs of another contract, or of different releases.
        """
        cores = available_cores()
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._models: dict[Network, Model] = {}
        for network, graphs in NETWORKS.items():
            there = network == "fdin" or all((repository / graph.name).is_dir() for graph in graphs)
            if there if networks is None else network in networks:
                self._models[network] = self._load(network, repository, device)
        self._pool = ThreadPoolExecutor(cores, thread_name_prefix="graph")
        self._warm()

    async def run(self, graph: Graph, inputs: Arrays) -> Arrays:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, graph, inputs)

    async def model(self, network: Network = "fdin") -> Model:
        try:
            return self._models[network]
        except KeyError:
            raise NotServed(f"no graphs of {network} in the model repository") from None

    async def ready(self) -> None:
        """What was loaded stays loaded."""

    async def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._sessions.clear()  # whoever still holds this object holds no graphs, 180 MB of them

    def _load(self, network: Network, repository: Path, device: Literal["cpu", "cuda"]) -> Model:
        graphs = NETWORKS[network]
        opened = [_open(graph, repository, device) for graph in graphs]
        self._sessions |= {graph.name: session for graph, session in zip(graphs, opened, strict=True)}
        card = checked_card(network, *(session.get_modelmeta().custom_metadata_map for session in opened))
        return Model(card, _latest(repository / graphs[-1].name).name, opened[0].get_providers()[0], network)

    def _run(self, graph: Graph, inputs: Arrays) -> Arrays:
        names = [tensor.name for tensor in graph.outputs]
        try:
            return dict(zip(names, self._sessions[graph.name].run(names, inputs), strict=True))
        except Exception as error:  # onnxruntime raises bare classes of its C extension, one per status code
            raise BackendError(f"{graph.name} failed on inputs of its own contract") from error

    def _warm(self) -> None:
        for frames, sequence in (NETWORKS[network] for network in self._models):
            for size in frames.batches:
                self._run(frames, blank(frames, count=size))
            for masks in MASK_COUNTS if sequence is RELATIONS else MASK_COUNTS[:1]:
                self._run(sequence, blank(sequence, masks=masks))


def _latest(model: Path) -> Path:
    versions = [entry for entry in model.glob("*") if entry.name.isdigit()] if model.is_dir() else []
    if not versions:
        raise BackendError(f"no version of {model.name} in the model repository; run `python -m export`")
    return max(versions, key=lambda entry: int(entry.name))


def _open(graph: Graph, repository: Path, device: Literal["cpu", "cuda"]) -> ort.InferenceSession:
    version = _latest(repository / graph.name)
    path = next((version / name for name in FILES[device] if (version / name).exists()), None)
    if path is None:
        raise BackendError(f"version {version.name} of {graph.name} holds none of {', '.join(FILES[device])}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1 if graph in (BACKBONE, SIAM_FRAMES) else available_cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle spinning would steal from decoding
    options.log_severity_level = 3
    provider = PROVIDERS[device]
    if provider not in ort.get_available_providers():
        raise BackendError(f"this ONNX Runtime has no {provider}: install onnxruntime-gpu instead of onnxruntime")
    try:  # by itself onnxruntime would answer a failure of the device with a line on standard output, and the CPU
        session = ort.InferenceSession(path, options, providers=[provider], enable_fallback=0)
    except Exception as error:  # onnxruntime raises bare classes of its C extension, one per status code
        raise BackendError(f"{path.name} of {graph.name}, version {version.name}, cannot be loaded") from error
    if session.get_providers()[0] != provider:
        raise BackendError(f"asked for {provider}, but {session.get_providers()[0]} executes {graph.name}")
    return session
