"""What a clip is refused for once all of it was seen."""

import numpy as np
import pytest

from smile.errors import TooFewFrames
from smile.faces import AlignedFace
from smile.sampling import MAX_SAMPLES, MIN_SAMPLES, is_kept
from smile.sequence import Sequence

CROP = np.zeros((96, 96, 3), np.uint8)
MATRIX = np.eye(2, 3)


def face(*instants: int) -> AlignedFace:
    """One frame that stands for these instants at 25 Hz."""
    return AlignedFace(instants, instants[0] / 25, CROP, MATRIX, 0.5, False, 0)


@pytest.mark.parametrize("instants", [1, MIN_SAMPLES - 1, MIN_SAMPLES])
def test_a_short_clip_is_to_be_longer(instants: int) -> None:
    """Where nothing was thinned, more of the same helps."""
    sequence = Sequence()
    sequence.add([face(k) for k in range(instants)])
    if instants < MIN_SAMPLES:
        with pytest.raises(TooFewFrames, match=f"in {instants} instants .* longer clip"):
            sequence.longest_stretch()
    else:
        assert sequence.longest_stretch().frame_count == instants


def test_a_long_clip_is_to_be_cut() -> None:
    """Where thinning has left too little of a short appearance, a longer clip would leave less."""
    last = 12 * MAX_SAMPLES
    sequence = Sequence()
    sequence.add([face(k) for k in range(last - 100, last) if is_kept(k, k)])
    with pytest.raises(TooFewFrames, match="one instant in 16 .* cut it"):
        sequence.longest_stretch()
