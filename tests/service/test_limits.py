"""Limits, overload, deadlines and clients that stop or leave: on a real server, over real sockets."""

import re
import select
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from tests.service.conftest import Serve, post

BOUNDARY = "b"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'.encode()
FIELD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="top"\r\n\r\n'.encode()


def _start_upload(client: httpx.Client, extra: str, path: str = "/predict") -> socket.socket:
    """A POST whose headers and first bytes are sent, and nothing else."""
    url = urlsplit(str(client.base_url))
    connection = socket.create_connection((url.hostname, url.port), timeout=20)
    headers = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", extra]
    connection.sendall("\r\n".join([*headers, "", ""]).encode())
    return connection


def _arrived(client: httpx.Client) -> float:
    """Bytes of the uploads under way."""
    (told,) = re.findall(r"^smile_upload_bytes (.*)$", client.get("/metrics").text, re.MULTILINE)
    return float(told)


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it does not come to that")


def test_limits_are_told_before_a_clip_is_sent(gateway: Serve) -> None:
    """With the card, named as their settings are."""
    limits = {"max_upload_mb": 1.5, "max_pixels": 640 * 360, "max_duration_s": 12.0, "max_frames": 300}
    assert gateway(**limits).get("/model").json()["limits"] == limits


def test_announced_size_is_refused_before_the_body(gateway: Serve) -> None:
    """A Content-Length over the limit is answered although not one byte of the body was sent."""
    with _start_upload(gateway(max_upload_mb=1), "Content-Length: 2000000") as connection:
        answer = connection.recv(4096)
    assert b" 413 " in answer
    assert b"upload_too_large" in answer


