"""What the probes of orchestrators are answered, and what the log says of it: they come every few seconds."""

import logging

from service import problems
from service.backends.base import Backend, BackendError

log = logging.getLogger(__name__)


class Readiness:
    """Asks the backend. The log says why it would not answer, once for each reason, and when it would again."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._reason = ""

    async def check(self) -> None:
        """Raises Refusal where a request would not be answered now."""
        try:
            await self._backend.ready()
        except BackendError as error:
            if str(error) != self._reason:
                self._reason = str(error)
                log.warning("not ready", extra={"reason": self._reason, "cause": str(error.__cause__ or "")})
            raise problems.backend_away() from error
        if self._reason:
            self._reason = ""
            log.info("ready again")
