"""What SIAM looked at, as a picture and as what pictures are drawn from."""

import base64
import xml.etree.ElementTree as ET
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from smile.attention import APART_S, SHOWN
from smile.frontal import PATCH_PX
from smile.frontal_shape import SIDE_PX
from tests import clips
from tests.service.conftest import post


def _draw(client: httpx.Client, clip: bytes, route: str = "/figure", **params: Any) -> httpx.Response:
    return client.post(route, files={"video": ("clip.mp4", clip)}, params=params)


def _texts(drawn: httpx.Response) -> str:
    assert drawn.status_code == 200, drawn.text
    return " ".join("".join(node.itertext()) for node in ET.fromstring(drawn.text).iter() if node.tag.endswith("text"))


def test_figure_says_what_predict_answers(client: httpx.Client, demo: bytes) -> None:
    """The most attended frames with their weights, and the moments of the smile."""
    body = post(client, demo, network="siam", picture=True).json()
    words = _texts(_draw(client, demo, network="siam", format="svg"))
    for frame in body["siam"]["picture"]:
        assert f"{frame['time_s']:.2f} s" in words and f"weight {100 * frame['weight']:.1f} %" in words
    assert f"apex {body['clip']['smile']['apex_s']:.2f} s" in words
    png = _draw(client, demo, network="siam", theme="dark")
    assert png.headers["content-disposition"] == 'inline; filename="smile-attention.png"'
    assert png.content.startswith(b"\x89PNG")


def test_both_have_all_figures(client: httpx.Client, demo: bytes) -> None:
    """`all` of both has the relations and the attention; by itself each is drawn as of its network alone."""
    words = _texts(_draw(client, demo, network="both", kind="all", format="svg"))
    for alone, kind in (("siam", "attention"), ("fdin", "relations")):
        drawn = [_draw(client, demo, network=network, kind=kind, format="svg") for network in ("both", alone)]
        assert _texts(drawn[0]) == _texts(drawn[1]) and _texts(drawn[0]) in words


@pytest.mark.parametrize(
    ("route", "params"),
    [
        ("/figure", {"network": "siam", "kind": "relations"}),
        ("/figure", {"network": "siam", "trait": "gender"}),
        ("/figure", {"kind": "attention"}),
        ("/film", {"network": "siam"}),
    ],
)
def test_what_there_is_not_of_a_network(client: httpx.Client, demo: bytes, route: str, params: dict[str, str]) -> None:
    """A figure or film of a network that has none such is refused."""
    answer = _draw(client, demo, route, **params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


def test_picture_for_those_who_draw_themselves(client: httpx.Client, demo: bytes) -> None:
    """`picture` adds a few warped faces, plain and under their heat, and frames under it, and changes nothing else."""
    plain, pictured = (post(client, demo, network="siam", picture=asked).json()["siam"] for asked in (False, True))
    shown = pictured.pop("picture")
    assert plain.pop("picture") is None and plain == pictured
    times = [frame["time_s"] for frame in shown]
    assert 1 < len(shown) <= SHOWN and np.diff(times).min() >= APART_S - 1e-3
    weights = {frame["time_s"]: frame["weight"] for frame in plain["frames"]}
    assert [frame["weight"] for frame in shown] == [weights[time_s] for time_s in times]
    assert max(weights.values()) in [frame["weight"] for frame in shown]
    for frame in shown:
        face, heat = _decoded(frame["face"]), _decoded(frame["heat"])
        assert face.shape == (SIDE_PX, SIDE_PX) and heat.shape == (SIDE_PX, SIDE_PX, 3)
        assert face[0, 0] == heat[0, 0].max() == 0 and face[57, 57] > 0
        frame_of_clip = _decoded(frame["frame"])
        assert frame_of_clip.shape == (PATCH_PX, PATCH_PX, 3) and frame_of_clip[:, 0].std() > 5


def test_mirrored_faces_are_turned_back(client: httpx.Client) -> None:
    """The faces shown are those that the network saw, whichever way the clip was filmed."""
    frames = clips.astronaut_frames(20)
    turned = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]
    bodies = [
        post(client, clips.clip_bytes(shown), network="siam", picture=True, mirrored=mirrored).json()
        for shown, mirrored in ((frames, False), (turned, True))
    ]
    for part in ("face", "frame"):
        plain, back = (_decoded(body["siam"]["picture"][0][part]).astype(float) for body in bodies)
        assert np.abs(plain - back).mean() < np.abs(plain - back[:, ::-1]).mean() / 2


def _decoded(uri: str) -> NDArray[np.uint8]:
    encoded = base64.b64decode(uri.removeprefix("data:image/png;base64,"), validate=True)
    return np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED))
