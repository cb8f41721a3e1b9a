"""Triton's CPU backend: the real server on small graphs with the names, dtypes and axes of the contract."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tritonclient.grpc.aio as triton
from onnx import helper, numpy_helper
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from smile.tensors import RELATIONS
from tests.service.triton_server import TritonServer

SUMS = """name: "sums"
backend: "onnxruntime"
default_model_filename: "sums.onnx"
max_batch_size: 8
input [
  { name: "regions" data_type: TYPE_FP16 dims: [ -1, 9, 2048 ] },
  { name: "frame_count" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [] } }
]
output [
  { name: "last" data_type: TYPE_FP16 dims: [ 9, 2048 ] },
  { name: "total" data_type: TYPE_FP32 dims: [ 9 ] }
]
instance_group [ { kind: KIND_AUTO } ]
dynamic_batching { max_queue_delay_microseconds: 500000 }
model_warmup {
  name: "one" batch_size: 1
  inputs { key: "regions" value { data_type: TYPE_FP16 dims: [ 4, 9, 2048 ] random_data: true } }
  inputs { key: "frame_count" value { data_type: TYPE_INT64 dims: [ 1 ] zero_data: true } }
}
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
"""
Feeds = dict[str, np.ndarray]
REGIONS, FRAME_COUNT = RELATIONS.inputs[:2]


def sums_model() -> onnx.ModelProto:
    """last = regions[frame_count - 1] of each clip; total = its sum over features."""

    def declare(name: str, dtype: str, axes: tuple[str | int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(axes))

    nodes = [
        helper.make_node("Sub", ["frame_count", "one"], ["index"]),
        helper.make_node("Unsqueeze", ["index", "axis"], ["indices"]),
        helper.make_node("GatherND", ["regions", "indices"], ["last"], batch_dims=1),
        helper.make_node("Cast", ["last"], ["exact"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["exact", "features"], ["total"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [declare(tensor.name, tensor.dtype, tensor.axes) for tensor in (REGIONS, FRAME_COUNT)],
        [declare("last", "float16", ("b", *REGIONS.axes[2:])), declare("total", "float32", ("b", REGIONS.axes[2]))],
        [
            numpy_helper.from_array(np.array(value), name)
            for name, value in (("one", 1), ("axis", [1]), ("features", [2]))
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    (folder / "sums/1").mkdir(parents=True)
    (folder / "sums/config.pbtxt").write_text(SUMS)
    onnx.save(sums_model(), folder / "sums/1/sums.onnx")
    return folder


@pytest.fixture(scope="module")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    with TritonServer(repository, tmp_path_factory.mktemp("log") / "triton.log") as running:
        yield running


def clip(clips: int, frames: int, seed: int, last: int | None = None) -> Feeds:
    values = np.random.default_rng(seed).normal(size=(clips, frames, 9, 2048))
    return {"regions": values.astype("float16"), "frame_count": np.full((clips, 1), last or frames, "int64")}


def ask(server: TritonServer, requests: list[Feeds], outputs: tuple[str, ...] = ("last", "total")) -> list:
    """The answers (dicts of arrays) or exceptions of all requests, sent at the same time over one connection."""

    async def one(client: triton.InferenceServerClient, feeds: Feeds) -> Feeds:
        inputs = []
        for name, array in feeds.items():
            tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            inputs.append(tensor.set_data_from_numpy(array))
        answer = await client.infer("sums", inputs, outputs=[triton.InferRequestedOutput(name) for name in outputs])
        return {name: answer.as_numpy(name) for name in outputs}

    async def everything() -> list:
        async with triton.InferenceServerClient(server.url) as client:
            return await asyncio.gather(*(one(client, feeds) for feeds in requests), return_exceptions=True)

    return asyncio.run(everything())


def in_process(repository: Path, feeds: Feeds) -> Feeds:
    session = ort.InferenceSession(repository / "sums/1/sums.onnx")
    arrays = session.run(["last", "total"], {**feeds, "frame_count": feeds["frame_count"][:, 0]})
    return dict(zip(("last", "total"), arrays, strict=True))


def assert_same(answer: Feeds, expected: Feeds) -> None:
    for name, array in expected.items():
        assert answer[name].dtype == array.dtype
        np.testing.assert_array_equal(answer[name], array)


def test_values_are_those_of_onnxruntime(server: TritonServer, repository: Path) -> None:
    """Float16 in and out, an input without inner axes, several lengths and batch sizes: the very same numbers."""
    for clips, frames in ((1, 1), (3, 5), (8, 32)):
        feeds = clip(clips, frames, seed=frames)
        (answer,) = ask(server, [feeds])
        assert_same(answer, in_process(repository, feeds))


def test_requests_of_several_clients_run_as_one_batch(server: TritonServer, repository: Path) -> None:
    """Eight clips sent at once cost fewer executions than requests, and each gets its own answer back."""
    requests = [clip(1 + seed % 2, 6, seed, last=1 + seed % 6) for seed in range(8)]
    before = server.counters("sums")
    answers = ask(server, requests)
    after = server.counters("sums")
    assert after["request_success"] - before["request_success"] == len(requests)
    assert after["exec_count"] - before["exec_count"] < len(requests)
    for feeds, answer in zip(requests, answers, strict=True):
        assert_same(answer, in_process(repository, feeds))


def test_a_bad_request_fails_alone(server: TritonServer, repository: Path) -> None:
    """A frame count beyond the clip is the error of that request, not of those batched with it."""
    requests = [clip(1, 7, 0), clip(1, 7, 1, last=99), clip(1, 7, 2)]
    answers = ask(server, requests)
    assert isinstance(answers[1], InferenceServerException)
    assert "invalid index" in str(answers[1])
    for i in (0, 2):
        assert_same(answers[i], in_process(repository, requests[i]))


def test_only_the_requested_outputs_come_back(server: TritonServer, repository: Path) -> None:
    """One output of two, in a batch with nobody else's."""
    feeds = clip(2, 3, 5)
    (answer,) = ask(server, [feeds], outputs=("total",))
    np.testing.assert_array_equal(answer["total"], in_process(repository, feeds)["total"])


def test_it_leaves_on_sigterm_and_comes_back_on_the_same_ports(repository: Path, tmp_path: Path) -> None:
    """SIGTERM reaches the server itself: exit status 0, then a second start on the same ports answers."""
    server = TritonServer(repository, tmp_path / "triton.log")
    server.start()
    assert server.stop() == 0
    server.start()
    try:
        assert_same(ask(server, [clip(1, 2, 9)])[0], in_process(repository, clip(1, 2, 9)))
    finally:
        server.stop()


def test_a_model_that_does_not_load_keeps_the_server_from_starting(repository: Path, tmp_path: Path) -> None:
    """A broken file ends the start with the reason in the log, not with a server that says it is ready."""
    (tmp_path / "models/sums/1").mkdir(parents=True)
    (tmp_path / "models/sums/config.pbtxt").write_text(SUMS)
    (tmp_path / "models/sums/1/sums.onnx").write_bytes(b"not an ONNX file")
    with pytest.raises(RuntimeError, match="(?i)protobuf"):
        TritonServer(tmp_path / "models", tmp_path / "triton.log").start()
