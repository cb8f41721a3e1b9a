"""The API's description shows by example what every operation answers, and every problem."""

import ast
import re
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

import service
from service import examples
from service.app import create_app
from service.settings import Settings
from smile import errors

DOCUMENT = create_app(Settings()).openapi()
OPERATIONS = {operation["operationId"]: operation for operation in examples.operations(DOCUMENT)}
BYTES = {"image/png", "video/mp4", "video/webm"}
NEVER_SENT = {"client_gone", "cancelled"}
"""Nobody is there to read these."""


def _valid(schema: dict[str, Any], value: object) -> None:
    jsonschema_rs.validator_for(schema | {"components": DOCUMENT["components"]}).validate(value)


def test_operation_ids_are_stable_names() -> None:
    """Each operation has one name of its own, chosen and not derived from its path."""
    assert {"predict", "figure", "model", "metrics", "health_live", "health_ready"} <= OPERATIONS.keys()
    assert len(OPERATIONS) == len(list(examples.operations(DOCUMENT)))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)?", name) for name in OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_has_a_valid_example(name: str) -> None:
    """Text has one that its own schema takes; a problem has one for each code that its description names."""
    for status, response in OPERATIONS[name]["responses"].items():
        for media_type, content in response.get("content", {}).items():
            if media_type == "application/problem+json":
                told = re.findall(r"`([a-z_]+)`", response["description"])
                assert told and list(content["examples"]) == told, (status, response["description"])
                for code, example in content["examples"].items():
                    _valid(content["schema"], example["value"])
                    assert (example["value"]["code"], example["value"]["status"]) == (code, int(status))
            elif media_type not in BYTES:
                _valid(content.get("schema", {}), content["example"])


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_parameter_has_a_valid_example(name: str) -> None:
    """In the query and in the form, but for enumerations, which speak for themselves, and the clip."""
    fields = [
        (field["name"], field["schema"], [field["example"]] if "example" in field else [])
        for field in OPERATIONS[name].get("parameters", ())
    ]
    for content in OPERATIONS[name].get("requestBody", {}).get("content", {}).values():
        body = DOCUMENT["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        fields += [(key, field, field.get("examples", [])) for key, field in body["properties"].items()]
    for field, schema, values in fields:
        if field == "video" or any("enum" in choice for choice in [schema, *schema.get("anyOf", ())]):
            continue
        assert values, field
        for value in values:
            _valid(schema, value)


def _shown(name: str, status: int, code: str) -> dict[str, Any]:
    content = OPERATIONS[name]["responses"][str(status)]["content"]["application/problem+json"]
    return dict(content["examples"][code]["value"])


def test_an_example_is_what_the_operation_answers(client: httpx.Client) -> None:
    """One code, told for what it means there: of an upload, of the work, of a job; with the title that is sent."""
    answer = client.get("/jobs/none").json()
    assert _shown("job", 422, "invalid_parameter") == answer | {"request_id": examples.REQUEST_ID}
    details = {_shown(*of, "timeout")["detail"] for of in (("predict", 408), ("predict", 504), ("job_result", 504))}
    assert len(details) == 3
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["title"]["examples"] == [answer["title"]]


def test_every_problem_that_is_raised_has_an_example() -> None:
    """No code is left out: those of clips, and those that the service itself refuses with."""
    raised = {error.code for error in errors.SmileError.__subclasses__()}
    for path in Path(service.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("Refusal", "problems.Refusal"):
                if isinstance(code := call.args[1], ast.Constant):
                    raised.add(code.value)
    assert raised - examples.PROBLEMS.keys() == NEVER_SENT


def test_llms_txt_tells_all(client: httpx.Client) -> None:
    """/llms.txt is the file of the repository, and names every path and every problem."""
    answer = client.get("/llms.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.content == (Path(service.__file__).parent / "llms.txt").read_bytes()
    assert [path for path in DOCUMENT["paths"] if f"{path}" not in answer.text] == []
    assert [code for code in examples.PROBLEMS if f"`{code}`" not in answer.text] == []
