"""The warnings of an answer."""

from collections.abc import Iterator, Sequence

from service.reading import Seen
from smile.sampling import MAX_SAMPLES

LOW_FRAME_RATE_HZ = 12.0
"""Below this the movements of a smile (an onset takes about half a second) are hardly sampled."""
MOSTLY = 0.9
"""Share of the frames that must show the face for the answer to go without a warning."""
MISSING_S, MISSING_SHARE = 0.5, 0.1
"""Pictures that end before the header says, by more than both, were cut off; what is less is rounded in headers."""


def of(reading: Seen, unknown: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(code, message) of everything that makes the answer less trustworthy than it looks, or another than was meant;
    `unknown` are parameters that mean nothing here."""
    faces, decoding = reading.faces, reading.decoding
    if reading.model.card.trained_on is None:
        yield "untrained_model", "These weights were never trained: the numbers show that the path works, nothing else."
    siam = reading.siam
    if siam and siam.model is not reading.model and siam.model.card.trained_on is None:
        yield "untrained_siam", "SIAM's weights were never trained: its numbers show that the path works, nothing else."
    if not reading.course.has_smile:
        yield "no_smile", "No smile was seen. The network reads smiles: start neutral, smile broadly, relax."
    if faces.faces_max > 1:
        yield (
            "several_faces",
            f"Up to {faces.faces_max} faces were seen at once. The one largest at first was followed.",
        )
    if not reading.followed_throughout:
        yield "face_lost", "The face was lost on the way. The longest stretch in which it was followed is answered."
    elif faces.instants_with_face < MOSTLY * faces.instants_seen:
        share = faces.instants_with_face / faces.instants_seen
        yield "face_hidden", f"The face was seen for {share:.0%} of the time."
    if faces.instants_large_pose > (1 - MOSTLY) * faces.instants_seen:
        yield "large_pose", "The head is turned far to the side. Look into the camera."
    if faces.instants_cut > (1 - MOSTLY) * faces.instants_seen:
        yield "face_cut", "The face reaches beyond the picture; the rest of it was guessed from the edge. Move back."
    if decoding.source_rate_hz < LOW_FRAME_RATE_HZ:
        yield (
            "low_frame_rate",
            f"The clip has {decoding.source_rate_hz:.1f} frames a second; with fewer than {LOW_FRAME_RATE_HZ:g} the "
            "movements of a smile are hardly seen. Record with 25.",
        )
    if decoding.timestamps_repaired:
        yield (
            "timestamps_repaired",
            f"{decoding.timestamps_repaired} frames had no usable time; even spacing was assumed.",
        )
    if decoding.packets_damaged:
        yield (
            "damaged_packets",
            f"{decoding.packets_damaged} packets of the file could not be decoded and were skipped.",
        )
    declared_s = reading.video.declared_duration_s or 0.0
    if not decoding.timestamps_repaired and declared_s - decoding.duration_s > max(
        MISSING_S, MISSING_SHARE * declared_s
    ):
        yield (
            "ends_early",
            f"The pictures end after {decoding.duration_s:.1f} s of {declared_s:.1f} s that the file claims: "
            "it was cut off, or its sound goes on.",
        )
    if reading.frame_rate_hz < reading.model.card.frame_rate_hz:
        yield (
            "thinned",
            f"The clip is longer than {MAX_SAMPLES} instants: it was read at {reading.frame_rate_hz:g} a second.",
        )
    if unknown:
        yield "unknown_parameter", f"Not known here, and ignored: {', '.join(map(repr, unknown))}."
