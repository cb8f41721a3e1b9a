"""Clips that nobody waits for on the line: in this process, or shared by gateways and workers over Redis."""

from service.backends.base import Backend
from service.jobs.base import Jobs
from service.metrics import Metrics
from service.settings import Settings


def create_jobs(settings: Settings, backend: Backend, metrics: Metrics) -> Jobs:
    """What keeps and works off jobs, as the settings ask. Does not connect yet: Redis may come later."""
    if settings.jobs == "inprocess":
        from service.jobs.inprocess import InProcessJobs

        return InProcessJobs(settings, backend, metrics)
    from service.jobs.redis import RedisJobs

    return RedisJobs(settings)
