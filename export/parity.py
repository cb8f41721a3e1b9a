"""Torch beside ONNX Runtime, on a grid of sizes: that of sequences has none that was traced, that of frames one."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

from export import ladder
from smile.regions import REGIONS
from smile.tensors import FRAME_BUCKETS, MASK_COUNTS, REGION_FEATURES, RELATIONS, SIAM_FEATURES, Graph

TOLERANCE = {
    "regions": 0.02,  # features have an RMS near 1 and travel as float16, whose steps reach 0.016 between 16 and 32
    "age": 1e-3,  # years
    "gender": 1e-4,
    "age_importance": 1e-5,
    "gender_importance": 1e-5,
    "appearance": 0.02,  # as the regions
    "spatial_attention": 1e-5,
    "temporal_attention": 1e-5,
}
DISTRIBUTIONS = {"gender": 1e-5, "age_importance": 1e-5, "gender_importance": 1e-5, "temporal_attention": 1e-5}
"""Outputs whose last axis sums to 1, within this."""
BATCHES, LENGTHS, MASKS = (1, 3), (1, 7, 32), (*MASK_COUNTS, 3)
LARGEST = ((1, FRAME_BUCKETS[-1]), (RELATIONS.max_batch, FRAME_BUCKETS[0]))
"""Clips and instants that are served too, the longest and the most at once; compared with one mask alone."""


def session(model: onnx.ModelProto, threads: int = 1) -> ort.InferenceSession:
    """`model` on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def check(
    running: ort.InferenceSession, module: nn.Module, graph: Graph, grid: Iterator[ladder.Feeds]
) -> dict[str, float]:
    """Compare a graph with the module that it was traced from; returns the largest difference of each output."""

    @torch.no_grad()
    def reference(feeds: ladder.Feeds) -> ladder.Answers:
        answers = module(*(torch.from_numpy(feeds[tensor.name]) for tensor in graph.inputs))
        answers = (answers,) if isinstance(answers, torch.Tensor) else answers
        return {tensor.name: answer.numpy() for tensor, answer in zip(graph.outputs, answers, strict=True)}

    tolerance = {tensor.name: TOLERANCE[tensor.name] for tensor in graph.outputs}
    sums = {name: limit for name, limit in DISTRIBUTIONS.items() if name in tolerance}
    return ladder.check_values(running, graph, reference, grid, tolerance, sums)


def frames_grid(graph: Graph, crops: NDArray[np.uint8]) -> Iterator[ladder.Feeds]:
    """Every batch size of the contract, and one that is not in it, for the graph's only input. Raises NothingCompared:
    fewer crops than the largest has."""
    ladder.check_count(graph, crops)
    for size in (*graph.batches, 3):
        yield {graph.inputs[0].name: crops[:size]}


def relations_grid(seed: int = 0) -> Iterator[ladder.Feeds]:
    """Clips of several numbers, lengths and masks; each clip of a batch ends at another instant."""
    rng = np.random.default_rng(seed)
    for clips, frames, masks in (*product(BATCHES, LENGTHS, MASKS), *((*size, MASKS[0]) for size in LARGEST)):
        features = np.abs(rng.normal(0, 1, (clips, frames, len(REGIONS), REGION_FEATURES)))
        yield {
            "regions": features.astype(np.float16),
            "frame_count": rng.integers(1, frames, clips, dtype=np.int64, endpoint=True),
            "region_mask": rng.integers(0, 1, (clips, masks, len(REGIONS)), endpoint=True).astype(np.float32),
        }


def siam_sequence_grid(seed: int = 0) -> Iterator[ladder.Feeds]:
    """Clips of several numbers and lengths; each clip of a batch ends at another instant."""
    rng = np.random.default_rng(seed)
    for clips, frames in (*product(BATCHES, LENGTHS), *LARGEST):
        appearance = np.maximum(rng.normal(0, 1, (clips, frames, SIAM_FEATURES)), 0)
        yield {
            "appearance": appearance.astype(np.float16),
            "frame_count": rng.integers(1, frames, clips, dtype=np.int64, endpoint=True),
        }
