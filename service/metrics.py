"""Prometheus metrics of one gateway."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.admission import Gate
from service.reading import Seen


class Metrics:
    """A registry of its own, so that several applications can live in one process (as they do in tests)."""

    def __init__(self, gate: Gate) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "smile_requests",
            "Requests by route, status and problem code",
            ["method", "route", "status", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "smile_request_seconds",
            "Time from first byte to answer",
            ["route"],
            registry=self.registry,
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )
        self._stages = Counter(
            "smile_stage_seconds",
            "Time in which a stage had something of a clip to do",
            ["stage"],
            registry=self.registry,
        )
        self._frames = Counter("smile_frames", "Frames decoded, and instants used", ["kind"], registry=self.registry)
        self._jobs = Counter(
            "smile_jobs", "Jobs that ended in this process, by problem code", ["code"], registry=self.registry
        )
        Gauge(
            "smile_clips_inside",
            "Clips in work or waiting while their client waits too; those of jobs are not counted",
            registry=self.registry,
        ).set_function(lambda: gate.inside)

    def request(self, method: str, route: str, status: int, code: str, seconds: float) -> None:
        self._requests.labels(method, route, status, code).inc()
        self._seconds.labels(route).observe(seconds)

    def reading(self, reading: Seen) -> None:
        for stage, seconds in reading.seconds.items():
            self._stages.labels(stage).inc(max(0.0, seconds))
        self._frames.labels("decoded").inc(reading.decoding.frames_decoded)
        self._frames.labels("used").inc(reading.frames_used)

    def job(self, code: str) -> None:
        self._jobs.labels(code).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
