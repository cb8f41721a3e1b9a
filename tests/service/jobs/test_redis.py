"""Jobs over a real Redis: workers that are killed, stopped and paused, a Redis that goes and comes back."""

import json
import signal
import time
from collections.abc import Callable

from service.jobs import keys
from service.jobs.base import READING_SHARE
from tests.service.conftest import Serve, post
from tests.service.jobs.conftest import Redis, Worker, at_work, ended, followed, submit, until

StartWorker = Callable[..., Worker]


def test_job_of_a_killed_worker_is_done_once_by_another(
    gateway: Serve, redis_server: Redis, start_worker: StartWorker, long_clip: bytes
) -> None:
    """Two gateways, two workers: kill -9 amid the work loses nothing, and the job ends exactly once."""
    here, there = gateway(jobs=redis_server.url), gateway(jobs=redis_server.url)
    first = start_worker()
    path = submit(here, long_clip, "key").headers["location"]
    until(here, path, at_work)
    first.send(signal.SIGKILL)
    second = start_worker()
    done = until(there, path, ended)
    assert (done["state"], done["attempts"], done["fraction"]) == ("done", 2, 1.0)
    assert submit(there, long_clip, "key").json()["id"] == done["id"]
    assert submit(there, long_clip, "key", top=1).status_code == 409
    assert there.get(f"{path}/result").json()["age"] == post(here, long_clip).json()["age"]
    assert here.get(f"{path}/figure").content.startswith(b"\x89PNG")
    second.until("job ended")
    assert (first.count("job ended"), second.count("job ended")) == (0, 1)
    assert redis_server.client().exists(keys.clip(done["id"])) == 0


def test_worker_that_comes_back_does_not_end_the_job_again(
    gateway: Serve, redis_server: Redis, start_worker: StartWorker, long_clip: bytes
) -> None:
    """A worker that hung while another took its job finds that it is not the owner any more."""
    client = gateway(jobs=redis_server.url)
    first = start_worker()
    path = submit(client, long_clip).headers["location"]
    until(client, path, at_work)
    first.send(signal.SIGSTOP)
    second = start_worker()
    until(client, path, lambda job: job["attempts"] == 2 and at_work(job))
    first.send(signal.SIGCONT)
    first.until("job taken away")
    done = until(client, path, ended)
    assert (done["state"], done["attempts"]) == ("done", 2)
    second.until("job ended")
    assert (first.count("job ended"), second.count("job ended")) == (0, 1)


def test_worker_that_is_stopped_gives_its_job_back(
    gateway: Serve, redis_server: Redis, start_worker: StartWorker, long_clip: bytes
) -> None:
    """SIGTERM is no failure: the job waits for the next worker, and no lease has to pass."""
    client = gateway(jobs=redis_server.url)
    first = start_worker(job_lease_s=600)
    path = submit(client, long_clip).headers["location"]
    until(client, path, at_work)
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    assert client.get(path).json()["state"] == "queued"
    second = start_worker(job_lease_s=600)
    done = until(client, path, ended)
    assert (done["state"], done["attempts"]) == ("done", 1)
    second.until("job ended")


def test_job_waits_for_a_model_server(
    gateway: Serve, redis_server: Redis, start_worker: StartWorker, demo: bytes
) -> None:
    """A worker whose Triton is away gives the job back; one that can do it does it, and reading is not all of it."""
    client = gateway(jobs=redis_server.url)
    stranded = start_worker(backend="triton", triton_url="127.0.0.1:1", job_lease_s=1)
    path = submit(client, demo, film="webm").headers["location"]
    stranded.until("job given back")
    assert stranded.count("backend unavailable") and '"reason": "Triton cannot be reached"' in stranded.logged()
    stranded.stop()
    worker = start_worker()
    done = until(client, path, ended)
    assert (done["state"], done["attempts"]) == ("done", 1)
    told = json.loads(redis_server.client().hget(keys.record(done["id"]), "progress"))
    assert told["fraction"] == READING_SHARE
    film = client.get(f"{path}/film")
    assert film.headers["content-type"] == "video/webm" and film.content.startswith(b"\x1aE\xdf\xa3")
    worker.until("job ended")
    for log in (stranded.logged(), worker.logged()):
        assert f'"job": "{done["id"][:8]}"' in log
        assert done["id"] not in log  # whoever knows it may fetch the film


