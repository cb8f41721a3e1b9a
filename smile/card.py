"""What the weights say about themselves. It travels as JSON inside both graphs and both config.pbtxt files."""

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import isfinite

from smile.sampling import FRAME_RATE_RANGE_HZ

METADATA_CARD = "card"
METADATA_FINGERPRINT = "fingerprint"
"""Keys in the ONNX metadata and in the parameters of config.pbtxt."""


@dataclass(frozen=True)
class AgeInterval:
    """Split-conformal interval around the estimated age.

    Attributes:
        coverage: share of people whose age the interval holds, as calibrated.
        ages: ascending estimated ages in years at which the half widths were calibrated.
        below, above: years to subtract from and to add to the estimate at each of `ages`; linear in between, constant
            outside.

    Raises:
        ValueError: ages that do not ascend, a width that is missing or negative, a coverage that is no share.
    """

    coverage: float
    ages: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.ages) == len(self.below) == len(self.above) > 0:
            raise ValueError(f"{len(self.ages)} ages, {len(self.below)} widths below and {len(self.above)} above")
        if not all(isfinite(number) for number in (*self.ages, *self.below, *self.above)):
            raise ValueError("an age or a width is not finite")
        if any(later <= age for age, later in pairwise(self.ages)):
            raise ValueError("the ages of an interval do not ascend")
        if min(*self.below, *self.above) < 0:
            raise ValueError("a width of an interval is negative")
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage is {self.coverage!r}, not between 0 and 1")


@dataclass(frozen=True)
class Card:
    """Identity and provenance of a released pair of graphs.

    Attributes:
        name: of the network, such as "fdin-compact".
        trained_on: the data in words; None for weights that were never trained.
        licence: of the weights.
        frame_rate_hz: rate of the sampling grid that the network was trained with.
        age_interval: None where no calibration was made.
        report: numbers of the evaluation, free form; shown by GET /model.

    Raises:
        TypeError: a field of another type.
        ValueError: a frame rate that no network is trained with.
    """

    name: str
    trained_on: str | None
    licence: str
    frame_rate_hz: float
    age_interval: AgeInterval | None = None
    report: dict[str, object] | None = None

    def __post_init__(self) -> None:
        if not (
            isinstance(self.name, str) and isinstance(self.licence, str) and isinstance(self.trained_on, str | None)
        ):
            raise TypeError("name, trained_on and licence are words")
        if not isinstance(self.report, dict | None):
            raise TypeError("the report is no object")
        low, high = FRAME_RATE_RANGE_HZ
        if not low <= self.frame_rate_hz <= high:
            raise ValueError(f"frame_rate_hz is {self.frame_rate_hz!r}, not from {low:g} to {high:g}")
        object.__setattr__(self, "frame_rate_hz", float(self.frame_rate_hz))  # 25 has another fingerprint than 25.0

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Inverse of `to_json`. Raises ValueError on anything else."""
        fields = json.loads(text)
        try:
            interval = fields.pop("age_interval")
            if interval is not None:
                interval = AgeInterval(
                    interval["coverage"], tuple(interval["ages"]), tuple(interval["below"]), tuple(interval["above"])
                )
            return cls(age_interval=interval, **fields)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no card of a network: {error}") from error
