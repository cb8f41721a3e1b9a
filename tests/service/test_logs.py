"""What is written about a request, and what is not."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from service.app import UPLOADS, create_app
from service.cli.exits import Exit
from service.logs import JsonFormatter
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_one_line_per_request_without_names(
    client: httpx.Client, demo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Id, route, status, code and time; never the file's name, the query or the client's own words."""
    with caplog.at_level(logging.DEBUG):
        for clip in (demo, b"no video"):
            client.post("/predict?top=2", files={"video": ("jane-doe.mp4", clip)}, headers={"x-request-id": "r-1"})
        client.get("/jane-doe")
    lines = [JsonFormatter().format(record) for record in caplog.records if record.name.startswith("service")]
    requests = [json.loads(line) for line in lines if '"request"' in line]
    assert [(entry["path"], entry["status"], entry["code"]) for entry in requests] == [
        ("/predict", 200, ""),
        ("/predict", 422, "unreadable_video"),
        ("unmatched", 404, "not_found"),
    ]
    assert requests[0]["request_id"] == "r-1"
    assert requests[0]["duration_ms"] > 0
    assert "jane" not in "".join(lines)


@pytest.mark.parametrize("output", ["result", "figure", "film"])
def test_what_came_of_a_job_is_counted_by_its_whole_route(client: httpx.Client, output: str) -> None:
    """`/jobs` is part of the name that metrics and logs give to its routes."""
    client.get(f"/jobs/{'0' * 32}/{output}")
    assert f'route="/jobs/{{job_id}}/{output}",status="404"' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/openapi.json", "/openapi.json"),
        ("/page/style.css", "/page/{file}"),
        ("/static-offline-docs/swagger-ui.css", "/static-offline-docs/{file}"),
    ],
)
def test_files_are_counted_by_their_folder(client: httpx.Client, path: str, route: str) -> None:
    """Only what there is not is unmatched."""
    client.head(path)
    assert f'{{code="",method="HEAD",route="{route}",status="200"}}' in client.get("/metrics").text


@pytest.mark.parametrize("path", UPLOADS)
def test_early_refusals_are_counted_by_their_route(client: httpx.Client, path: str) -> None:
    """An upload that is refused before it comes to the routes is told by its path all the same."""
    client.post(path, json={})
    code = "unsupported_media_type"
    assert f'{{code="{code}",method="POST",route="{path}",status="415"}}' in client.get("/metrics").text


def test_every_path_that_takes_clips_is_known_as_such() -> None:
    """Those of the description that something is sent to."""
    paths = create_app(Settings()).openapi()["paths"]
    assert {path for path, operations in paths.items() if "post" in operations} == set(UPLOADS)


def test_server_without_a_model_says_so_and_ends(tmp_path: Path) -> None:
    """One line tells what is missing, without a trace, and the status is that of a service that is not there."""
    command = [sys.executable, "-m", "service", "serve", "--port", "0"]
    environment = {**os.environ, "SMILE_MODEL_REPOSITORY": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, timeout=60)
    errors = [entry for entry in map(json.loads, ended.stderr.splitlines()) if entry["level"] == "error"]
    assert errors[0]["event"].startswith("cannot serve: no version of backbone in the model repository")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == Exit.UNAVAILABLE


def test_unexpected_errors_are_told_apart_and_kept_inside(
    client: httpx.Client, demo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours is a plain 500 with the request's id; its message stays in the log."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret of the house")

    monkeypatch.setattr("service.answer.prediction", broken)
    answer = client.post("/predict", files={"video": ("a", demo)}, headers={"x-request-id": "r-2"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "r-2"
    assert "secret" not in answer.text and "Zero" not in answer.text
