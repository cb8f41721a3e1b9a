"""The thinned uniform grid."""

from hypothesis import given
from hypothesis import strategies as st

from smile.sampling import MAX_SAMPLES, is_kept, stride_at


@given(st.integers(0, 20_000), st.integers(8, MAX_SAMPLES))
def test_a_clip_of_any_length_fits(last: int, max_samples: int) -> None:
    """What is kept at the end is uniform, starts at 0, fits, and is not thinned further than it must be."""
    kept = [k for k in range(last + 1) if is_kept(k, last, max_samples)]
    stride = stride_at(last, max_samples)
    assert kept == list(range(0, last + 1, stride))
    assert len(kept) <= max_samples
    assert stride == 1 or len(kept) > max_samples // 2


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_a_stream_can_be_thinned_as_it_arrives(instant: int, later: int) -> None:
    """An instant that is dropped when it arrives is never wanted later."""
    last = instant + later
    assert is_kept(instant, instant) or not is_kept(instant, last)


def test_short_clips_are_not_thinned() -> None:
    """Up to MAX_SAMPLES instants all are kept; the next one halves the rate."""
    assert all(is_kept(k, MAX_SAMPLES - 1) for k in range(MAX_SAMPLES))
    assert stride_at(MAX_SAMPLES) == 2 and stride_at(2 * MAX_SAMPLES - 1) == 2 and stride_at(2 * MAX_SAMPLES) == 4
