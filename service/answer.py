"""From what was measured about a clip to the JSON of the answer: ranking, interval, rounding, warnings."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import schemas
from service.pipeline import Reading
from smile.card import AgeInterval
from smile.ranking import Relation, rank
from smile.regions import NAMES, PAIRS, REGIONS
from smile.sampling import MAX_SAMPLES
from smile.tensors import GENDERS

LOW_FRAME_RATE_HZ = 12.0
"""Below this the movements of a smile (an onset takes about half a second) are hardly sampled."""
MOSTLY = 0.9
"""Share of the frames that must show the face for the answer to go without a warning."""


def prediction(
    reading: Reading, *, request_id: str, traits: Sequence[schemas.Trait], top: int | None, total_s: float
) -> schemas.Prediction:
    """The answer to one request; `top` is how many relations are listed, None for all."""
    card = reading.model.card
    return schemas.Prediction(
        request_id=request_id,
        age=_age(reading, top) if "age" in traits else None,
        gender=_gender(reading, top) if "gender" in traits else None,
        clip=_clip(reading),
        model=schemas.ModelIdentity(
            name=card.name,
            version=reading.model.version,
            trained_on=card.trained_on,
            fingerprint=reading.model.fingerprint,
        ),
        timings_ms=schemas.Timings(
            **{stage: round(seconds * 1000, 1) for stage, seconds in reading.seconds.items()},
            total=round(total_s * 1000, 1),
        ),
    )


def _age(reading: Reading, top: int | None) -> schemas.Age:
    years = float(reading.age[0])
    effects = None if len(reading.age) == 1 else reading.age[0] - reading.age[1:]
    return schemas.Age(
        years=round(years, 2),
        interval=_interval(years, reading.model.card.age_interval),
        **_explained(reading.age_importance, effects, "years", top),
    )


def _gender(reading: Reading, top: int | None) -> schemas.Gender:
    label = int(reading.gender[0].argmax())
    probability = reading.gender[:, label]
    effects = None if len(probability) == 1 else probability[0] - probability[1:]
    return schemas.Gender(
        label=GENDERS[label],
        probability=round(float(probability[0]), 4),
        **_explained(reading.gender_importance, effects, "probability", top),
    )


def _interval(years: float, interval: AgeInterval | None) -> schemas.AgeInterval | None:
    if interval is None:
        return None
    below, above = (np.interp(years, interval.ages, widths) for widths in (interval.below, interval.above))
    return schemas.AgeInterval(
        low=round(max(0.0, years - float(below)), 2), high=round(years + float(above), 2), coverage=interval.coverage
    )


def _explained(
    importance: NDArray[np.float32], effects: NDArray[np.float32] | None, unit: str, top: int | None
) -> dict[str, Any]:
    """Fields of schemas.Explained; `effects` holds each region's and then each pair's, in the order of MASKS."""
    fields: dict[str, Any] = {
        "pairs": [_relation(relation) for relation in rank(importance, 2)[:top]],
        "triplets": [_relation(relation) for relation in rank(importance, 3)[:top]],
    }
    if effects is None:
        return fields
    of_regions, of_pairs = (
        [schemas.Effect(**{unit: round(float(value), 4)}) for value in part]
        for part in np.split(effects, [len(REGIONS)])
    )
    fields["pairs"] = [
        _relation(relation, of_pairs[PAIRS.index(relation.regions)]) for relation in rank(importance, 2)[:top]
    ]
    order = np.argsort(-np.abs(effects[: len(REGIONS)]), kind="stable")
    fields["region_effects"] = [
        schemas.RegionEffect(region=REGIONS[i].name, anatomical_side=REGIONS[i].anatomical_side, effect=of_regions[i])
        for i in order
    ]
    return fields


def _relation(relation: Relation, effect: schemas.Effect | None = None) -> schemas.Relation:
    return schemas.Relation(
        rank=relation.rank,
        regions=[NAMES[i] for i in relation.regions],
        importance=round(relation.importance, 6),
        effect=effect,
    )


def _clip(reading: Reading) -> schemas.Clip:
    course, faces = reading.course, reading.faces
    return schemas.Clip(
        duration_s=round(reading.decoding.duration_s, 3),
        frames_decoded=reading.decoding.frames_decoded,
        frames_used=reading.frames_used,
        frame_rate_hz=reading.frame_rate_hz,
        width=reading.video.width,
        height=reading.video.height,
        face=schemas.Face(
            frames_with_face=faces.frames_with_face,
            frames_bridged=faces.frames_bridged,
            faces_max=faces.faces_max,
            eye_distance_px=round(faces.eye_distance_px or 0.0, 1),
        ),
        smile=schemas.Smile(
            onset_s=_rounded(course.onset_s),
            apex_s=_rounded(course.apex_s),
            offset_s=_rounded(course.offset_s),
            amplitude=round(course.amplitude, 3),
        ),
        warnings=[schemas.Warning(code=code, message=message) for code, message in _warnings(reading)],
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _warnings(reading: Reading) -> Iterator[tuple[str, str]]:
    """(code, message) of everything that makes the answer less trustworthy than it looks."""
    faces, decoding = reading.faces, reading.decoding
    if reading.model.card.trained_on is None:
        yield "untrained_model", "These weights were never trained: the numbers show that the path works, nothing else."
    if not reading.course.has_smile:
        yield "no_smile", "No smile was seen. The network reads smiles: start neutral, smile broadly, relax."
    if faces.faces_max > 1:
        yield "several_faces", f"Up to {faces.faces_max} faces were seen at once. The largest was followed."
    if not reading.followed_throughout:
        yield "face_lost", "The face was lost on the way. The longest stretch in which it was followed is answered."
    elif faces.frames_with_face < MOSTLY * faces.frames_seen:
        yield "face_hidden", f"The face was seen in {faces.frames_with_face} of {faces.frames_seen} frames."
    if faces.frames_large_pose > (1 - MOSTLY) * faces.frames_seen:
        yield "large_pose", "The head is turned far to the side. Look into the camera."
    if decoding.source_rate_hz < LOW_FRAME_RATE_HZ:
        yield "low_frame_rate", f"The clip has {decoding.source_rate_hz:.1f} frames a second; 25 or more show a smile."
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
    if reading.frame_rate_hz < reading.model.card.frame_rate_hz:
        yield (
            "thinned",
            f"The clip is longer than {MAX_SAMPLES} instants: it was read at {reading.frame_rate_hz:g} a second.",
        )
