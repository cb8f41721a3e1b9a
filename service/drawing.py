"""What figures are drawn from: small enough to be kept beside the answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.reading import Picture, Reading, Seen
from smile.attention import SiamPicture
from smile.course import SmileCourse


@dataclass(frozen=True)
class Relations:
    """Of the first network; attributes as of Reading, explained where effects are drawn."""

    age: NDArray[np.float32]
    gender: NDArray[np.float32]
    age_importance: NDArray[np.float32]
    gender_importance: NDArray[np.float32]
    picture: Picture


@dataclass(frozen=True)
class Drawing:
    """`relations` or `attention` is None where that network did not read the clip, or left no picture."""

    course: SmileCourse
    relations: Relations | None
    attention: SiamPicture | None

    @classmethod
    def of(cls, seen: Seen) -> "Drawing":
        relations = None
        if isinstance(seen, Reading) and seen.picture:
            relations = Relations(seen.age, seen.gender, seen.age_importance, seen.gender_importance, seen.picture)
        return cls(seen.course, relations, seen.siam.picture if seen.siam else None)
