"""The API's description: committed, true, and good enough to generate a client from."""

import json
from pathlib import Path

import httpx
import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error

from service.app import create_app
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_committed_description_is_the_live_one() -> None:
    """`make openapi` was run after the last change of the API."""
    assert json.loads((ROOT / "openapi.json").read_text()) == create_app(Settings()).openapi()


def test_docs_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    """/docs works without a network."""
    page = client.get("/docs").text
    assert "://" not in page
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


schema = schemathesis.openapi.from_path(ROOT / "openapi.json")


@schema.parametrize()
@settings(max_examples=20, deadline=None)
def test_no_server_error(case: schemathesis.Case, client: httpx.Client) -> None:
    """Whatever the description allows, and some that it does not, gets no 500."""
    case.call_and_validate(base_url=str(client.base_url), checks=[not_a_server_error])
