"""The gateway lives without torch."""

import subprocess
import sys

BLOCKED = """
import sys
for name in ("torch", "networks", "training", "export", "onnx", "jax", "jaxlib", "sounddevice", "mcp"):
    sys.modules[name] = None
import service.app, service.__main__, service.backends.inprocess, service.backends.triton, smile.faces, smile.video
import service.cli.main, service.cli.local, service.cli.remote, service.jobs.redis, service.jobs.worker
"""


def test_gateway_without_torch() -> None:
    """Everything that serves is importable where torch and the training half do not exist."""
    subprocess.run([sys.executable, "-c", BLOCKED], check=True)
