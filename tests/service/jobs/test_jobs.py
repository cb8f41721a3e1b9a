"""Jobs, kept in the process: life, answers, idempotency, cancelling, expiry, limits."""

import asyncio
import io
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

import av
import httpx
import pytest
from starlette import formparsers

from service.jobs.run import failure
from service.logs import JsonFormatter
from service.settings import Settings
from tests import clips
from tests.service.conftest import Serve, post, put_aside, serve
from tests.service.jobs.conftest import PATIENCE_S, ROOT, at_work, ended, followed, submit, until
from tests.service.ports import free_ports

UNKNOWN = "/jobs/" + "0" * 32


def test_answer_is_that_of_predict(client: httpx.Client, demo: bytes) -> None:
    """A job is accepted at once, tells how far it is, and ends with what /predict and /figure say."""
    accepted = submit(client, demo, top=3, explain=True)
    job = accepted.json()
    assert (accepted.status_code, accepted.headers["location"]) == (202, f"jobs/{job['id']}")
    done = until(client, accepted.headers["location"], ended)
    assert client.get(accepted.headers["location"]).headers["cache-control"] == "no-store"
    assert accepted.headers["cache-control"] == "no-store"
    assert (done["state"], done["fraction"], done["remaining_s"], done["attempts"]) == ("done", 1.0, 0.0, 1)
    assert done["frames_per_second"] > 0 and done["expires"] > done["created"]
    assert 'smile_jobs_total{code=""}' in client.get("/metrics").text
    answer = client.get(f"/jobs/{job['id']}/result").json()
    direct = post(client, demo, top=3, explain=True).json()
    assert done["frames_decoded"] == direct["clip"]["frames_decoded"]
    for part in ("age", "gender", "clip", "model", "picture"):
        assert answer[part] == direct[part]
    for kind in ("relations", "all"):
        look = {"kind": kind, "format": "svg", "trait": "gender", "theme": "dark"}
        drawn = client.get(f"/jobs/{job['id']}/figure", params=look)
        same = client.post("/figure", files={"video": ("clip.mp4", demo)}, params=look)
        assert ET.canonicalize(drawn.text) == ET.canonicalize(same.text)


def test_answer_holds_what_was_asked_for(client: httpx.Client, demo: bytes) -> None:
    """Nothing is explained or pictured that was not asked for; every figure can be drawn all the same, of its trait."""
    path = submit(client, demo, traits="gender").headers["location"]
    until(client, path, ended)
    answer, direct = client.get(f"{path}/result").json(), post(client, demo, traits="gender").json()
    assert (answer["age"], answer["gender"], answer["picture"]) == (None, direct["gender"], None)
    drawn = client.get(f"{path}/figure", params={"kind": "effects"})
    assert drawn.content.startswith(b"\x89PNG")
    assert 'filename="smile-effects-gender.png"' in drawn.headers["content-disposition"]


def test_answer_warns_of_unknown_parameters(client: httpx.Client, demo: bytes) -> None:
    """Of those that no job has."""
    path = submit(client, demo, film="mp4", format="webm").headers["location"]
    until(client, path, ended)
    (warning,) = client.get(f"{path}/result").json()["clip"]["warnings"]
    assert (warning["code"], warning["message"].rpartition(": ")[2]) == ("unknown_parameter", "'format'.")