def test_unannounced_size_is_refused_while_it_arrives(gateway: Serve) -> None:
    """A chunked upload is cut off at the limit, long before its end."""
    chunk = b"x" * 65536
    framed = b"%x\r\n%s\r\n" % (len(chunk), chunk)
    sent = 0
    with _start_upload(gateway(max_upload_mb=1), "Transfer-Encoding: chunked") as connection:
        connection.sendall(b"%x\r\n%s\r\n" % (len(HEAD), HEAD))
        try:
            for _ in range(1000):
                connection.sendall(framed)
                sent += len(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            answer = connection.recv(4096)
        except ConnectionResetError:
            answer = b""
    assert sent < 20_000_000
    assert b" 413 " in answer


@pytest.mark.parametrize("megabytes", [20, 30])
async def test_refusal_reaches_a_client_that_still_writes(gateway: Serve, megabytes: int) -> None:
    """It reads nothing before it has written everything, and must not be reset before."""
    url = gateway(max_upload_mb=16).base_url
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        announced = await client.post("/predict", files={"video": bytes(megabytes * 1_000_000)})
        bare = await client.post("/predict", content=bytes(megabytes * 1_000_000))
    assert (announced.status_code, bare.status_code) == (413, 415)


def test_refused_client_cannot_linger(gateway: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes on writing in small pieces after its refusal is cut off all the same."""
    monkeypatch.setattr("service.middleware.LINGER_S", 0.2)
    with _start_upload(gateway(max_upload_mb=1), "Content-Length: 2000000") as connection:
        assert b" 413 " in connection.recv(4096)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                connection.sendall(b"x")
                time.sleep(0.01)


@pytest.mark.parametrize("before", ["X-A: ", "Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: "], ids=["header", "trailer"])
def test_headers_without_an_end_are_refused(client: httpx.Client, before: str) -> None:
    """Little of them is kept, however long they go on."""
    url = urlsplit(str(client.base_url))
    with socket.create_connection((url.hostname, url.port), timeout=20) as connection:
        connection.sendall(f"POST /nowhere HTTP/1.1\r\nHost: a\r\n{before}".encode())
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(300):
                connection.sendall(b"a" * 65_536)


def test_many_small_chunks_are_no_headers(client: httpx.Client) -> None:
    """What frames them may be more than what headers may have."""
    body = HEAD + b"no video" * 4000 + f"\r\n--{BOUNDARY}--\r\n".encode()
    chunked = client.post(
        "/predict",
        content=(body[at : at + 1] for at in range(len(body))),
        headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
    )
    assert chunked.json()["code"] == "unreadable_video"


def test_silent_client_is_let_go(gateway: Serve) -> None:
    """A client that stops in the middle of its upload gets a timeout."""
    with _start_upload(gateway(upload_pause_s=0.3), "Content-Length: 100000") as connection:
        connection.sendall(HEAD)
        answer = connection.recv(4096)
    assert b" 408 " in answer
    assert b'"code":"timeout"' in answer


def test_slow_client_is_let_go(gateway: Serve) -> None:
    """One that never stops, and never ends, gets a timeout too."""
    with _start_upload(gateway(upload_deadline_s=0.3), "Content-Length: 100000") as connection:
        connection.sendall(HEAD)
        for _ in range(1000):
            connection.sendall(b"x")
            if select.select([connection], [], [], 0.01)[0]:
                break
        else:
            pytest.fail("it may go on for ever")
        answer = connection.recv(4096)
    assert b" 408 " in answer
    assert b"not complete within 0.3 s" in answer


def test_uploads_that_arrive_have_bounded_room(gateway: Serve, demo: bytes) -> None:
    """Clips and jobs together: as much as twice as many as there are places; what comes then is refused, until there is
    room again. One that has brought nothing yet keeps nobody out."""
    client = gateway(concurrency=1, queue=0, max_upload_mb=1)
    idle = [_start_upload(client, "Content-Length: 900000") for _ in range(8)]
    waiting = [_start_upload(client, "Content-Length: 990000", path) for path in ("/predict", "/jobs")]
    for connection in waiting:
        connection.sendall(HEAD + bytes(980_000))
    _until(lambda: _arrived(client) >= 2 * 980_000)
    with _start_upload(client, "Content-Length: 900000", "/jobs") as connection:
        connection.sendall(HEAD + bytes(300_000))
        refused = connection.recv(4096)
    assert b" 503 " in refused and b'"overloaded"' in refused and b"retry-after: 10" in refused
    for connection in [*idle, *waiting]:
        connection.close()
    _until(lambda: _arrived(client) == 0)
    assert post(client, demo).is_success


def test_overload_is_said_with_a_time_to_return(gateway: Serve, demo: bytes) -> None:
    """With one place and no queue, all but one of several at once are sent away, to come back later."""
    client = gateway(concurrency=1, queue=0)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(client, demo), range(6)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert [answer.status_code for answer in answers].count(200) >= 1
    assert refused
    assert {answer.json()["code"] for answer in refused} == {"overloaded"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert post(client, demo).status_code == 200


def test_deadline(gateway: Serve, demo: bytes) -> None:
    """Work that takes longer than allowed is stopped and said to be; the place is free again."""
    client = gateway(deadline_s=0.05, concurrency=1, queue=0)
    for _ in range(2):
        answer = post(client, demo)
        assert (answer.status_code, answer.json()["code"]) == (504, "timeout")


def test_work_stops_when_the_client_leaves(gateway: Serve, demo: bytes) -> None:
    """A client that goes away frees its place, and what it sent is not counted as answered."""
    client = gateway(concurrency=1, queue=0)
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    for _ in range(3):
        with _start_upload(client, f"Content-Length: {len(HEAD) + len(demo) + len(tail)}") as connection:
            connection.sendall(HEAD + demo + tail)
            while _metric(client, "smile_clips_inside") == 0:
                time.sleep(0.005)
        while _metric(client, "smile_clips_inside") > 0:
            time.sleep(0.005)
    assert _metric(client, 'smile_frames_total{kind="decoded"}') == 0
    assert post(client, demo).status_code == 200


def test_client_that_leaves_during_its_upload(gateway: Serve) -> None:
    """It is counted as gone, not as one that sent something wrong."""
    client = gateway()
    with _start_upload(client, "Content-Length: 100000") as connection:
        connection.sendall(HEAD)
    while not _metric(client, 'smile_request_seconds_count{route="/predict"}'):
        time.sleep(0.005)
    gone = 'smile_requests_total{code="client_gone",method="POST",route="/predict",status="499"}'
    assert _metric(client, gone) == 1


def _metric(client: httpx.Client, name: str) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("top", 0, "a whole number above 0, or `all`"),
        ("top", "none", "a whole number above 0, or `all`"),
        ("top", -3, "a whole number above 0, or `all`"),
        ("traits", "mood", "choose from age, gender"),
        ("mirrored", "perhaps", "give `true` or `false`"),
        ("explain", "2x", "give `true` or `false`"),
        ("network", "vgg", "choose from 'fdin', 'siam' or 'both'"),
    ],
)
def test_parameters_out_of_range(client: httpx.Client, demo: bytes, name: str, value: str | int, wanted: str) -> None:
    """Each is refused by its name alone, with what it takes."""
    answer = post(client, demo, **{name: value})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    detail = answer.json()["detail"]
    assert detail.startswith(f"{name}: ") and detail.endswith(wanted)


def test_body_that_is_no_form(client: httpx.Client, demo: bytes) -> None:
    """The clip as a bare body, a form without it, and its name in place of it are refused with what to do."""
    for media_type in ("video/mp4", f"multipart/form-dataX; boundary={BOUNDARY}"):
        bare = client.post("/predict", content=demo, headers={"content-type": media_type})
        assert (bare.status_code, bare.json()["code"]) == (415, "unsupported_media_type")
    for without in ({"film": ("a.mp4", demo)}, {"video": (None, "clip.mp4")}):
        answer = client.post("/predict", files=without)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
        assert answer.json()["detail"].startswith("video: send the clip as a file, by a `filename`")


@pytest.mark.parametrize("path", ["/predict", "/jobs"])
def test_two_clips_at_once(client: httpx.Client, demo: bytes, path: str) -> None:
    """Neither is answered: nobody could say which was meant."""
    answer = client.post(path, files=[("video", demo), ("video", demo)])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert answer.json()["detail"] == "video: send one clip"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "not_found"),
        ("/predict/", 404, "not_found"),
        ("/jobs/", 404, "not_found"),
        ("/health/live", 405, "method_not_allowed"),
    ],
)
def test_paths_that_take_no_clip(client: httpx.Client, demo: bytes, path: str, status: int, code: str) -> None:
    """They say so, whatever is sent to them, and nobody is sent elsewhere."""
    for answer in (client.post(path, json={}), client.post(path, files={"video": demo})):
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_media_type_in_capitals(client: httpx.Client) -> None:
    """Media types are the same in either case."""
    body = HEAD + b"no video\r\n" + f"--{BOUNDARY}--\r\n".encode()
    headers = {"content-type": f"Multipart/Form-Data; boundary={BOUNDARY}"}
    assert client.post("/predict", content=body, headers=headers).json()["code"] == "unreadable_video"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--b\r\n"),
        (f"multipart/form-data; boundary={BOUNDARY}", b"no boundary here"),
        (f"multipart/form-data; boundary={BOUNDARY}", FIELD + b"1" * 2_000_000),
        (f"multipart/form-data; boundary={BOUNDARY}", (FIELD + b"1\r\n") * 1001),
    ],
    ids=["no boundary", "another boundary", "2 MB in a field", "too many fields"],
)
def test_broken_form(client: httpx.Client, content_type: str, body: bytes) -> None:
    """A form that cannot be read is refused with the one status that its code has."""
    answer = client.post("/predict", content=body, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert answer.json()["detail"].startswith("The form cannot be read")


@pytest.mark.parametrize("path", ["/model", "/nowhere", "/metrics", "/openapi.json"])
def test_media_types_are_not_guessed(client: httpx.Client, path: str) -> None:
    """Browsers take every answer for what it says it is, problems too."""
    assert client.get(path).headers["x-content-type-options"] == "nosniff"


def test_request_id_is_kept_or_made(client: httpx.Client) -> None:
    """A well-formed id of the client's comes back; anything else is replaced."""
    assert client.get("/health/live", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/health/live", headers={"x-request-id": "a b\t<"}).headers["x-request-id"] != "a b\t<"
    lost = client.get("/nowhere", headers={"x-request-id": "lost"})
    assert lost.headers["content-type"] == "application/problem+json"
    assert (lost.json()["code"], lost.json()["request_id"]) == ("not_found", "lost")
