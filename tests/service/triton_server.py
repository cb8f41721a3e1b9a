"""The real Triton server (docker/triton/serve.py) as a test starts and stops it."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

import pytest

from tests.service.ports import free_ports

SERVE = Path(__file__).resolve().parents[2] / "docker/triton/serve.py"


def prepare() -> None:
    """Fetch the server once (.cache/triton); skips the calling test on a machine that cannot run it."""
    done = subprocess.run([sys.executable, SERVE, "--prepare-only"], stderr=subprocess.PIPE, text=True)
    if done.returncode == os.EX_UNAVAILABLE:
        pytest.skip(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(f"{SERVE.name} --prepare-only: {done.stderr}")


class TritonServer:
    """One tritonserver on free local ports, which stay the same over `stop` and `start`; a context manager too.

    Attributes:
        url: host:port of its gRPC endpoint.
    """

    def __init__(self, model_repository: Path, log_file: Path) -> None:
        prepare()
        self._repository = model_repository
        self._log_file = log_file
        self._http_port, self._grpc_port, self._metrics_port = free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"127.0.0.1:{self._grpc_port}"

    def start(self, timeout_s: float = 120) -> None:
        """Return when every model is ready. Raises RuntimeError with the end of the log when the server gives up."""
        ports = [f"--http-port={self._http_port}", f"--grpc-port={self._grpc_port}"]
        ports.append(f"--metrics-port={self._metrics_port}")
        command = [sys.executable, str(SERVE), "--model-repository", str(self._repository), *ports]
        with open(self._log_file, "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + timeout_s
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Triton did not become ready:\n{self._log_file.read_text()[-16_000:]}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}/v2/health/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> int:
        """Ask it to finish its requests and leave; returns its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would, if it runs."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            raise RuntimeError("Triton was not started")
        self._process.send_signal(number)
        status = self._process.wait(60)
        self._process = None
        return status

    def counters(self, model: str) -> dict[str, float]:
        """Triton's own counts of a model, warm-up included: `request_success`, `exec_count`, `count` and others."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for name, labels, value in re.findall(r"^nv_inference_(\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
            if f'model="{model}"' in labels:
                found[name] = found.get(name, 0.0) + float(value)
        return found

    def __enter__(self) -> "TritonServer":
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process is not None:
            self.stop()
