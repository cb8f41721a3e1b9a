"""What a clip is refused for once all of it was seen."""

import numpy as np
import pytest

from smile.errors import FaceTooSmall, TooFewFrames
from smile.faces import AlignedFace
from smile.sampling import MAX_SAMPLES, MIN_SAMPLES, is_kept
from smile.sequence import Sequence

CROP = np.zeros((96, 96, 3), np.uint8)
MATRIX = np.eye(2, 3)


def face(*instants: int, stretch: int = 0, scale: float = 1.0) -> AlignedFace:
    """One frame that stands for these instants at 25 Hz, with a face that is enlarged by `scale` into its crop."""
    return AlignedFace(instants, instants[0] / 25, CROP, scale * MATRIX, 0.5, False, stretch)


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


def test_the_longest_stretch_is_answered() -> None:
    """Neither the first nor the last, with the size of its own face."""
    sequence = Sequence()
    for stretch, (start, end, scale) in enumerate([(0, 20, 3.0), (30, 60, 1.0), (70, 90, 3.0)]):
        sequence.add([face(k, stretch=stretch, scale=scale) for k in range(start, end)])
    found = sequence.longest_stretch()
    assert found.times_s.tolist() == pytest.approx([k / 25 for k in range(30, 60)])
    assert found.eye_distance_px == pytest.approx(48) and not found.is_whole


def test_sizes_are_those_of_the_clip() -> None:
    """Frames that were reduced to a third show the eyes at a third of their distance."""
    sequence = Sequence()
    sequence.add([face(k, scale=2.5) for k in range(20)])
    with pytest.raises(FaceTooSmall, match="The eyes are 58 pixels apart and 72 are needed"):
        sequence.longest_stretch(scale=1 / 3)
