"""How a command ends: statuses for scripts, and the exceptions that lead to them.

0    everything was answered
1    some clips were refused; their rows say why
2    usage: bad arguments, no such clip, a results file of another form
3    the model cannot be loaded, or the server is away, or failed on some clips; run the same command again to go on
4    results could not be written: disk full, no permission, reader gone
130  interrupted (Ctrl-C), 143 terminated; what was written stays, run the same command again to go on
"""

from enum import IntEnum


class Exit(IntEnum):
    FINE = 0
    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3
    UNWRITABLE = 4
    INTERRUPTED = 130
    TERMINATED = 143


class Usage(Exception):
    """The command cannot mean anything as it stands; the message says why."""


class Unavailable(Exception):
    """Nothing can be answered for now: no model, no server."""


class Unwritable(Exception):
    """A result could not be written."""


class Refused(Exception):
    """One clip cannot be answered. `code` is that of the API's problems; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Postponed(Refused):
    """It cannot be answered for now: it gets no row, so that the next run asks again."""
