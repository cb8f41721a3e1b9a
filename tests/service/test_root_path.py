"""Behind a proxy that serves the application under a path."""

from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import pytest

from service import page
from service.settings import Settings
from tests.service.conftest import serve
from tests.service.jobs.conftest import submit


@pytest.fixture(scope="module")
def behind_proxy() -> Iterator[httpx.Client]:
    with serve(Settings(), root_path="/smile") as client:
        yield client


def test_browsers_are_told_the_same(behind_proxy: httpx.Client) -> None:
    """The page and the documentation have their policies there too."""
    for path, policy in (("/", page.STRICT), ("/page/app.js", page.STRICT), ("/docs", page.DOCUMENTATION)):
        assert behind_proxy.get(path).headers["content-security-policy"] == policy


def test_a_job_is_found_from_where_it_was_submitted(behind_proxy: httpx.Client, demo: bytes) -> None:
    """`Location` leads there whatever is before `/jobs`."""
    accepted = submit(behind_proxy, demo)
    location = accepted.headers["location"]
    assert urljoin("https://proxy/smile/jobs", location) == f"https://proxy/smile/jobs/{accepted.json()['id']}"
    assert behind_proxy.delete(location).status_code == 204
