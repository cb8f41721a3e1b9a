"""The tensor contract."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smile import alignment, regions, tensors
from smile.sampling import MAX_SAMPLES
from smile.tensors import BACKBONE, FRAME_BUCKETS, GRAPHS, MASK_COUNTS, Graph, blocks, bucket, fingerprint


@given(st.integers(0, 2_000), st.sampled_from(GRAPHS))
def test_blocks_use_allowed_batches_only(count: int, graph: Graph) -> None:
    """The blocks add up to the count, are sizes that were warmed, and only the largest is used more than once."""
    sizes = blocks(count, graph)
    assert sum(sizes) == count
    assert set(sizes) <= set(graph.batches)
    assert sizes == sorted(sizes, reverse=True)
    assert all(sizes.count(size) == 1 for size in set(sizes) - {graph.max_batch})


def test_blocks_of_27() -> None:
    """The example of the docstring."""
    assert blocks(27) == [16, 8, 2, 1]


@given(st.integers(1, MAX_SAMPLES))
def test_bucket_is_the_next_length(frames: int) -> None:
    """A sequence is padded to the smallest bucket that holds it, and the longest sequence has one."""
    size = bucket(frames)
    assert size in FRAME_BUCKETS and size >= frames
    assert not any(frames <= smaller < size for smaller in FRAME_BUCKETS)


def test_shapes_follow_the_paper() -> None:
    """The 6x6x512 map gives nine regions of 2048 features; explaining asks for the clip, each region and each pair."""
    assert tensors.REGION_FEATURES == 2048
    assert tensors.REGION_FEATURES * len(regions.REGIONS) == tensors.MAP_CELLS**2 * tensors.MAP_CHANNELS
    assert BACKBONE.outputs[0].axes[1:] == tensors.RELATIONS.inputs[0].axes[2:]
    assert MASK_COUNTS == (1, 46)


def _renamed(graph: Graph) -> Graph:
    return replace(graph, outputs=(replace(graph.outputs[0], name="other"), *graph.outputs[1:]))


def _retyped(graph: Graph) -> Graph:
    return replace(graph, inputs=(replace(graph.inputs[0], dtype="float64"), *graph.inputs[1:]))


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (tensors, "GRAPHS", (_renamed(tensors.BACKBONE), tensors.RELATIONS)),
        (tensors, "GRAPHS", (tensors.BACKBONE, _retyped(tensors.RELATIONS))),
        (tensors, "GRAPHS", tensors.GRAPHS[::-1]),
        (tensors, "REGIONS", (replace(regions.REGIONS[0], name="other"), *regions.REGIONS[1:])),
        (tensors, "REGIONS", regions.REGIONS[::-1]),
        (tensors, "PAIRS", regions.PAIRS[::-1]),
        (tensors, "GENDERS", tensors.GENDERS[::-1]),
        (alignment, "CROP_PX", 114),
        (alignment, "EYE_DISTANCE_PX", 47.5),
        (alignment, "LEFT_EYE_PX", (24.0, 25.5)),
    ],
)
def test_fingerprint_sees_every_change(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, value: object
) -> None:
    """A fingerprint differs as soon as one part of the contract does."""
    before = fingerprint.__wrapped__()
    monkeypatch.setattr(module, name, value)
    assert fingerprint.__wrapped__() != before


def test_fingerprint_is_stable_and_holds_the_frame_rate() -> None:
    """Equal contracts have equal fingerprints; another frame rate has another one."""
    assert fingerprint.__wrapped__() == fingerprint.__wrapped__() == fingerprint()
    assert fingerprint(25.0) != fingerprint(50.0)
    assert len(fingerprint()) == 16 and int(fingerprint(), 16) >= 0
