"""Standard output: the answer of one clip as the API gives it, or a JSON line for each of several."""

import os
import sys

from service.cli.exits import Unwritable
from service.cli.results import Result, json_line


def write(text: str) -> None:
    """Write in UTF-8, whatever the locale, and flush. Raises Unwritable where the disk is full or nobody reads more."""
    try:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter fails again when it ends
        raise Unwritable(f"standard output: {error.strerror}") from error


class Lines:
    """A sink of results."""

    def write(self, result: Result) -> None:
        write(json_line(result))


class Single:
    """A sink of the result of one clip; a refusal goes to standard error alone."""

    def write(self, result: Result) -> None:
        if result.prediction:
            write(result.prediction.model_dump_json(indent=2) + "\n")
