"""Every kind of clip that people send and that is no good, or not quite: its own code, and the service goes on."""

from collections.abc import Callable

import cv2
import httpx
import numpy as np
import pytest

from tests import clips
from tests.service.conftest import Serve, post


def _beside(left: float, right: float) -> bytes:
    """Two faces, each a share of the height of a 640x360 picture."""
    frames = []
    for frame in clips.astronaut_frames(30, (360, 360)):
        picture = np.full((360, 640, 3), 90, np.uint8)
        for start, share in ((0, left), (320, right)):
            small = cv2.resize(frame[:, 20:340], None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
            picture[: small.shape[0], start : start + small.shape[1]] = small
        frames.append(picture)
    return clips.clip_bytes(frames)


def _away_for(count: int) -> bytes:
    away = [clips.flat((90, 90, 90), (320, 320))] * count
    return clips.clip_bytes([*clips.astronaut_frames(12), *away, *clips.astronaut_frames(25)])


def _face_in_five_of_a_hundred() -> bytes:
    return clips.clip_bytes(clips.astronaut_frames(5) + [clips.flat((90, 90, 90), (320, 320))] * 95)


def _half_of_an_mkv() -> bytes:
    whole = clips.clip_bytes(clips.astronaut_frames(50), "matroska")
    return whole[: len(whole) // 2]


def _no_face() -> bytes:
    return clips.clip_bytes([clips.flat((90, 90, 90), (320, 320))] * 30)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "unreadable_video"),
    "text": (clips.not_a_video, "unreadable_video"),
    "noise": (clips.noise, "unreadable_video"),
    "jpeg": (clips.still, "unreadable_video"),
    "audio only": (clips.audio_only, "unreadable_video"),
    "cover art": (clips.cover_art_only, "unreadable_video"),
    "truncated": (clips.truncated_mp4, "unreadable_video"),
    "60,000 x 60,000": (clips.huge_claim, "frame_too_large"),
    "20 minutes": (clips.long_clip, "video_too_long"),
    "no face": (_no_face, "no_face"),
    "face too small": (lambda: _beside(0.32, 0.3), "face_too_small"),
    "face in 5 of 100": (_face_in_five_of_a_hundred, "too_few_frames"),
    "Theora with empty packets": (lambda: clips.theora(["key", "empty"] * 15), "no_face"),
    "one frame": (clips.one_frame, "too_few_frames"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(client: httpx.Client, name: str) -> None:
    """The code is stable, the detail is for people and holds nothing of a library's."""
    make, code = REFUSED[name]
    answer = post(client, make())
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert "Error" not in problem["detail"] and "Errno" not in problem["detail"]
    assert client.get("/health/ready").status_code == 200


ANSWERED: dict[str, tuple[Callable[[], bytes], str]] = {
    "8 fps": (clips.slow_clip, "low_frame_rate"),
    "zero durations": (clips.zero_duration, "timestamps_repaired"),
    "equal timestamps": (clips.equal_timestamps, "timestamps_repaired"),
    "decreasing timestamps": (clips.decreasing_timestamps, "timestamps_repaired"),
    "a face that goes away": (lambda: _away_for(8), "face_lost"),
    "a face without its forehead": (lambda: clips.clip_bytes([f[96:] for f in clips.astronaut_frames(25)]), "face_cut"),
    "two faces": (lambda: _beside(1, 1 / 2), "several_faces"),
    "the first half of an MKV": (_half_of_an_mkv, "ends_early"),
    "empty packets": (lambda: clips.empty_packets(30, (320, 320)), "damaged_packets"),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_answered_with_a_warning(client: httpx.Client, name: str) -> None:
    """What can be read is read, and what was wrong with it is said."""
    make, warning = ANSWERED[name]
    answer = post(client, make())
    assert answer.status_code == 200, answer.text
    assert warning in {entry["code"] for entry in answer.json()["clip"]["warnings"]}


def test_content_counts_not_the_claim(client: httpx.Client, demo: bytes) -> None:
    """A clip named and typed as a picture is answered; a text named and typed as a clip is not."""
    disguised = client.post("/predict", files={"video": ("portrait.jpg", demo, "image/jpeg")})
    assert disguised.status_code == 200
    pretending = client.post("/predict", files={"video": ("clip.mp4", clips.not_a_video(), "video/mp4")})
    assert pretending.json()["code"] == "unreadable_video"


def test_limits_of_the_operator(gateway: Serve, demo: bytes) -> None:
    """Pixels, duration and frames are refused by the limits that are set."""
    assert post(gateway(max_pixels=100 * 100), demo).json()["code"] == "frame_too_large"
    assert post(gateway(max_duration_s=2), demo).json()["code"] == "video_too_long"
    assert post(gateway(max_frames=20), demo).json()["code"] == "video_too_long"
