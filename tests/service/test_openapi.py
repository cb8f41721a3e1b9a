"""The API's description: committed, true, and good enough to generate a client from."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import DEMO

ROOT = Path(__file__).resolve().parents[2]


def test_committed_description_is_the_live_one() -> None:
    """`make openapi` was run after the last change of the API."""
    assert json.loads((ROOT / "openapi.json").read_text()) == create_app(Settings()).openapi()


def test_docs_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    """/docs works without a network."""
    page = client.get("/docs").text
    assert "://" not in page
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


def test_generated_client_posts_a_clip(client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """openapi-python-client makes a typed client that gets a prediction, and a problem, from the real server."""
    command = ["-m", "openapi_python_client", "generate", "--path", str(ROOT / "openapi.json"), "--meta", "none"]
    subprocess.run([sys.executable, *command, "--output-path", "generated"], cwd=tmp_path, check=True)
    monkeypatch.syspath_prepend(tmp_path)
    module: Any = importlib.import_module("generated")
    models: Any = importlib.import_module("generated.models")
    types: Any = importlib.import_module("generated.types")
    predict: Any = importlib.import_module("generated.api.default.predict")
    with module.Client(base_url=str(client.base_url), timeout=httpx.Timeout(60)) as typed, DEMO.open("rb") as clip:
        body = models.BodyPredict(video=types.File(payload=clip, file_name="clip.mp4"))
        answer = predict.sync(client=typed, body=body, top=2)
        assert isinstance(answer, models.Prediction)
        assert isinstance(answer.age, models.Age)
        assert [pair.rank for pair in answer.age.pairs] == [1, 2]
        refused = predict.sync(client=typed, body=models.BodyPredict(video=types.File(payload=b"", file_name="a")))
        assert isinstance(refused, models.Problem)
        assert refused.code == "unreadable_video"


schema = schemathesis.openapi.from_path(ROOT / "openapi.json")


@schema.parametrize()
@settings(max_examples=20, deadline=None)
def test_no_server_error(case: schemathesis.Case, client: httpx.Client) -> None:
    """Whatever the description allows, and some that it does not, gets no 500."""
    case.call_and_validate(base_url=str(client.base_url), checks=[not_a_server_error])
