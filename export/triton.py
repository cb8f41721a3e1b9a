"""config.pbtxt of each model, written from smile.tensors.

The same repository serves CPU and GPU machines. KIND_AUTO puts an instance on each GPU, or on the CPU where there is
none; on a GPU Triton then takes the file that cc_model_filenames names for its compute capability.
"""

import json
from collections.abc import Iterator

from smile.card import METADATA_CARD, METADATA_FINGERPRINT, Card
from smile.tensors import (
    BACKBONE,
    FRAME_BUCKETS,
    MASK_COUNTS,
    RELATIONS,
    SIAM_FRAMES,
    SIAM_SEQUENCE,
    Graph,
    Tensor,
    fingerprint_of,
)

MODEL_FILE = "model.onnx"
FLOAT16_FILE = "model.fp16.onnx"
GPU_FILES = {BACKBONE.name: FLOAT16_FILE, SIAM_FRAMES.name: FLOAT16_FILE}
"""Graphs that have a file of their own for the GPU."""
COMPUTE_CAPABILITIES = (
    "7.0",
    "7.2",
    "7.5",
    "8.0",
    "8.6",
    "8.7",
    "8.9",
    "9.0",
    "10.0",
    "10.1",
    "10.3",
    "11.0",
    "12.0",
    "12.1",
)
"""CUDA GPUs with fast float16, Volta to Blackwell."""
QUEUE_DELAY_US = {BACKBONE.name: 2000, RELATIONS.name: 1000, SIAM_FRAMES.name: 1000, SIAM_SEQUENCE.name: 1000}
"""How long a request may wait for others to share its batch; small beside the graph's own time."""

TENSORRT = """\
# TensorRT instead of the CUDA provider: faster once its engines are built, which takes minutes at the first start.
# To switch it on, remove the hashes.
# optimization { execution_accelerators { gpu_execution_accelerator [ {
#   name: "tensorrt"
#   parameters { key: "precision_mode" value: "FP16" }
#   parameters { key: "trt_engine_cache_enable" value: "true" }
#   parameters { key: "trt_engine_cache_path" value: "/tmp/tensorrt" }
# } ] } }
"""


def config(graph: Graph, card: Card) -> str:
    """The text of config.pbtxt: types, shapes, batching, warm-up, device, card and fingerprint."""
    lines = [
        f'name: "{graph.name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {graph.max_batch}",
        *(_tensor("input", tensor) for tensor in graph.inputs),
        *(_tensor("output", tensor) for tensor in graph.outputs),
        f'default_model_filename: "{MODEL_FILE}"',
        *_gpu_files(graph),
        "instance_group [ { kind: KIND_AUTO count: 1 } ]",
        "dynamic_batching {",
        f"  preferred_batch_size: {list(graph.batches[1:])}",
        f"  max_queue_delay_microseconds: {QUEUE_DELAY_US[graph.name]}",
        "}",
        *_warmup(graph),
        _parameter(METADATA_FINGERPRINT, fingerprint_of(graph, card.frame_rate_hz)),
        _parameter(METADATA_CARD, card.to_json()),
    ]
    return "\n".join(lines) + "\n" + (TENSORRT if graph.name in GPU_FILES else "")


def warmup_sizes(graph: Graph) -> list[dict[str, int]]:
    """Sizes to warm: every batch; over time also every length, of relations with both mask counts."""
    if graph in (BACKBONE, SIAM_FRAMES):
        return [{"n": batch} for batch in graph.batches]
    mask_counts = MASK_COUNTS if graph is RELATIONS else MASK_COUNTS[:1]
    lengths = [{"b": 1, "t": frames, "m": masks} for frames in FRAME_BUCKETS for masks in mask_counts]
    batches = [{"b": batch, "t": FRAME_BUCKETS[0], "m": MASK_COUNTS[0]} for batch in graph.batches[1:]]
    return lengths + batches


def _tensor(side: str, tensor: Tensor) -> str:
    dims = [-1 if isinstance(axis, str) else axis for axis in tensor.axes[1:]]
    shape = f"dims: {dims}" if dims else "dims: [1] reshape { shape: [] }"
    return f'{side} [ {{ name: "{tensor.name}" data_type: {_type(tensor)} {shape} }} ]'


def _type(tensor: Tensor) -> str:
    return "TYPE_" + tensor.dtype.upper().replace("FLOAT", "FP")


def _gpu_files(graph: Graph) -> Iterator[str]:
    if graph.name in GPU_FILES:
        for capability in COMPUTE_CAPABILITIES:
            yield f'cc_model_filenames {{ key: "{capability}" value: "{GPU_FILES[graph.name]}" }}'


def _warmup(graph: Graph) -> Iterator[str]:
    for sizes in warmup_sizes(graph):
        name = " ".join(f"{axis}={size}" for axis, size in sizes.items())
        yield f'model_warmup [ {{ name: "{name}" batch_size: {next(iter(sizes.values()))}'
        for tensor in graph.inputs:
            dims = list(tensor.shape(**sizes)[1:]) or [1]
            yield (
                f'  inputs {{ key: "{tensor.name}" '
                f"value {{ data_type: {_type(tensor)} dims: {dims} zero_data: true }} }}"
            )
        yield "} ]"


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {json.dumps(key)} value {{ string_value: {json.dumps(value)} }} }}"
