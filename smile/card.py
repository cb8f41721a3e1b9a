"""What the weights say about themselves. It travels as JSON inside both graphs and both config.pbtxt files."""

import json
from dataclasses import asdict, dataclass

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
    """

    coverage: float
    ages: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]


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
    """

    name: str
    trained_on: str | None
    licence: str
    frame_rate_hz: float
    age_interval: AgeInterval | None = None
    report: dict[str, object] | None = None

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
            raise ValueError("no card of a network") from error
