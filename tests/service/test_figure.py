"""`POST /figure`: every kind in both formats, and what /predict gives to those who draw themselves."""

import base64
import xml.etree.ElementTree as ET
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.figure import MEDIA_TYPES
from smile.alignment import CROP_PX
from smile.course import REST_QUANTILE
from tests import clips
from tests.service.conftest import Serve, post


def draw(client: httpx.Client, clip: bytes, **params: Any) -> httpx.Response:
    return client.post("/figure", files={"video": ("clip.mp4", clip)}, params=params)


@pytest.mark.parametrize("kind", ["relations", "matrix", "course", "effects", "all"])
def test_svg_says_what_predict_answers(client: httpx.Client, demo: bytes, kind: str) -> None:
    """The figure is drawn from the same numbers: the strongest pair, the apex, the strongest effect."""
    answer = draw(client, demo, kind=kind, format="svg", trait="gender")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(MEDIA_TYPES["svg"])
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    texts = " ".join("".join(node.itertext()) for node in ET.fromstring(answer.text).iter())
    body = post(client, demo, explain=True).json()
    expected = {
        "relations": f"{body['gender']['pairs'][0]['importance']:.3f}",
        "matrix": f"{100 * body['gender']['pairs'][0]['importance']:.1f}",
        "course": f"apex {body['clip']['smile']['apex_s']:.2f} s",
        "effects": f"{100 * abs(body['gender']['region_effects'][0]['probability']):.2f}",
    }
    for words in expected.values() if kind == "all" else [expected[kind]]:
        assert words in texts


def test_png_by_default(client: httpx.Client, demo: bytes) -> None:
    """Without parameters: the relations of the first trait, as PNG; the themes differ."""
    light, dark = draw(client, demo), draw(client, demo, theme="dark")
    assert light.headers["content-type"] == MEDIA_TYPES["png"]
    assert light.headers["content-disposition"] == 'inline; filename="smile-relations-age.png"'
    corners = [cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1)[0, 0].mean() for answer in (light, dark)]
    assert corners[0] > 240 and corners[1] < 40


def test_form_fields_win_over_the_query(client: httpx.Client, demo: bytes) -> None:
    """As everywhere, parameters may come in the query or in the form."""
    answer = client.post("/figure?format=png", files={"video": ("a", demo)}, data={"format": "svg", "kind": "course"})
    assert answer.headers["content-type"].startswith(MEDIA_TYPES["svg"])


@pytest.mark.parametrize(
    "params", [{"kind": "film"}, {"format": "gif"}, {"theme": "red"}, {"trait": "mood"}, {"traits": "mood"}]
)
def test_unknown_parameters_are_refused(client: httpx.Client, demo: bytes, params: dict[str, str]) -> None:
    """What does not exist is refused by name."""
    answer = draw(client, demo, **params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert next(iter(params)) in answer.json()["detail"]


def test_refuses_as_predict_does(client: httpx.Client, gateway: Serve, demo: bytes) -> None:
    """One code for one fault, whichever answer was asked for."""
    for clip in (b"", clips.not_a_video(), clips.still(), clips.one_frame(), clips.huge_claim()):
        problems = [ask(client, clip).json() for ask in (post, draw)]
        assert problems[0]["code"] == problems[1]["code"]
        assert problems[0]["status"] == problems[1]["status"]
    without_gender = gateway(gender=False)
    assert draw(without_gender, demo, trait="gender").json()["code"] == "invalid_parameter"
    assert draw(without_gender, demo).status_code == 200


def test_picture_for_those_who_draw_themselves(client: httpx.Client, demo: bytes) -> None:
    """`picture` adds the aligned face and the mouth's course, and changes nothing else."""
    plain, pictured = post(client, demo).json(), post(client, demo, picture=True).json()
    assert plain["picture"] is None
    picture = pictured["picture"]
    assert len(picture["times_s"]) == len(picture["mouth_ratios"]) == pictured["clip"]["frames_used"]
    assert picture["face_s"] == pictured["clip"]["smile"]["apex_s"]
    rise = max(picture["mouth_curve"]) - np.quantile(picture["mouth_curve"], REST_QUANTILE)
    assert rise == pytest.approx(pictured["clip"]["smile"]["amplitude"], abs=1e-3)
    encoded = base64.b64decode(picture["face"].removeprefix("data:image/png;base64,"), validate=True)
    face = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert face.shape == (CROP_PX, CROP_PX, 3)
    assert plain["age"] == pictured["age"] and plain["clip"] == pictured["clip"]


def test_mirrored_clip_shows_the_same_face(client: httpx.Client) -> None:
    """A mirrored clip is turned back: left in the picture is left in the names."""
    frames = clips.astronaut_frames(30)
    plain = post(client, clips.clip_bytes(frames), picture=True).json()["picture"]["face"]
    turned = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]
    answer = post(client, clips.clip_bytes(turned), picture=True, mirrored=True)
    faces = [_decoded(plain), _decoded(answer.json()["picture"]["face"])]
    assert np.abs(faces[0] - faces[1]).mean() < np.abs(faces[0] - faces[1][:, ::-1]).mean() / 2


def _decoded(uri: str) -> NDArray[np.float64]:
    encoded = base64.b64decode(uri.split(",")[1])
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR).astype(np.float64)
