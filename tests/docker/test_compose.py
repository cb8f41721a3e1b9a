"""What the compose file and the gateway's image promise: settings reach the containers, and their checks the server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings
from tests.service.conftest import serve

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
ON_A_CPU: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.cpu.yml").read_text())["services"]
IN_PROCESS = {"model_repository", "device"}
"""Of the backend that the composed stack does without."""
OF_GATEWAYS = {
    "concurrency",
    "deadline_s",
    "job_queue",
    "max_upload_mb",
    "queue",
    "upload_deadline_s",
    "upload_pause_s",
}
OF_WORKERS = {"job_lease_s"}


@pytest.mark.parametrize(("name", "foreign"), [("gateway", OF_WORKERS), ("worker", OF_GATEWAYS)])
def test_settings_reach_the_containers(name: str, foreign: set[str]) -> None:
    """Each is named for every service that reads it, and none for one that does not."""
    concerned = Settings.model_fields.keys() - IN_PROCESS - foreign
    assert SERVICES[name]["environment"].keys() == {f"SMILE_{field.upper()}" for field in concerned}


def test_worker_is_built_as_the_gateway_is() -> None:
    """Their common image is nowhere to be pulled from."""
    assert SERVICES["worker"]["image"] == SERVICES["gateway"]["image"]
    assert SERVICES["worker"]["build"] == SERVICES["gateway"]["build"]


def test_gpu_is_asked_for_where_there_is_one() -> None:
    """A host whose GPU cannot be used is told so, not served slowly; the override for CPU hosts takes what there is."""
    for name in ("gateway", "worker"):
        assert SERVICES[name]["environment"]["SMILE_TRITON_DEVICE"] == "gpu"
        assert ON_A_CPU[name]["environment"]["SMILE_TRITON_DEVICE"] == "any"


def test_check_of_the_gateway_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker hands its own to every container, and it would be asked for 127.0.0.1."""
    command = re.search(r"HEALTHCHECK .*\\\n +CMD (.*)", (ROOT / "docker/gateway.Dockerfile").read_text())
    assert command
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    check = [sys.executable, *json.loads(command[1])[1:]]
    with serve(Settings()) as client:
        inside = {**os.environ, "PORT": str(client.base_url.port), "http_proxy": "http://127.0.0.1:1"}
        subprocess.run(check, env=inside, check=True)
        failing = subprocess.run(check, env={**inside, "PORT": "1"}, stderr=subprocess.DEVNULL)
    assert failing.returncode != 0
