"""Structured logs: one JSON object per line on standard error, never a pixel, never a file name of a client.

mediapipe's native code writes plain lines of its own to the same descriptor. They are let through: caught by a pipe of
this process, the last words of a native crash would be lost with it.
"""

import json
import logging
import time

_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _PLAIN},
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def configure(level: str) -> None:
    """Send everything, uvicorn's own lines included, through one JSON handler."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # the request line of service.middleware says more
    quiet = max(logging.WARNING, logging.getLevelNamesMapping()[level])
    logging.getLogger("arq").setLevel(quiet)  # below warnings it tells whole ids of jobs, by which they can be fetched
