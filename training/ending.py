"""How commands end that fail or are interrupted: in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from networks.checkpoint import CheckpointError
from training.parallel import WorkerDied


@contextmanager
def in_one_line(*kinds: type[Exception]) -> Iterator[None]:
    """Ends the program with what there is to say, where one of `kinds` is raised, or what any of these commands may."""
    told: tuple[type[Exception], ...] = (CheckpointError, WorkerDied, OSError, ValueError, *kinds)
    try:
        yield
    except told as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept, run it again to go on", file=sys.stderr)
        sys.exit(130)