def test_film_is_that_of_film(client: httpx.Client, demo: bytes) -> None:
    """A film that is asked for is made along the way, and given in parts too; one that was not is said to be
    missing."""
    path = submit(client, demo, film="mp4", traits="gender", top=2).headers["location"]
    without = submit(client, demo).headers["location"]
    assert until(client, path, ended)["film"] == "mp4"
    film = client.get(f"{path}/film")
    direct = client.post("/film", files={"video": ("clip.mp4", demo)}, params={"traits": "gender", "top": 2})
    assert film.headers["content-type"] == direct.headers["content-type"] == "video/mp4"
    assert _pictures(film.content) == _pictures(direct.content) > 0
    size = len(film.content)
    for asked, first, end in (("0-1", 0, 2), ("5-", 5, size), ("-7", size - 7, size), (f"3-{size}", 3, size)):
        part = client.get(f"{path}/film", headers={"range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, film.content[first:end])
        assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
    for asked in (f"{size}-", "2-1", "-0", "0-1,3-4"):
        assert client.get(f"{path}/film", headers={"range": f"bytes={asked}"}).content == film.content
    until(client, without, ended)
    missing = client.get(f"{without}/film")
    assert (missing.status_code, missing.json()["code"]) == (404, "no_film")


def _pictures(film: bytes) -> int:
    with av.open(io.BytesIO(film), "r") as container:
        return len(list(container.decode(video=0)))


@pytest.mark.parametrize("clip", ["not_a_video", "still", "one_frame", "huge_claim"])
def test_bad_clips_fail_as_predict_refuses_them(client: httpx.Client, clip: str) -> None:
    """The job carries the problem, and its result is answered with it."""
    bad = getattr(clips, clip)()
    path = submit(client, bad).headers["location"]
    problem = until(client, path, ended)["problem"]
    refused = post(client, bad)
    result = client.get(f"{path}/result")
    assert (problem["code"], problem["status"]) == (refused.json()["code"], refused.status_code)
    assert (result.json()["code"], result.status_code) == (problem["code"], problem["status"])


def test_what_becomes_of_a_job_is_logged(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    """Two lines, by the beginning of its id, with the code that it failed by."""
    with caplog.at_level(logging.INFO, "service.jobs.inprocess"):
        path = submit(client, clips.not_a_video()).headers["location"]
        until(client, path, ended)
    told = [vars(record) for record in caplog.records if record.name == "service.jobs.inprocess"]
    assert [record["message"] for record in told] == ["job begun", "job ended"]
    assert {record["job"] for record in told} == {path.removeprefix("jobs/")[:8]}
    assert told[-1]["code"] == "unreadable_video"


def test_same_key_same_job(client: httpx.Client, demo: bytes) -> None:
    """A repeated request finds the job of the first; another clip or other parameters are refused."""
    first, again = submit(client, demo, "key 1", top=2), submit(client, demo, "key 1", top=2)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    for refused in (submit(client, demo, "key 1", top=3), submit(client, demo + b"\0", "key 1", top=2)):
        assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_conflict")
    client.delete(first.headers["location"])
    assert submit(client, demo, "key 1", top=3).status_code == 202


def test_delete_stops_the_work_and_erases(gateway: Serve, demo: bytes, long_clip: bytes, clip_folder: Path) -> None:
    """A job deleted at work frees its place at once; nothing of it is known afterwards, and its file is closed."""
    client = gateway(job_queue=0)
    path = submit(client, long_clip).headers["location"]
    until(client, path, at_work)
    early = client.get(f"{path}/result")
    assert (early.status_code, early.json()["code"]) == (409, "job_unfinished")
    assert submit(client, demo).json()["code"] == "overloaded"
    assert put_aside(clip_folder) == 1
    assert client.delete(path).status_code == 204
    assert put_aside(clip_folder) == 0
    assert 'smile_frames_total{kind="used"}' not in client.get("/metrics").text
    for gone in (client.get(path), client.get(f"{path}/events"), client.get(f"{path}/result"), client.delete(path)):
        assert (gone.status_code, gone.json()["code"]) == (404, "job_not_found")
    assert submit(client, demo).status_code == 202


def test_deleted_job_keeps_its_place_until_its_work_has_stopped(
    gateway: Serve, demo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then the next job is refused: it is not accepted only to fail."""
    stopping, may_stop = threading.Event(), threading.Event()

    async def slow_to_stop(*_: object) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            stopping.set()
            await asyncio.to_thread(may_stop.wait, PATIENCE_S)

    monkeypatch.setattr("service.jobs.inprocess.run", slow_to_stop)
    client = gateway(job_queue=0)
    path = submit(client, demo).headers["location"]
    until(client, path, lambda job: job["state"] == "running")
    with ThreadPoolExecutor(1) as pool:
        deleted = pool.submit(client.delete, path)
        assert stopping.wait(PATIENCE_S)
        refused = submit(client, demo)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        may_stop.set()
        assert deleted.result().status_code == 204
    assert submit(client, demo).status_code == 202


def test_events_follow_a_job_to_its_end(client: httpx.Client, long_clip: bytes) -> None:
    """Progress grows from event to event; the last one says how it ended, and the stream closes."""
    path = submit(client, long_clip).headers["location"]
    with client.stream("GET", f"{path}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = list(followed(stream.iter_lines()))
    assert [name for name, _ in events] == ["progress"] * (len(events) - 1) + ["done"]
    fractions = [job["fraction"] for _, job in events]
    assert len(events) > 2 and fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any(job["remaining_s"] for _, job in events if job["state"] == "running")


def test_progress_of_a_clip_of_unknown_length(client: httpx.Client) -> None:
    """Browsers' recordings have no duration in the header: there are frames to tell of, and no fraction."""
    recorded = clips.clip_bytes(clips.astronaut_frames(30) * 5, "matroska", muxer_options={"live": "1"})
    with client.stream("GET", f"{submit(client, recorded).headers['location']}/events") as stream:
        *running, (name, done) = followed(stream.iter_lines())
    told = [(job["fraction"], job["remaining_s"]) for _, job in running if job["frames_decoded"]]
    assert told and set(told) == {(None, None)}
    assert (name, done["fraction"], done["remaining_s"]) == ("done", 1.0, 0.0)


def test_events_say_that_a_job_is_gone(client: httpx.Client, long_clip: bytes) -> None:
    """Whoever follows a job that is deleted is told, and let go."""
    path = submit(client, long_clip).headers["location"]
    with client.stream("GET", f"{path}/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        client.delete(path)
        assert list(followed(lines))[-1] == ("gone", None)


def test_results_are_gone_after_their_time(gateway: Serve, demo: bytes) -> None:
    """The job, its result and its key are forgotten; the key may be used again."""
    client = gateway(job_results_s=0.3)
    path = submit(client, demo, "key").headers["location"]
    while (answer := client.get(path)).status_code == 200:
        time.sleep(0.02)
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
    assert client.get(f"{path}/result").json()["code"] == "job_not_found"
    assert submit(client, demo, "key", top=1).json()["id"] != path.rsplit("/")[-1]


def test_results_are_bounded_in_bytes(gateway: Serve, demo: bytes) -> None:
    """Together they may be as large as the clips that may wait; the oldest are forgotten first, the newest is kept."""
    client = gateway(max_upload_mb=0.9, job_queue=0)
    without_results = submit(client, clips.not_a_video()).headers["location"]
    until(client, without_results, ended)
    paths = []
    for key in ("key 1", "key 2"):
        paths.append(submit(client, demo, key, film="mp4").headers["location"])
        assert until(client, paths[-1], ended)["state"] == "done"
    assert 450_000 < len(client.get(f"{paths[1]}/film").content) < 900_000
    gone = client.get(f"{paths[0]}/film")
    assert (gone.status_code, gone.json()["code"]) == (404, "job_not_found")
    assert client.get(without_results).json()["state"] == "failed"
    assert submit(client, demo, "key 1").headers["location"] != paths[0]


def test_records_are_bounded_in_number(gateway: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that failed count too, and nothing stays of those that are forgotten, their keys included."""
    monkeypatch.setattr("service.jobs.inprocess.MOST_ENDED", 2)
    client = gateway(job_queue=0)
    paths = []
    for number in range(4):
        paths.append(submit(client, clips.not_a_video(), f"key {number}").headers["location"])
        until(client, paths[-1], ended)
    assert [client.get(path).status_code for path in paths] == [404, 404, 200, 200]
    assert submit(client, clips.not_a_video(), "key 3").headers["location"] == paths[3]
    assert submit(client, clips.not_a_video(), "key 0").headers["location"] not in paths


def test_full_queue_is_said_before_the_clip_arrives(gateway: Serve, demo: bytes, long_clip: bytes) -> None:
    """One more than may wait is refused with a time to return, but not one that waits already; /predict goes on."""
    client = gateway(job_queue=1)
    paths = [submit(client, long_clip, key).headers["location"] for key in ("key 1", "key 2")]
    assert submit(client, long_clip, "key 2").headers["location"] == paths[1]
    refused = submit(client, demo, "key 3")
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert post(client, demo).status_code == 200
    assert client.get(paths[1]).json()["state"] in ("queued", "running")
    assert all(client.delete(path).status_code == 204 for path in paths)


def test_places_are_counted_beside_their_limits(gateway: Serve, long_clip: bytes) -> None:
    """Jobs of this process by state; clips whose client waits, and the bytes of uploads, apart from them."""
    client = gateway(concurrency=2, queue=3, job_concurrency=1, job_queue=4)
    paths = [submit(client, long_clip).headers["location"] for _ in range(2)]
    until(client, paths[0], at_work)
    told = client.get("/metrics").text.splitlines()
    jobs = ['smile_jobs_inside{state="running"} 1.0', 'smile_jobs_inside{state="queued"} 1.0', "smile_jobs_limit 5.0"]
    clips = [
        "smile_clips_inside 0.0",
        "smile_clips_limit 5.0",
        "smile_upload_bytes 0.0",
        "smile_upload_bytes_limit 6.4e+08",
    ]
    assert {*jobs, *clips} <= set(told)
    for path in paths:
        client.delete(path)


def test_failure_is_logged_without_the_address_of_the_job(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log may not fetch and delete the job by it."""
    job_id = "0123456789abcdef" * 2
    assert failure(ZeroDivisionError(), job_id).request_id == job_id
    (line,) = map(JsonFormatter().format, caplog.records)
    assert '"job": "01234567"' in line and job_id not in line


def test_deadline(gateway: Serve, demo: bytes) -> None:
    """A job that takes longer than allowed fails, says so, and is counted as such."""
    client = gateway(job_deadline_s=0.01)
    problem = until(client, submit(client, demo).headers["location"], ended)["problem"]
    assert (problem["status"], problem["code"]) == (504, "timeout")
    assert 'smile_jobs_total{code="timeout"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize("path", [UNKNOWN, f"{UNKNOWN}/result", f"{UNKNOWN}/figure", f"{UNKNOWN}/events"])
def test_unknown_job(client: httpx.Client, path: str) -> None:
    """Every route says alike that there is no such job."""
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


def _full(*_: object, **__: object) -> IO[bytes]:
    """A file to which every write fails as on a full disk."""
    return open("/dev/full", "r+b")


def test_full_disk(client: httpx.Client, demo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither the upload nor its copy can be put aside, the client is told to come back; then all is well."""
    with monkeypatch.context() as broken:
        broken.setattr(tempfile, "TemporaryFile", _full)
        refused = [submit(client, demo, "key")]
    with monkeypatch.context() as broken:
        broken.setattr(formparsers, "SpooledTemporaryFile", _full)
        refused += [submit(client, demo), post(client, demo)]
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_full")
        assert int(answer.headers["retry-after"]) >= 1
    assert submit(client, demo, "key").status_code == 202


def test_disk_full_of_results(client: httpx.Client, demo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose results cannot be kept fails, and says so: for good, not as what passes."""
    clip = [tempfile.TemporaryFile()]
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: clip.pop() if clip else _full())
    path = submit(client, demo, film="mp4").headers["location"]
    problem = until(client, path, ended)["problem"]
    assert (problem["status"], problem["code"], problem["title"]) == (500, "storage_full", "Internal Server Error")
    result = client.get(f"{path}/result")
    assert (result.status_code, result.json()["code"]) == (500, "storage_full")


def test_nothing_is_left_when_the_service_stops(long_clip: bytes, clip_folder: Path) -> None:
    """Jobs at work and waiting end with the service, and their clips with them."""
    with serve(Settings()) as client:
        paths = [submit(client, long_clip).headers["location"] for _ in range(2)]
        until(client, paths[0], at_work)
        assert put_aside(clip_folder) == 2
    assert put_aside(clip_folder) == 0


def test_streams_end_when_the_server_is_stopped(long_clip: bytes) -> None:
    """SIGTERM is not held up by those who follow a job, however long an answer may take."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "SMILE_DEADLINE_S": "3600"})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            while not _answers(client):
                assert server.poll() is None
                time.sleep(0.05)
            path = submit(client, long_clip).headers["location"]
            with client.stream("GET", f"{path}/events") as stream:
                lines = stream.iter_lines()
                next(lines)
                server.terminate()
                *running, last = followed(lines)
                assert last == ("stopping", None)
                assert all(job["state"] != "done" for _, job in running)
        server.wait(60)
    finally:
        server.kill()
        server.wait()


def _answers(client: httpx.Client) -> bool:
    with suppress(httpx.ConnectError):
        return client.get("/health/ready").is_success
    return False
