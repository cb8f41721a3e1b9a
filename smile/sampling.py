"""Which instants of a clip are looked at (SPEC C2): a uniform grid in time, thinned so that a sequence stays bounded.

Instant k lies k / frame_rate_hz seconds after the first frame. A clip of any length gives at most MAX_SAMPLES of them:
from instant MAX_SAMPLES on only every second one is kept, from 2 * MAX_SAMPLES every fourth, and so on. The stride
depends on k alone, so a stream of unknown length can be thinned as it arrives, and what is kept at the end is uniform.
"""

FRAME_RATE_HZ = 25.0
"""Default rate of the grid; the rate that a network was trained with is stored with its weights."""
FRAME_RATE_RANGE_HZ = (5.0, 50.0)
"""Rates that a network may be trained with."""
MAX_SAMPLES = 256
MIN_SAMPLES = 8


def stride_at(instant: int, max_samples: int = MAX_SAMPLES) -> int:
    """Stride of the grid once `instant` has been reached: the power of two that keeps at most `max_samples`."""
    return 1 << (instant // max_samples).bit_length()


def is_kept(instant: int, last: int, max_samples: int = MAX_SAMPLES) -> bool:
    """Whether `instant` belongs to the sequence of a clip whose last instant so far is `last`."""
    return instant % stride_at(last, max_samples) == 0
