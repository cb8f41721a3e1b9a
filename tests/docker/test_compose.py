"""What the compose file promises: a setting that is documented reaches the containers that it concerns."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

SERVICES: dict[str, Any] = yaml.safe_load((Path(__file__).resolve().parents[2] / "docker-compose.yml").read_text())[
    "services"
]
IN_PROCESS = {"model_repository", "device"}
"""Of the backend that the composed stack does without."""
OF_GATEWAYS = {"concurrency", "deadline_s", "job_queue", "max_upload_mb", "queue", "upload_pause_s"}
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
