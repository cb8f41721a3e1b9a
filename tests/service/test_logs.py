"""What is written about a request, and what is not."""

import json
import logging

import httpx
import pytest

from service.logs import JsonFormatter


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
