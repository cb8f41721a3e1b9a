"""The whole path through the real server, on real clips, with the weights that ship."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from smile.regions import NAMES, PAIRS, TRIPLETS
from tests.service.conftest import Serve, post

VIDEOS = Path(__file__).resolve().parents[3] / "shared/data/videos"
SAME_SMILE = (
    "pyfeat_single_face.mp4",
    "single_face_rot90flag.mp4",
    "single_face_mjpeg.avi",
    "single_face_live_vfr_vp8.webm",
)


def _lasting(answer: httpx.Response) -> str:
    """The answer without what belongs to one request alone, as text: equal text is equal bytes."""
    body = answer.json()
    del body["request_id"], body["timings_ms"]
    return json.dumps(body)


def test_answers_the_demo_clip(client: httpx.Client, demo: bytes) -> None:
    """A clip in, both traits out, with ranked relations, the course of the smile, and what the weights are."""
    answer = post(client, demo)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert answer.headers["x-request-id"] == body["request_id"]
    assert answer.headers["cache-control"] == "no-store"
    for trait in ("age", "gender"):
        assert [pair["rank"] for pair in body[trait]["pairs"]] == [1, 2, 3, 4, 5]
        assert len(body[trait]["triplets"]) == 5
        assert body[trait]["region_effects"] is None
    assert 0.5 <= body["gender"]["probability"] <= 1
    clip = body["clip"]
    assert clip["face"]["frames_with_face"] == clip["frames_used"] > 50
    assert clip["smile"]["onset_s"] < clip["smile"]["apex_s"] < clip["smile"]["offset_s"] < clip["duration_s"]
    assert clip["smile"]["amplitude"] > 0.1
    assert {key: client.get("/model").json()[key] for key in ("name", "trained_on")}.items() <= body["model"].items()
    if interval := body["age"]["interval"]:
        assert interval["low"] < body["age"]["years"] < interval["high"]


def test_untrained_weights_say_so(gateway: Serve, model_repository: Path, demo: bytes) -> None:
    """Seeded weights answer without an interval, and warn in every answer that they mean nothing."""
    body = post(gateway(model_repository=model_repository), demo).json()
    assert body["model"]["trained_on"] is None and body["age"]["interval"] is None
    assert [warning["code"] for warning in body["clip"]["warnings"]] == ["untrained_model"]


def test_lists_all_relations(client: httpx.Client, demo: bytes) -> None:
    """`top=all` gives each pair and triplet once; importances of the pairs add up to 1, of the triplets to C(7,1)."""
    age = post(client, demo, top="all", traits="age").json()["age"]
    assert len({tuple(pair["regions"]) for pair in age["pairs"]}) == len(PAIRS)
    assert len({tuple(triplet["regions"]) for triplet in age["triplets"]}) == len(TRIPLETS)
    for relations, total in ((age["pairs"], 1), (age["triplets"], 7)):
        importances = [relation["importance"] for relation in relations]
        assert importances == sorted(importances, reverse=True)
        assert sum(importances) == pytest.approx(total, abs=1e-4)


def test_empty_fields_count_as_absent(client: httpx.Client, demo: bytes) -> None:
    """As a form sends them whose user has left them empty; what the query says then holds."""
    empty = {"top": "", "explain": "", "traits": "", "network": ""}
    for params, traits in (({}, ["age", "gender"]), ({"traits": "gender"}, ["gender"])):
        body = client.post("/predict", files={"video": demo}, data=empty, params=params).json()
        assert [trait for trait in ("age", "gender") if body[trait]] == traits


def test_explains_by_measured_effects(client: httpx.Client, demo: bytes) -> None:
    """`explain` measures every region, and every pair that is listed."""
    body = post(client, demo, explain=True, top="all").json()
    assert {effect["region"] for effect in body["age"]["region_effects"]} == set(NAMES)
    years = [abs(effect["years"]) for effect in body["age"]["region_effects"]]
    assert years == sorted(years, reverse=True)
    assert years[0] > 0
    assert all(pair["years"] is not None for pair in body["age"]["pairs"])
    assert all(pair["probability"] is not None for pair in body["gender"]["pairs"])
    alone = {effect["region"]: effect["years"] for effect in body["age"]["region_effects"]}
    for pair in body["age"]["pairs"]:
        first, second = pair["regions"]
        assert pair["interaction"] == pytest.approx(pair["years"] - alone[first] - alone[second], abs=1e-3)


def test_form_fields_win_over_the_query(client: httpx.Client, demo: bytes) -> None:
    """Parameters may come in the query or in the form."""
    answer = client.post("/predict?top=1", files={"video": ("a", demo)}, data={"top": "2", "traits": "age"})
    assert len(answer.json()["age"]["pairs"]) == 2
    assert answer.json()["gender"] is None


def test_unknown_parameters_are_said_to_be_ignored(client: httpx.Client, demo: bytes) -> None:
    """By name, wherever they came, those of other routes too: who misspells one should learn of it."""
    answer = client.post("/predict?mirored=true&top=1&film=mp4", files={"video": demo}, data={"explian": "true"})
    (warning,) = answer.json()["clip"]["warnings"]
    assert warning["code"] == "unknown_parameter"
    assert warning["message"].endswith(": 'mirored', 'film', 'explian'.")


def test_same_clip_same_bytes(client: httpx.Client, demo: bytes) -> None:
    """A clip gets the same bytes alone and among others."""
    alone = _lasting(post(client, demo))
    with ThreadPoolExecutor(6) as pool:
        among = list(pool.map(lambda _: _lasting(post(client, demo)), range(6)))
    assert set(among) == {alone}


def test_gender_can_be_switched_off(gateway: Serve, demo: bytes) -> None:
    """Without gender nothing answers or accepts it."""
    client = gateway(gender=False)
    assert post(client, demo).json()["gender"] is None
    assert client.get("/model").json()["traits"] == ["age"]
    refused = post(client, demo, traits="gender")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")


@pytest.mark.skipif(not VIDEOS.exists(), reason="needs the shared clips")
def test_one_smile_in_four_files(client: httpx.Client) -> None:
    """H.264, a rotation flag, MJPEG and live VP8 of one smile: the same course."""
    answers = [post(client, (VIDEOS / name).read_bytes()).json() for name in SAME_SMILE]
    apexes = [answer["clip"]["smile"]["apex_s"] for answer in answers]
    assert max(apexes) - min(apexes) < 0.3


@pytest.mark.skipif(not VIDEOS.exists(), reason="needs the shared clips")
@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("pyfeat_face_noface.mov", {"face_hidden"}),
        ("sd_vp9_webrtc_4.webm", {"several_faces", "face_lost", "no_smile", "thinned"}),
        ("lp_d9.mp4", {"thinned"}),
    ],
)
def test_warns_of_what_weakens_the_answer(client: httpx.Client, name: str, codes: set[str]) -> None:
    """What makes an answer less trustworthy is said, and nothing else."""
    answer = post(client, (VIDEOS / name).read_bytes())
    assert answer.status_code == 200, answer.text
    assert codes == {warning["code"] for warning in answer.json()["clip"]["warnings"]}


def test_health_model_and_metrics(client: httpx.Client, demo: bytes) -> None:
    """The probes, the card and the metrics tell what runs."""
    assert client.get("/health/live").json() == {"status": "ok"}
    assert client.get("/health/ready").json() == {"status": "ok"}
    card = client.get("/model").json()
    assert card["provider"] == "CPUExecutionProvider"
    assert card["fingerprint"] == post(client, demo).json()["model"]["fingerprint"]
    text = client.get("/metrics").text
    assert 'smile_requests_total{code="",method="POST",route="/predict",status="200"}' in text
