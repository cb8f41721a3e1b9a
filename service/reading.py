"""What was measured about one clip."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.backends.base import Model
from service.siam import SiamReading
from smile.course import SmileCourse
from smile.decoding import DecodeReport
from smile.faces import FaceReport
from smile.masks import EACH_AND_PAIRS, zero_masks
from smile.video import VideoInfo

MASKS = zero_masks(EACH_AND_PAIRS)
"""(M, 9) region masks of an explained request: nothing zeroed, each region, each pair (SPEC A6)."""


@dataclass(frozen=True)
class Picture:
    """What figures are drawn from, beside the numbers.

    Attributes:
        face: (96, 96, 3) uint8 RGB, the aligned face at `face_s`, turned back where the clip is mirrored.
        face_s: the apex; where the clip does not show one, the moment at which the mouth is widest.
        times_s: (T,) of the instants that the network saw.
        mouth_ratios: (T,) nan where bridged.
    """

    face: NDArray[np.uint8]
    face_s: float
    times_s: NDArray[np.float64]
    mouth_ratios: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was measured about one clip, whichever network reads it.

    Attributes:
        frames_used: length T of the sequence that the network saw, at `frame_rate_hz`.
        followed_throughout: the face was never lost for longer than a bridge.
        eye_distance_px: median distance of the eye centres in that sequence, pixels of the upright frame.
        model: of the network that answers; the first one's where both do.
        seconds: of each stage; stages overlap, so they add up to more than the whole.
        siam: None unless asked for.
    """

    frames_used: int
    frame_rate_hz: float
    followed_throughout: bool
    eye_distance_px: float
    course: SmileCourse
    video: VideoInfo
    decoding: DecodeReport
    faces: FaceReport
    model: Model
    seconds: dict[str, float]
    siam: SiamReading | None = None


@dataclass(frozen=True, kw_only=True)
class Reading(Seen):
    """Everything measured about one clip.

    Attributes:
        age: (M,) float32 years, for the first M rows of MASKS: one, or all where an explanation was asked for.
        gender: (M, 2) float32 probability of each of GENDERS.
        age_importance, gender_importance: (36,) float32, the paper's lambda, in the order of PAIRS.
        picture: None unless asked for.
    """

    age: NDArray[np.float32]
    gender: NDArray[np.float32]
    age_importance: NDArray[np.float32]
    gender_importance: NDArray[np.float32]
    picture: Picture | None = None


def without_picture(seen: Seen) -> Seen:
    """The same for an answer that does not show what figures are drawn from."""
    if seen.siam:
        seen = replace(seen, siam=replace(seen.siam, picture=None))
    return replace(seen, picture=None) if isinstance(seen, Reading) else seen
