"""Jobs that SIAM reads, alone or beside the interpreter, in the process and over Redis."""

import io
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from service.drawing import Drawing
from service.jobs.drawing import COURSE, Outdated, packed, unpacked
from smile.attention import SiamPicture
from smile.course import SmileCourse
from tests.service.conftest import Serve, post
from tests.service.jobs.conftest import Redis, Worker, ended, submit, until


def _done(client: httpx.Client, clip: bytes, **asked: Any) -> str:
    path = str(submit(client, clip, **asked).headers["location"])
    job = until(client, path, ended)
    assert (job["state"], job["network"]) == ("done", asked["network"]), job
    return path


@pytest.mark.parametrize("network", ["siam", "both"])
def test_answer_is_that_of_predict(client: httpx.Client, demo: bytes, network: str) -> None:
    """With what was asked for and nothing else; every figure of the network is that of /figure."""
    for picture in (False, True):
        path = _done(client, demo, network=network, picture=picture, top=2)
        answer = client.get(f"{path}/result").json()
        direct = post(client, demo, network=network, picture=picture, top=2).json()
        for part in ("age", "gender", "siam", "disagreement", "clip", "model", "picture"):
            assert answer[part] == direct[part]
        assert (answer["siam"]["picture"] is not None) == picture
    for kind in ("attention", "all"):
        look = {"kind": kind, "format": "svg"}
        drawn = client.get(f"{path}/figure", params=look)
        same = client.post("/figure", files={"video": ("a", demo)}, params={**look, "network": network})
        assert ET.canonicalize(drawn.text) == ET.canonicalize(same.text)


def test_what_there_is_not_of_siam(client: httpx.Client, demo: bytes) -> None:
    """No film, no relations, no gender; of the interpreter no attention. Said before the clip is kept, where it can
    be."""
    refused = submit(client, demo, network="siam", film="mp4")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
    wrong = (("siam", {"kind": "relations"}), ("siam", {"trait": "gender"}), ("fdin", {"kind": "attention"}))
    for network, look in wrong:
        path = _done(client, demo, network=network)
        missing = client.get(f"{path}/figure", params=look)
        assert (missing.status_code, missing.json()["code"]) == (422, "invalid_parameter")
        assert client.get(f"{path}/figure").content.startswith(b"\x89PNG")


def test_while_the_model_server_is_away(gateway: Serve, demo: bytes) -> None:
    """Other jobs are taken, and fail by it; those with SIAM are refused, as the description says."""
    client = gateway(backend="triton", triton_url="127.0.0.1:1")
    refused = submit(client, demo, network="siam")
    assert (refused.status_code, refused.json()["code"]) == (503, "backend_unavailable")
    told = client.get("/openapi.json").json()["paths"]["/jobs"]["post"]["responses"]
    assert "`backend_unavailable`" in told["503"]["description"]
    assert told["422"]["description"] == "`invalid_parameter`" and "504" not in told
    path = submit(client, demo).headers["location"]
    problem = until(client, path, ended)["problem"]
    assert (problem["status"], problem["code"]) == (500, "backend_unavailable")


def test_key_belongs_to_one_network(client: httpx.Client, demo: bytes) -> None:
    """The same clip and key for another network is another submission."""
    first = submit(client, demo, "of siam", network="siam")
    assert submit(client, demo, "of siam", network="siam").json()["id"] == first.json()["id"]
    for other in ({}, {"network": "both"}):
        assert submit(client, demo, "of siam", **other).json()["code"] == "idempotency_conflict"


def test_over_redis(
    gateway: Serve, redis_server: Redis, start_worker: Callable[..., Worker], client: httpx.Client, demo: bytes
) -> None:
    """The network goes with the clip to the worker; with a film too, where both read."""
    shared = gateway(jobs=redis_server.url)
    start_worker()
    for asked in ({"network": "siam"}, {"network": "both", "film": "mp4"}):
        path = _done(shared, demo, **asked)
        answer, direct = shared.get(f"{path}/result").json(), post(client, demo, network=asked["network"]).json()
        assert answer["siam"] == direct["siam"] and answer["age"] == direct["age"]
        assert shared.get(f"{path}/figure", params={"kind": "attention"}).content.startswith(b"\x89PNG")
        assert shared.get(f"{path}/film").is_success == ("film" in asked)


def test_a_drawing_of_another_version_is_outdated() -> None:
    """Jobs outlive an update of the service: what another one kept lacks what is drawn now, or has more."""
    shown = np.zeros(1, np.intp)
    seen = SiamPicture(
        np.zeros(1),
        np.ones(1, np.float32),
        shown,
        faces=np.zeros((1, 114, 114), np.uint8),
        frames=np.zeros((1, 160, 160, 3), np.uint8),
        points=np.zeros((1, 68, 2), np.float32),
        spatial=np.zeros((1, 10, 10), np.float32),
    )
    archive = packed(Drawing(SmileCourse(False, None, None, None, 0.5, 0.0), None, seen))
    again = unpacked(archive).attention
    assert again is not None and vars(again).keys() == vars(seen).keys()
    with np.load(io.BytesIO(archive)) as opened:
        arrays = dict(opened)
    for other in (
        {name: array for name, array in arrays.items() if not name.endswith(("frames", "points"))},
        {name: array for name, array in arrays.items() if name != COURSE},
        {**arrays, COURSE: np.append(arrays[COURSE], 1.0)},
    ):
        kept = io.BytesIO()
        np.savez(kept, **other)
        with pytest.raises(Outdated):
            unpacked(kept.getvalue())
