"""`python -m benchmarks.soak [REQUESTS]`: does the gateway leak? Good, bad and abandoned clips, many times over.

Prints memory, threads and file descriptors of the process after each hundred.
"""

import argparse
import os
import socket
import threading
import time
from itertools import cycle, islice
from pathlib import Path

import httpx
import uvicorn

from benchmarks.clips import DEMO
from service.app import create_app
from service.connection import BoundedHttp

ROUND = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", nargs="?", type=int, default=400)
    requests = parser.parse_args().requests
    server = uvicorn.Server(uvicorn.Config(create_app(), port=0, http=BoundedHttp, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    for done in range(0, requests, ROUND):
        _post_all(port, ROUND)
        print(done + ROUND, "requests:", ", ".join(f"{name} {value}" for name, value in _held().items()), flush=True)
    server.should_exit = True
    thread.join()


def _post_all(port: int, count: int) -> None:
    good = DEMO.read_bytes()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for clip in islice(cycle((good, good[: len(good) // 2], b"", b"no video", None)), count):
            if clip is None:
                _abandon(port, good)
            else:
                client.post("/predict", files={"video": ("clip", clip)}).read()


def _abandon(port: int, clip: bytes) -> None:
    """Send a whole clip, and leave without waiting for the answer."""
    head = b'--b\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\n'
    body = head + clip + b"\r\n--b--\r\n"
    lines = ["POST /predict HTTP/1.1", "Host: a", "Content-Type: multipart/form-data; boundary=b"]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body)
        time.sleep(0.05)


def _held() -> dict[str, int]:
    time.sleep(1)
    status = Path("/proc/self/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in status if ":" in line)
    return {
        "resident kB": int(values["VmRSS"].split()[0]),
        "threads": int(values["Threads"]),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


if __name__ == "__main__":
    main()
