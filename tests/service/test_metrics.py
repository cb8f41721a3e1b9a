"""What operators are told in numbers."""

import re

import httpx

import smile
from tests.service.conftest import Serve, post


def _samples(client: httpx.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def test_what_serves_and_how_long_the_work_took(gateway: Serve, demo: bytes) -> None:
    """Version, model and provider before the first clip; work apart from the upload; memory and open files."""
    client = gateway()
    card = client.get("/model").json()
    (told,) = (name for name in _samples(client) if name.startswith("smile_info"))
    assert dict(re.findall(r'(\w+)="([^"]*)"', told)) == {
        "version": smile.__version__,
        "model": card["name"],
        "model_version": card["version"],
        "fingerprint": card["fingerprint"],
        "provider": card["provider"],
    }
    assert post(client, demo, network="siam").is_success and post(client, demo).is_success
    samples = _samples(client)
    assert [name for name in samples if name.startswith("smile_info")] == [told]
    assert samples['smile_work_seconds_count{route="/predict"}'] == 2
    work_s, request_s = (samples[f'smile_{of}_seconds_sum{{route="/predict"}}'] for of in ("work", "request"))
    assert 0 < work_s < request_s
    assert samples["process_resident_memory_bytes"] > 0 and samples["process_open_fds"] > 0
