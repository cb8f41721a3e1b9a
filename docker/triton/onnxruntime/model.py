"""Triton's backend "onnxruntime" for machines without NVIDIA's own: runs model.onnx by the onnxruntime package.

Triton takes `backend: "onnxruntime"` for a Python-based backend when its backend directory holds onnxruntime/model.py.
The server around it (protocols, queues, dynamic batching, warm-up, statistics) is the real one; only the execution of a
batch happens here, on the CPU. It imports nothing of the project: Triton's stub runs it in an interpreter of its own.
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

if int(np.__version__.split(".")[0]) >= 2:
    # Triton 2.51's stub would still answer with status 200, but with corrupted tensors.
    raise RuntimeError(f"numpy {np.__version__} in the interpreter of Triton's Python backend; it needs numpy < 2")


def cpu_quota() -> int:
    """Whole CPUs that this process may use: affinity, capped by the cgroup's quota (version 2, then 1)."""
    cpus = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except OSError:
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text().strip()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return cpus
    if quota in ("max", "-1"):
        return cpus
    return max(1, min(cpus, int(quota) // int(period)))


def open_session(model_file: Path, config: dict) -> ort.InferenceSession:
    """Threads: the model's own parameter as in NVIDIA's backend, else ORT_INTRA_OP_THREADS, else the CPU quota."""
    options = ort.SessionOptions()
    parameter = config["parameters"].get("intra_op_thread_count", {}).get("string_value", "")
    options.intra_op_num_threads = int(parameter or os.environ.get("ORT_INTRA_OP_THREADS") or cpu_quota())
    options.inter_op_num_threads = 1
    # Workers that spin while idle would steal the cores of the gateway's decoding next door.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model_file, options, providers=["CPUExecutionProvider"])


class TritonPythonModel:
    """One instance of one model; Triton calls `initialize` once, then `execute` with each batch."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        if args["model_instance_kind"] == "GPU":
            raise pb_utils.TritonModelException("this onnxruntime backend executes on the CPU only; use NVIDIA's image")
        file_name = config["default_model_filename"] or "model.onnx"
        model_file = Path(args["model_repository"]) / args["model_version"] / file_name
        self.session = open_session(model_file, config)
        self.input_names = [tensor["name"] for tensor in config["input"]]
        self.batched = config["max_batch_size"] > 0
        threads = self.session.get_session_options().intra_op_num_threads
        pb_utils.Logger.log_info(
            f"{args['model_instance_name']}: {file_name} on {self.session.get_providers()}, {threads} threads"
        )

    def execute(self, requests: list) -> list:
        """Answer all requests by one run where they can be joined; after a failure alone, so that only the guilty fail.

        Triton joins only requests whose shapes agree in all axes but the first.
        """
        feeds = [
            {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.input_names}
            for request in requests
        ]
        wanted = [list(request.requested_output_names()) for request in requests]
        if self.batched and len(requests) > 1:
            try:
                return self._joined(feeds, wanted)
            except Exception as error:
                pb_utils.Logger.log_warn(f"batch of {len(requests)} requests failed, now one by one: {error}")
        return [self._alone(feed, names) for feed, names in zip(feeds, wanted, strict=True)]

    def _joined(self, feeds: list[dict[str, np.ndarray]], wanted: list[list[str]]) -> list:
        joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in self.input_names}
        names = list(dict.fromkeys(name for request in wanted for name in request))
        arrays = self.session.run(names, joined)
        cuts = np.cumsum([len(feed[self.input_names[0]]) for feed in feeds])[:-1]
        parts = {name: np.split(array, cuts) for name, array in zip(names, arrays, strict=True)}
        return [_response(request, [parts[name][i] for name in request]) for i, request in enumerate(wanted)]

    def _alone(self, feed: dict[str, np.ndarray], names: list[str]) -> object:
        try:
            return _response(names, self.session.run(names, feed))
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))


def _response(names: list[str], arrays: list[np.ndarray]) -> object:
    tensors = [pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in zip(names, arrays, strict=True)]
    return pb_utils.InferenceResponse(output_tensors=tensors)
