from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export import triton
from smile.card import METADATA_CARD, METADATA_FINGERPRINT, AgeInterval, Card
from smile.tensors import (
    BACKBONE,
    FRAME_BUCKETS,
    GRAPHS,
    MASK_COUNTS,
    RELATIONS,
    SIAM_FRAMES,
    SIAM_GRAPHS,
    SIAM_SEQUENCE,
    Graph,
    fingerprint,
    siam_fingerprint,
)

CARD = Card('name "in" quotes', "words\nin lines", "CC0", 10.0, AgeInterval(0.9, (8.0, 76.0), (5.0, 9.0), (5.0, 9.0)))


def parsed(graph: Graph, card: Card = CARD) -> model_config_pb2.ModelConfig:
    return text_format.Parse(triton.config(graph, card), model_config_pb2.ModelConfig())


@pytest.mark.parametrize("graph", (*GRAPHS, *SIAM_GRAPHS), ids=lambda graph: graph.name)
def test_it_says_what_the_contract_says(graph: Graph) -> None:
    """Parsed by Triton's own schema: names, types, dims without the batch axis, largest batch."""
    config = parsed(graph)
    assert (config.name, config.max_batch_size) == (graph.name, graph.max_batch)
    for found, tensors in ((config.input, graph.inputs), (config.output, graph.outputs)):
        assert [tensor.name for tensor in found] == [tensor.name for tensor in tensors]
        for entry, tensor in zip(found, tensors, strict=True):
            kind = model_config_pb2.DataType.Name(entry.data_type).removeprefix("TYPE_").replace("FP", "FLOAT")
            assert kind == tensor.dtype.upper()
            shape = entry.reshape.shape if entry.HasField("reshape") else entry.dims
            assert list(shape) == [-1 if isinstance(axis, str) else axis for axis in tensor.axes[1:]]
            assert all(size != 0 for size in entry.dims) and len(entry.dims)


@pytest.mark.parametrize("graph", (*GRAPHS, *SIAM_GRAPHS), ids=lambda graph: graph.name)
def test_every_batch_size_is_warmed(graph: Graph) -> None:
    """Each warm-up sample feeds every input with a shape that the graph accepts."""
    config = parsed(graph)
    assert {sample.batch_size for sample in config.model_warmup} == set(graph.batches)
    for sample in config.model_warmup:
        assert set(sample.inputs) == {tensor.name for tensor in graph.inputs}
        for entry in config.input:
            dims = sample.inputs[entry.name].dims
            assert all(a in (-1, b) for a, b in zip(entry.dims, dims, strict=True))


def test_every_length_is_warmed_plain_and_explained() -> None:
    """Relations: each frame bucket with each mask count."""
    seen = {
        (sample.inputs["regions"].dims[0], sample.inputs["region_mask"].dims[0])
        for sample in parsed(RELATIONS).model_warmup
    }
    assert seen == {(frames, masks) for frames in FRAME_BUCKETS for masks in MASK_COUNTS}
    lengths = {sample.inputs["appearance"].dims[0] for sample in parsed(SIAM_SEQUENCE).model_warmup}
    assert lengths == set(FRAME_BUCKETS)


def test_the_gpu_takes_the_float16_file_and_the_cpu_the_int8_one() -> None:
    """KIND_AUTO finds a GPU by itself; cc_model_filenames names its file, with no file for relations."""
    config = parsed(BACKBONE)
    assert config.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_AUTO
    assert config.default_model_filename == triton.MODEL_FILE
    assert set(config.cc_model_filenames.values()) == {triton.FLOAT16_FILE}
    assert {"7.0", "8.0", "8.9", "9.0", "12.0"} <= set(config.cc_model_filenames)
    assert not parsed(RELATIONS).cc_model_filenames


def test_card_and_fingerprint_survive_quoting() -> None:
    """Quotes and line breaks in the card's words come back as they were, with the fingerprint of its frame rate."""
    parameters = parsed(BACKBONE).parameters
    assert Card.from_json(parameters[METADATA_CARD].string_value) == CARD
    assert parameters[METADATA_FINGERPRINT].string_value == fingerprint(10.0)
    assert parsed(SIAM_FRAMES).parameters[METADATA_FINGERPRINT].string_value == siam_fingerprint(10.0)


def test_the_tensorrt_switch_is_valid_once_its_hashes_are_removed() -> None:
    """What the comment promises parses and asks for the tensorrt accelerator."""
    text = triton.config(BACKBONE, CARD)
    switched = "\n".join(
        line.removeprefix("# ") if line.startswith(("# optimization", "#   ", "# }")) else line
        for line in text.splitlines()
    )
    config = text_format.Parse(switched, model_config_pb2.ModelConfig())
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt" and accelerator.parameters["precision_mode"] == "FP16"


def test_the_published_configs_are_these(model_repository: Path) -> None:
    """The files in a repository parse, and carry a card that says the weights are untrained."""
    for graph in GRAPHS:
        text = (model_repository / graph.name / "config.pbtxt").read_text()
        parameters = text_format.Parse(text, model_config_pb2.ModelConfig()).parameters
        card = Card.from_json(parameters[METADATA_CARD].string_value)
        assert card.trained_on is None and text == triton.config(graph, card)
