"""Prometheus metrics of one gateway."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

import smile
from service.admission import Gate, UploadRoom
from service.backends.base import Model
from service.reading import Seen

REQUEST_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
WORK_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 900)
"""Bounds of the histograms' buckets; the deadlines are 60 and 900 s by default."""


class Metrics:
    """A registry of its own, so that several applications can live in one process (as they do in tests)."""

    def __init__(self, gate: Gate, room: UploadRoom) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._serving = Info("smile", "Version of the service, and the model that serves", registry=self.registry)
        self._serving.info({"version": smile.__version__})
        self._requests = Counter(
            "smile_requests",
            "Requests by route, status and problem code",
            ["method", "route", "status", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "smile_request_seconds",
            "Time from first byte to answer, the upload included",
            ["route"],
            registry=self.registry,
            buckets=REQUEST_S,
        )
        self._work = Histogram(
            "smile_work_seconds",
            "Time of the work on a clip that was answered, without upload and waiting",
            ["route"],
            registry=self.registry,
            buckets=WORK_S,
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
        self._gauge(
            "smile_clips_inside",
            "Clips in work or waiting while their client waits too; those of jobs are not counted",
            lambda: gate.inside,
        )
        self._gauge("smile_clips_limit", "Clips inside at which one more is refused", lambda: gate.room)
        self._gauge(
            "smile_upload_bytes",
            "Bytes of the uploads under way, of jobs too, from their arrival to their answer",
            lambda: room.taken,
        )
        self._gauge("smile_upload_bytes_limit", "Bytes of uploads at which more are refused", lambda: room.limit)

    def request(self, method: str, route: str, status: int, code: str, seconds: float) -> None:
        self._requests.labels(method, route, status, code).inc()
        self._seconds.labels(route).observe(seconds)

    def watch_jobs(self, gate: Gate) -> None:
        """Tell how many jobs of this process are behind `gate`."""
        inside = Gauge("smile_jobs_inside", "Jobs of this process by state", ["state"], registry=self.registry)
        inside.labels("running").set_function(lambda: gate.inside - gate.waiting)
        inside.labels("queued").set_function(lambda: gate.waiting)
        self._gauge("smile_jobs_limit", "Jobs inside at which one more is refused", lambda: gate.room)

    def serving(self, model: Model) -> None:
        """Tell which model of the first network serves."""
        told = {"model": model.card.name, "model_version": model.version, "fingerprint": model.fingerprint}
        self._serving.info({"version": smile.__version__, **told, "provider": model.provider})

    def reading(self, reading: Seen, route: str, seconds: float) -> None:
        """Count a clip that was read for `route` in `seconds` of work."""
        self._work.labels(route).observe(seconds)
        if reading.model.network == "fdin":
            self.serving(reading.model)
        for stage, busy_s in reading.seconds.items():
            self._stages.labels(stage).inc(max(0.0, busy_s))
        self._frames.labels("decoded").inc(reading.decoding.frames_decoded)
        self._frames.labels("used").inc(reading.frames_used)

    def job(self, code: str) -> None:
        self._jobs.labels(code).inc()

    def _gauge(self, name: str, description: str, value: Callable[[], int]) -> None:
        Gauge(name, description, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        return generate_latest(self.registry)
