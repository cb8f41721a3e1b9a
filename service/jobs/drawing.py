"""What figures are drawn from, small enough to be kept beside the prediction."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.reading import Picture, Reading
from smile.course import SmileCourse, smile_course


@dataclass(frozen=True)
class Drawing:
    """The attributes of a Reading that `service.figure.drawn` looks at."""

    age: NDArray[np.float32]
    gender: NDArray[np.float32]
    age_importance: NDArray[np.float32]
    gender_importance: NDArray[np.float32]
    course: SmileCourse
    picture: Picture | None


def packed(reading: Reading) -> bytes:
    """A reading with its picture as a compressed archive of arrays."""
    picture = reading.picture
    assert picture is not None
    archive = io.BytesIO()
    np.savez_compressed(
        archive,
        age=reading.age,
        gender=reading.gender,
        age_importance=reading.age_importance,
        gender_importance=reading.gender_importance,
        face=picture.face,
        face_s=picture.face_s,
        times_s=picture.times_s,
        mouth_ratios=picture.mouth_ratios,
    )
    return archive.getvalue()


def unpacked(archive: bytes) -> Drawing:
    with np.load(io.BytesIO(archive), allow_pickle=False) as kept:
        picture = Picture(kept["face"], float(kept["face_s"]), kept["times_s"], kept["mouth_ratios"])
        return Drawing(
            age=kept["age"],
            gender=kept["gender"],
            age_importance=kept["age_importance"],
            gender_importance=kept["gender_importance"],
            course=smile_course(picture.times_s, picture.mouth_ratios),
            picture=picture,
        )
