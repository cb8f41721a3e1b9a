"""Examples in the API's description: of every answer that is text, of every problem by its code, of every parameter."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from service import schemas
from service.jobs.base import other_submission, unavailable, unknown
from service.jobs.schemas import Job

REQUEST_ID = "1f6d3a0c52f44c0ab0a1c1f0c7d0e9b2"
JOB_ID = "8d3f0b6e2a914c57b1f4f0a6c3d2e1f0"

PROBLEMS = {
    "timeout": "No answer was ready within 60 s. Send a shorter clip or try again later.",
    "upload_too_large": "The upload is larger than the 64 MB accepted here. Send a shorter clip.",
    "unsupported_media_type": "Send the clip as multipart/form-data, in the field `video`.",
    "unreadable_video": "This is no video that can be read: a still, sound, text, or a file cut off.",
    "video_too_long": "The clip is longer than 120 s. Send the smile alone: a few seconds.",
    "frame_too_large": "The frames are larger than 4096x2304 pixels. Send a smaller clip.",
    "no_face": "No face was seen. Show one face from the front, in even light.",
    "face_too_small": "The face is too small: the eyes are 12 pixels apart. Come closer to the camera.",
    "too_few_frames": "The face was followed in too few frames. Send a longer clip of one face.",
    "invalid_parameter": "traits: 'mood' is not offered here; choose from age, gender",
    "overloaded": "All places are taken. Try again in 3 s.",
    "backend_unavailable": "The model server cannot be reached or does not fit this gateway. Try again later.",
    "job_not_found": unknown().detail,
    "no_film": "No film was asked for with this job: add `film=mp4`.",
    "no_drawing": "Another version of the service did this job and kept other things to draw. Send the clip again.",
    "job_unfinished": "The job is not done yet.",
    "idempotency_conflict": other_submission().detail,
    "jobs_unavailable": unavailable().detail,
    "storage_full": "There is no room to keep the clip for now. Try again later.",
    "worker_lost": "The clip was given up: workers stopped on it.",
    "internal_error": "Something went wrong here. It has been logged.",
}
"""A detail for each code that a description may name; details are for people and may change."""
OF_UPLOADS = {"timeout": "Nothing more arrived for 10 s."}
OF_ONE_JOB = {
    "timeout": "The job was not done within 900 s.",
    "invalid_parameter": "job_id: give the `id` of a job: 32 hexadecimal digits",
}
"""Both in place of those above: with status 408, and of operations whose path names a job."""

PARAMETERS: dict[str, Any] = {
    "top": 3,
    "traits": ["age"],
    "mirrored": True,
    "explain": True,
    "picture": True,
    "job_id": JOB_ID,
    "idempotency-key": "visit-1234-clip-2",
}
"""By name, in the query and in the form alike. Enumerations speak for themselves."""

PREDICTION = schemas.Prediction.model_validate(
    {
        "request_id": REQUEST_ID,
        "age": {
            "years": 34.2,
            "interval": {"low": 27.9, "high": 40.8, "coverage": 0.9},
            "pairs": [
                {"rank": 1, "regions": ["left_eye", "right_eye"], "importance": 0.081204},
                {"rank": 2, "regions": ["left_cheek", "mouth"], "importance": 0.064418},
            ],
            "triplets": [
                {"rank": 1, "regions": ["left_eye", "right_eye", "mouth"], "importance": 0.190341},
                {"rank": 2, "regions": ["left_eye", "left_cheek", "mouth"], "importance": 0.171905},
            ],
        },
        "gender": {
            "label": "female",
            "probability": 0.9312,
            "pairs": [{"rank": 1, "regions": ["forehead", "mouth"], "importance": 0.071952}],
            "triplets": [{"rank": 1, "regions": ["forehead", "nose", "mouth"], "importance": 0.150286}],
        },
        "clip": {
            "duration_s": 3.08,
            "frames_decoded": 77,
            "frames_used": 77,
            "frame_rate_hz": 25.0,
            "width": 360,
            "height": 360,
            "face": {"frames_with_face": 77, "frames_bridged": 0, "faces_max": 2, "eye_distance_px": 67.0},
            "smile": {"onset_s": 0.56, "apex_s": 0.92, "offset_s": 2.0, "amplitude": 0.231},
            "warnings": [
                {
                    "code": "several_faces",
                    "message": "Up to 2 faces were seen at once. The one largest at first was followed.",
                }
            ],
        },
        "model": {
            "name": "fdin-compact",
            "version": "2",
            "trained_on": "simulated smiles",
            "fingerprint": "dcd12f2c77ab50ad",
        },
        "timings_ms": {"decode": 96.1, "align": 301.7, "backbone": 402.5, "relations": 11.3, "total": 498.2},
    }
).model_dump(mode="json")
CARD = schemas.ModelCard(
    name="fdin-compact",
    version="2",
    trained_on="simulated smiles",
    licence="Apache-2.0",
    frame_rate_hz=25.0,
    fingerprint="dcd12f2c77ab50ad",
    backend="inprocess",
    provider="CPUExecutionProvider",
    traits=["age", "gender"],
    limits=schemas.Limits(max_upload_mb=64, max_pixels=4096 * 2304, max_duration_s=120, max_frames=15_000),
    interval_coverage=0.9,
    report={"age_mae_years": 6.1},
    notice="Estimates from appearance and motion. Not for decisions about anyone.",
).model_dump(mode="json")
JOB = Job(
    id=JOB_ID,
    state="running",
    created=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    attempts=1,
    fraction=0.42,
    frames_decoded=630,
    frames_per_second=118.4,
    remaining_s=7.4,
    expires=None,
    problem=None,
)
QUEUED = JOB.model_copy(
    update={
        "state": "queued",
        "attempts": 0,
        "fraction": 0.0,
        "frames_decoded": 0,
        "frames_per_second": None,
        "remaining_s": None,
    }
)
OK = schemas.Health(status="ok").model_dump()
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 820">...</svg>'

ANSWERS: dict[str, dict[str, Any]] = {
    "predict": {"application/json": PREDICTION},
    "figure": {"image/svg+xml": SVG},
    "health_live": {"application/json": OK},
    "health_ready": {"application/json": OK},
    "model": {"application/json": CARD},
    "metrics": {
        "text/plain": 'smile_requests_total{code="",method="POST",route="/predict",status="200"} 12.0\n',
    },
    "submit_job": {"application/json": QUEUED.model_dump(mode="json")},
    "job": {"application/json": JOB.model_dump(mode="json")},
    "job_events": {"text/event-stream": f"event: progress\ndata: {JOB.model_dump_json()}\n\n"},
    "job_result": {"application/json": PREDICTION},
    "job_figure": {"image/svg+xml": SVG},
}
"""By operation and media type. Pictures and films have none: they are bytes."""


def problem(status: int, code: str, of_one_job: bool) -> dict[str, Any]:
    """An example of the problem `code`."""
    details = PROBLEMS
    if status == HTTPStatus.REQUEST_TIMEOUT:
        details = PROBLEMS | OF_UPLOADS
    elif of_one_job:
        details = PROBLEMS | OF_ONE_JOB
    return schemas.Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=details[code],
        request_id=REQUEST_ID,
    ).model_dump()


def install(app: FastAPI) -> None:
    """Add the examples to the application's description."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        for operation in operations(document):
            _add(operation, document["components"]["schemas"])
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def codes(description: str) -> list[str]:
    """The problem codes that a response's description names, in its order."""
    return [word for word in description.split("`")[1::2] if word in PROBLEMS]


def _add(operation: dict[str, Any], named: dict[str, Any]) -> None:
    of_one_job = any(parameter["name"] == "job_id" for parameter in operation.get("parameters", ()))
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in PARAMETERS:
            parameter["example"] = PARAMETERS[parameter["name"]]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        fields = named[content["schema"]["$ref"].rpartition("/")[2]]["properties"]
        for name in fields.keys() & PARAMETERS.keys():
            fields[name]["examples"] = [PARAMETERS[name]]
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            if media_type == "application/problem+json":
                named_codes = codes(response["description"])
                content["examples"] = {code: {"value": problem(int(status), code, of_one_job)} for code in named_codes}
            elif media_type in (answers := ANSWERS.get(operation["operationId"], {})):
                content["example"] = answers[media_type]
