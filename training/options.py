"""Numbers on command lines, refused before anything is computed."""

import argparse
from collections.abc import Callable

from smile.sampling import FRAME_RATE_RANGE_HZ


def count_from(least: int, most: int | None = None) -> Callable[[str], int]:
    """For `type` of an option: a whole number that is not less, nor more than `most`."""

    def count(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            end = "" if most is None else f" to {most}"
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least}{end}")
        return number

    return count


def frame_rate_hz(text: str) -> float:
    """For `type` of an option: one at which clips can be sampled."""
    slowest, fastest = FRAME_RATE_RANGE_HZ
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not slowest <= rate <= fastest:
        raise argparse.ArgumentTypeError(f"{text} is not a rate from {slowest:g} to {fastest:g} Hz")
    return rate
