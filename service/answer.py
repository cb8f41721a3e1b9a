"""From what was measured about a clip to the JSON of the answer: ranking, interval, rounding."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import caveats, schemas, siam_answer
from service.backends.base import Model
from service.reading import Picture, Reading, Seen
from service.settings import BackendName
from service.siam import SiamReading
from smile.card import AgeInterval
from smile.course import mouth_curve
from smile.ranking import Relation, rank
from smile.regions import NAMES, PAIRS, REGIONS
from smile.svg import data_uri
from smile.tensors import GENDERS

Fields = dict[str, Any]

NOTICE = (
    "Estimates from appearance and motion, wrong for some people more than for others. Not for decisions about anyone. "
    "Importances are weights inside the network, not proof of what decided."
)


def model_card(
    model: Model,
    backend: BackendName,
    traits: Sequence[schemas.Trait],
    limits: schemas.Limits,
    siam: Model | None = None,
) -> schemas.ModelCard:
    """What serves, and what its weights say about themselves."""
    return schemas.ModelCard(
        **_card(model),
        backend=backend,
        provider=model.provider,
        traits=list(traits),
        limits=limits,
        notice=NOTICE,
        siam=schemas.SiamCard(**_card(siam)) if siam else None,
    )


def _card(model: Model) -> Fields:
    card = model.card
    return {
        "name": card.name,
        "version": model.version,
        "trained_on": card.trained_on,
        "licence": card.licence,
        "frame_rate_hz": card.frame_rate_hz,
        "fingerprint": model.fingerprint,
        "interval_coverage": card.age_interval.coverage if card.age_interval else None,
        "report": card.report,
    }


def prediction(
    seen: Seen,
    *,
    request_id: str,
    traits: Sequence[schemas.Trait],
    top: int | None,
    total_s: float,
    unknown: Sequence[str] = (),
) -> schemas.Prediction:
    """The answer to one request; `top` is how many relations and attended frames are listed, None for all, `unknown`
    names the parameters that are warned of."""
    siam = _siam(seen.siam, top) if seen.siam else None
    return schemas.Prediction(
        request_id=request_id,
        **(_first(seen, traits, top, siam) if isinstance(seen, Reading) else {}),
        siam=siam,
        clip=_clip(seen, unknown),
        model=siam_answer.identity(seen.model),
        timings_ms=schemas.Timings(
            **{stage: round(seconds * 1000, 1) for stage, seconds in seen.seconds.items()},
            total=round(total_s * 1000, 1),
        ),
    )


def _first(reading: Reading, traits: Sequence[schemas.Trait], top: int | None, siam: schemas.Siam | None) -> Fields:
    """What an answer says where the first network has a part in it."""
    age = _age(reading, top) if "age" in traits else None
    apart = float(reading.age[0]) - reading.siam.age if reading.siam else 0.0
    return {
        "age": age,
        "gender": _gender(reading, top) if "gender" in traits else None,
        "disagreement": siam_answer.disagreement(age, siam.age, apart) if age and siam else None,
        "picture": _picture(reading.picture) if reading.picture else None,
    }


def _siam(reading: SiamReading, top: int | None) -> schemas.Siam:
    return siam_answer.siam(reading, interval_of(reading.age, reading.model.card.age_interval), top)


def _age(reading: Reading, top: int | None) -> schemas.Age:
    years = reading.age.astype(np.float64)
    pairs, triplets, regions = _explained(reading.age_importance, years[0] - years[1:], "years", top)
    return schemas.Age(
        years=round(years[0], 2),
        interval=interval_of(years[0], reading.model.card.age_interval),
        pairs=[schemas.AgePair(**pair) for pair in pairs],
        triplets=[schemas.Relation(**triplet) for triplet in triplets],
        region_effects=[schemas.AgeEffect(**region) for region in regions] if regions else None,
    )


def _gender(reading: Reading, top: int | None) -> schemas.Gender:
    label = int(reading.gender[0].argmax())
    probability = reading.gender[:, label].astype(np.float64)
    pairs, triplets, regions = _explained(
        reading.gender_importance, probability[0] - probability[1:], "probability", top
    )
    return schemas.Gender(
        label=GENDERS[label],
        probability=round(probability[0], 4),
        pairs=[schemas.GenderPair(**pair) for pair in pairs],
        triplets=[schemas.Relation(**triplet) for triplet in triplets],
        region_effects=[schemas.GenderEffect(**region) for region in regions] if regions else None,
    )


def interval_of(years: float, interval: AgeInterval | None) -> schemas.AgeInterval | None:
    if interval is None:
        return None
    below, above = (np.interp(years, interval.ages, widths) for widths in (interval.below, interval.above))
    return schemas.AgeInterval(
        low=round(max(0.0, years - float(below)), 2), high=round(years + float(above), 2), coverage=interval.coverage
    )


def _explained(
    importance: NDArray[np.float32], effects: NDArray[np.float64], unit: str, top: int | None
) -> tuple[list[Fields], list[Fields], list[Fields]]:
    """Fields of the pairs, the triplets and the region effects of one trait.

    `effects` holds each region's and then each pair's, in the order of MASKS; it is empty where none were asked for.
    """
    of_regions, of_pairs = np.split(effects, [len(REGIONS)])
    pairs, triplets = ([_relation(relation) for relation in rank(importance, size)[:top]] for size in (2, 3))
    if not effects.size:
        return pairs, triplets, []
    for fields, relation in zip(pairs, rank(importance, 2), strict=False):
        first, second = relation.regions
        both = of_pairs[PAIRS.index((first, second))]
        fields[unit] = round(float(both), 4)
        fields["interaction"] = round(float(both - of_regions[first] - of_regions[second]), 4)
    strongest_first = np.argsort(-np.abs(of_regions), kind="stable")
    regions = [
        {"region": region.name, "anatomical_side": region.anatomical_side, unit: round(float(of_regions[region.id]), 4)}
        for region in (REGIONS[i] for i in strongest_first)
    ]
    return pairs, triplets, regions


def _relation(relation: Relation) -> Fields:
    return {
        "rank": relation.rank,
        "regions": [NAMES[i] for i in relation.regions],
        "importance": round(relation.importance, 6),
    }


def _clip(reading: Seen, unknown: Sequence[str]) -> schemas.Clip:
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
            eye_distance_px=round(reading.eye_distance_px, 1),
        ),
        smile=schemas.Smile(
            onset_s=_rounded(course.onset_s),
            apex_s=_rounded(course.apex_s),
            offset_s=_rounded(course.offset_s),
            amplitude=round(course.amplitude, 3),
        ),
        warnings=[schemas.Warning(code=code, message=message) for code, message in caveats.of(reading, unknown)],
    )


def _picture(picture: Picture) -> schemas.Picture:
    curve = dict(zip(*mouth_curve(picture.times_s, picture.mouth_ratios), strict=True))  # seconds -> ratio
    return schemas.Picture(
        face=data_uri(picture.face),
        face_s=round(picture.face_s, 3),
        times_s=[round(float(seconds), 3) for seconds in picture.times_s],
        mouth_ratios=[round(float(ratio), 4) if np.isfinite(ratio) else None for ratio in picture.mouth_ratios],
        mouth_curve=[round(float(curve[t]), 4) if t in curve else None for t in picture.times_s],
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
