"""The contract between the gateway and the graphs, written once: names, dtypes, axes, batch sizes, fingerprint.

The export's names and dynamic axes, config.pbtxt, the ONNX Runtime feeds, the Triton requests and the tests read it.

Legend: N frames, B clips, T instants of a clip (padded), M region masks, 9 regions, 36 pairs, 2048 features. SIAM has
graphs of its own, with a fingerprint of its own: 256 features of a warped face, 10x10 cells of spatial attention.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache

from smile import alignment, sampling
from smile.frontal_shape import FACEMESH_POINTS, MEAN_SHAPE, SIDE_PX
from smile.regions import GRID, PAIRS, REGIONS

MAP_CELLS = 6
"""Cells per side of the backbone's last map: 96 px after four 2x2 poolings."""
MAP_CHANNELS = 512
REGION_FEATURES = MAP_CHANNELS * (MAP_CELLS // GRID) ** 2
"""A region's 2x2x512 block, flattened in (channel, row, column) order (SPEC A3)."""


@dataclass(frozen=True)
class Tensor:
    """One input or output of a graph.

    Attributes:
        name: its name in ONNX, Triton and Python.
        dtype: numpy name of its type.
        axes: a word for a dynamic axis, a number for a fixed one; the first is the batch axis.
    """

    name: str
    dtype: str
    axes: tuple[str | int, ...]

    def shape(self, **sizes: int) -> tuple[int, ...]:
        """Its shape, given the size of each of its dynamic axes (others in `sizes` are ignored)."""
        return tuple(sizes[axis] if isinstance(axis, str) else axis for axis in self.axes)


@dataclass(frozen=True)
class Graph:
    """One ONNX graph = one Triton model.

    Attributes:
        batches: the batch sizes it is asked for, ascending; each is warmed before the service is ready. The last is
            the largest allowed.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    batches: tuple[int, ...]

    @property
    def max_batch(self) -> int:
        return self.batches[-1]


BACKBONE = Graph(
    "backbone",
    inputs=(Tensor("frames", "uint8", ("n", alignment.CROP_PX, alignment.CROP_PX, 3)),),
    outputs=(Tensor("regions", "float16", ("n", len(REGIONS), REGION_FEATURES)),),
    batches=(1, 2, 4, 8, 16),
)
"""uint8 RGB crops -> features of the nine regions. float16 on the wire: half the bytes, and what training caches."""

RELATIONS = Graph(
    "relations",
    inputs=(
        Tensor("regions", "float16", ("b", "t", len(REGIONS), REGION_FEATURES)),
        Tensor("frame_count", "int64", ("b",)),
        Tensor("region_mask", "float32", ("b", "m", len(REGIONS))),
    ),
    outputs=(
        Tensor("age", "float32", ("b", "m")),
        Tensor("gender", "float32", ("b", "m", 2)),
        Tensor("age_importance", "float32", ("b", "m", len(PAIRS))),
        Tensor("gender_importance", "float32", ("b", "m", len(PAIRS))),
    ),
    batches=(1, 2, 4, 8),
)
"""Features of whole clips -> age in years, probability of (male, female), importance (the paper's lambda) of each pair.

`frame_count` is the number of real instants before padding; `region_mask` multiplies the dynamic features d_i (1 keeps,
0 is the paper's zero perturbation)."""

SIAM_FEATURES = 256
"""The paper's n. Networks of another n can be trained, but not exported."""
SPATIAL_CELLS = 10
"""Cells per side of the map after the second convolution and its pooling, where attention is paid."""

SIAM_FRAMES = Graph(
    "siam_frames",
    inputs=(Tensor("faces", "uint8", ("n", SIDE_PX, SIDE_PX)),),
    outputs=(
        Tensor("appearance", "float16", ("n", SIAM_FEATURES)),
        Tensor("spatial_attention", "float32", ("n", SPATIAL_CELLS, SPATIAL_CELLS)),
    ),
    batches=(1, 2, 4, 8, 16),
)
"""uint8 grey faces, warped onto the mean shape (smile.frontal) -> the paper's p_t, and the attention A of each cell."""

SIAM_SEQUENCE = Graph(
    "siam_sequence",
    inputs=(
        Tensor("appearance", "float16", ("b", "t", SIAM_FEATURES)),
        Tensor("frame_count", "int64", ("b",)),
    ),
    outputs=(
        Tensor("age", "float32", ("b", 1)),
        Tensor("temporal_attention", "float32", ("b", "t")),
    ),
    batches=(1, 2, 4, 8),
)
"""p_t of whole clips -> age in years, and the paper's o_t: how much each instant counts, sum 1, 0 where padded."""

GRAPHS = (BACKBONE, RELATIONS)
SIAM_GRAPHS = (SIAM_FRAMES, SIAM_SEQUENCE)
MASK_COUNTS = (1, 1 + len(REGIONS) + len(PAIRS))
"""The values of M that are asked for: nothing zeroed; and nothing, each region, each pair zeroed in turn."""
GENDERS = ("male", "female")
"""Order of the gender axis (SPEC A4: not given in the paper)."""
FRAME_BUCKETS = (32, 64, 96, 128, 192, sampling.MAX_SAMPLES)
"""T is padded to one of these, so that clips of different people can share a batch on the server."""


def blocks(count: int, graph: Graph = BACKBONE) -> list[int]:
    """Split `count` items into batch sizes of the graph, largest first, without padding: 27 -> [16, 8, 2, 1]."""
    sizes = []
    for size in reversed(graph.batches):
        sizes += [size] * (count // size)
        count %= size
    return sizes


def bucket(frames: int) -> int:
    """The padded length of a sequence of `frames` instants."""
    return next(size for size in FRAME_BUCKETS if size >= frames)


@cache
def fingerprint(frame_rate_hz: float = sampling.FRAME_RATE_HZ) -> str:
    """16 hex digits over everything that both sides of the contract must agree on, the frame rate included."""
    contract = {
        "regions": [(region.name, region.centre) for region in REGIONS],
        "pairs": PAIRS,
        "graphs": [
            (graph.name, [(t.name, t.dtype, t.axes) for t in (*graph.inputs, *graph.outputs)]) for graph in GRAPHS
        ],
        "crop": (alignment.CROP_PX, alignment.EYE_DISTANCE_PX, alignment.LEFT_EYE_PX),
        "genders": GENDERS,
        "frame_rate_hz": frame_rate_hz,
    }
    return hashlib.sha256(json.dumps(contract).encode()).hexdigest()[:16]


@cache
def siam_fingerprint(frame_rate_hz: float = sampling.FRAME_RATE_HZ) -> str:
    """The same for SIAM's graphs, which know nothing of regions but need the mean shape."""
    contract = {
        "graphs": [
            (graph.name, [(t.name, t.dtype, t.axes) for t in (*graph.inputs, *graph.outputs)]) for graph in SIAM_GRAPHS
        ],
        "facemesh": FACEMESH_POINTS,
        "mean_shape": MEAN_SHAPE.round(2).tolist(),
        "frame_rate_hz": frame_rate_hz,
    }
    return hashlib.sha256(json.dumps(contract).encode()).hexdigest()[:16]


def fingerprint_of(graph: Graph, frame_rate_hz: float = sampling.FRAME_RATE_HZ) -> str:
    """Of the contract that `graph` belongs to."""
    return siam_fingerprint(frame_rate_hz) if graph in SIAM_GRAPHS else fingerprint(frame_rate_hz)