def test_redis_away_at_start_and_amid_the_work(
    gateway: Serve, redis_server: Redis, start_worker: StartWorker, demo: bytes, long_clip: bytes
) -> None:
    """Gateway and worker start without Redis, outlive its absence amid a job, and go on when it is back."""
    redis_server.stop()
    client, worker = gateway(jobs=redis_server.url), start_worker(job_lease_s=30)
    refused = submit(client, demo)
    assert (refused.status_code, refused.json()["code"]) == (503, "jobs_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert client.get("/health/ready").status_code == 200 == post(client, demo).status_code

    redis_server.start()
    path = submit(client, long_clip).headers["location"]
    until(client, path, at_work)
    with client.stream("GET", f"{path}/events") as stream:
        events = followed(stream.iter_lines())
        assert next(events)[0] == "progress"
        redis_server.stop()
        for away in (client.get(path), client.get(f"{path}/events"), client.delete(path), submit(client, demo)):
            assert (away.status_code, away.json()["code"]) == (503, "jobs_unavailable")
        assert ("unavailable", None) in events
        redis_server.start()
        assert [name for name, _ in events][-1] == "done"
    done = until(client, path, ended)
    assert (done["state"], done["attempts"]) == ("done", 1)
    worker.until("job ended")
    assert worker.count("job ended") == 1


def test_jobs_that_wait_begin_when_there_is_room_again(
    gateway: Serve, redis_server: Redis, start_worker: StartWorker, demo: bytes
) -> None:
    """A Redis that is full lets no job begin; none fails by it."""
    client = gateway(jobs=redis_server.url)
    path = submit(client, demo).headers["location"]
    redis_server.client().config_set("maxmemory", 1)
    worker = start_worker()
    worker.until("redis refuses")
    assert client.get(path).json()["state"] == "queued"
    redis_server.client().config_set("maxmemory", 0)
    assert until(client, path, ended)["state"] == "done"


def test_delete_stops_a_worker_and_erases(
    gateway: Serve, redis_server: Redis, start_worker: StartWorker, demo: bytes, long_clip: bytes
) -> None:
    """The worker lets go of a deleted job amid the work; nothing of it stays in Redis, and the next job is taken."""
    client, worker = gateway(jobs=redis_server.url), start_worker()
    path = submit(client, long_clip, "key").headers["location"]
    until(client, path, at_work)
    assert client.delete(path).status_code == 204
    worker.until("job taken away")
    assert client.get(path).json()["code"] == "job_not_found"
    assert not list(redis_server.client().scan_iter("smile:job:*")) + list(
        redis_server.client().scan_iter("smile:key:*")
    )
    assert until(client, submit(client, demo, "key").headers["location"], ended)["state"] == "done"
    worker.until("job ended")
    assert worker.count("job ended") == 1


def test_results_are_gone_after_their_time(
    gateway: Serve, redis_server: Redis, start_worker: StartWorker, demo: bytes
) -> None:
    """Redis forgets the job, what came of it, and its key."""
    client, _ = gateway(jobs=redis_server.url), start_worker(job_results_s=1)
    path = submit(client, demo, "key").headers["location"]
    while (answer := client.get(path)).status_code == 200:
        time.sleep(0.05)
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
    assert client.get(f"{path}/result").json()["code"] == "job_not_found"
    assert [key for key in redis_server.client().scan_iter("*") if not key.startswith(b"smile:queue")] == []


def test_clip_that_kills_workers_is_given_up(
    gateway: Serve, redis_server: Redis, start_worker: StartWorker, demo: bytes
) -> None:
    """After as many lost workers as are risked, the job fails instead of taking another."""
    client = gateway(jobs=redis_server.url)
    path = submit(client, demo).headers["location"]
    redis_server.client().hset(keys.record(path.rsplit("/")[-1]), "attempts", "3")
    start_worker()
    problem = until(client, path, ended)["problem"]
    assert (problem["status"], problem["code"]) == (500, "worker_lost")
    result = client.get(f"{path}/result")
    assert (result.status_code, result.json()["code"]) == (500, "worker_lost")


def test_queue_is_bounded(gateway: Serve, redis_server: Redis, demo: bytes) -> None:
    """Without workers jobs wait; one more than may is refused, as is one for which Redis has no memory; a job that
    waits is found again."""
    client = gateway(jobs=redis_server.url, job_queue=1)
    path = submit(client, demo, "key").headers["location"]
    assert client.get(path).json()["state"] == "queued"
    assert submit(client, demo, "key").headers["location"] == path
    refused = submit(client, demo, "another key")
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    client.delete(path)
    redis_server.client().config_set("maxmemory", 1)
    refused = submit(client, demo)
    assert (refused.status_code, refused.json()["code"]) == (503, "storage_full")
    redis_server.client().config_set("maxmemory", 0)
    assert submit(client, demo).status_code == 202
