"""Drawings as compressed archives of arrays."""

import io
from dataclasses import astuple
from typing import Any

import numpy as np

from service.drawing import Drawing, Relations
from service.reading import Picture
from smile.attention import SiamPicture
from smile.course import SmileCourse

COURSE = "course"
RELATIONS, PICTURE, ATTENTION = "relations.", "picture.", "attention."
"""Before the names of what belongs to each."""


def packed(drawing: Drawing) -> bytes:
    arrays = {COURSE: np.array(astuple(drawing.course), np.float64)}  # None becomes nan
    if drawing.relations:
        fields = dict(vars(drawing.relations))
        arrays |= {PICTURE + name: value for name, value in vars(fields.pop("picture")).items()}
        arrays |= {RELATIONS + name: value for name, value in fields.items()}
    if drawing.attention:
        arrays |= {ATTENTION + name: value for name, value in vars(drawing.attention).items()}
    archive = io.BytesIO()
    np.savez_compressed(archive, **arrays)
    return archive.getvalue()


class Outdated(ValueError):
    """An archive of another version of the service: it lacks what is drawn now, or has more."""


def unpacked(archive: bytes) -> Drawing:
    """Inverse of `packed`. Raises Outdated."""
    with np.load(io.BytesIO(archive), allow_pickle=False) as opened:
        kept = dict(opened)

    def of(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): array for name, array in kept.items() if name.startswith(prefix)}

    picture, relations, attention = of(PICTURE), of(RELATIONS), of(ATTENTION)
    try:
        has_smile, onset_s, apex_s, offset_s, baseline, amplitude = kept[COURSE].tolist()
        course = SmileCourse(bool(has_smile), _moment(onset_s), _moment(apex_s), _moment(offset_s), baseline, amplitude)
        if relations:
            picture["face_s"] = float(picture["face_s"])
            relations["picture"] = Picture(**picture)
        return Drawing(
            course, Relations(**relations) if relations else None, SiamPicture(**attention) if attention else None
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Outdated(str(error)) from error


def _moment(seconds: float) -> float | None:
    return None if np.isnan(seconds) else seconds
