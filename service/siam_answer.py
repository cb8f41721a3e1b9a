"""From SIAM's reading of a clip to its part of the answer."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from service import schemas
from service.backends.base import Model
from service.siam import SiamReading
from smile.attention import SiamPicture
from smile.svg import data_uri


def siam(reading: SiamReading, interval: schemas.AgeInterval | None, top: int | None) -> schemas.Siam:
    """What SIAM says; `top` is how many of the most attended frames show their map, None for all."""
    frames = [schemas.AttendedFrame(**_frame(reading, at)) for at in range(len(reading.times_s))]
    strongest = np.argsort(-reading.temporal, kind="stable")[:top]
    return schemas.Siam(
        age=schemas.SiamAge(years=round(reading.age, 2), interval=interval),
        frames=frames,
        spatial=schemas.SpatialAttention(
            mean=_grid(reading.spatial.mean(axis=0)),
            most_attended=[
                schemas.AttendedFace(**_frame(reading, at), attention=_grid(reading.spatial[at])) for at in strongest
            ],
        ),
        picture=None if reading.picture is None else list(_heated(reading.picture)),
        model=identity(reading.model),
    )


def disagreement(first: schemas.Age, second: schemas.SiamAge, years: float) -> schemas.Disagreement:
    """How far apart the two networks are; `years` is the unrounded difference, the first network less SIAM."""
    overlap = None
    if first.interval and second.interval:
        overlap = first.interval.low <= second.interval.high and second.interval.low <= first.interval.high
    return schemas.Disagreement(years=round(years, 2), intervals_overlap=overlap)


def identity(model: Model) -> schemas.ModelIdentity:
    return schemas.ModelIdentity(
        name=model.card.name, version=model.version, trained_on=model.card.trained_on, fingerprint=model.fingerprint
    )


def _heated(picture: SiamPicture) -> Iterator[schemas.HeatedFace]:
    for at, face, heated in zip(picture.shown.tolist(), picture.faces, picture.heated(), strict=True):
        yield schemas.HeatedFace(
            **_frame(picture, at), face=data_uri(face), heat=data_uri(heated.face), frame=data_uri(heated.frame)
        )


def _frame(reading: SiamReading | SiamPicture, at: int) -> dict[str, float]:
    return {"time_s": round(float(reading.times_s[at]), 3), "weight": round(float(reading.temporal[at]), 6)}


def _grid(attention: NDArray[np.float32]) -> list[list[float]]:
    return [[round(float(cell), 4) for cell in row] for row in attention]
