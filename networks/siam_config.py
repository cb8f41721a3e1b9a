"""What a Spatially-Indexed Attention Model is made of: the choices of SPEC B2 and the variants of B4."""

from dataclasses import dataclass
from typing import Literal, get_args

from networks.config import WIDTHS, Width, check_rate, check_widths
from smile.tensors import SIAM_FEATURES

Mechanism = Literal["agnostic", "indexed", "mediate", "fully_indexed"]
MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)


@dataclass(frozen=True)
class SiamConfig:
    """Sizes and rates; the defaults are the paper's (SPEC B1).

    Attributes:
        channels: of the three convolutions.
        hidden: width of the first fully connected layer.
        features: n, the width of p_t and of both recurrent layers; the paper tries 128, 256 and 512.
        attention_width: d, of the hidden layer of the spatial attention. That of the temporal attention is n.
        mechanism: which weights of the spatial attention each cell has of its own.
        attention_after: the convolution whose map is attended to: 1, 2 or 3.
        spatial, recurrent, temporal: False leaves a module out (Fig. 6).
        dropout: after both fully connected layers.
        recurrent_dropout: between the recurrent layers and after the last.
    """

    channels: tuple[int, int, int] = (128, 256, 256)
    hidden: int = 4096
    features: int = SIAM_FEATURES
    attention_width: int = 256
    mechanism: Mechanism = "indexed"
    attention_after: int = 2
    spatial: bool = True
    recurrent: bool = True
    temporal: bool = True
    dropout: float = 0.1
    recurrent_dropout: float = 0.1

    def __post_init__(self) -> None:
        for field, allowed in (("mechanism", MECHANISMS), ("attention_after", (1, 2, 3))):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, not one of {', '.join(map(str, allowed))}")
        for field in ("dropout", "recurrent_dropout"):
            check_rate(field, getattr(self, field))
        for field in ("hidden", "features", "attention_width"):
            check_widths(field, (getattr(self, field),), 1)
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON gives lists
        check_widths("channels", self.channels, 3)


def siam_config(width: Width = "paper") -> SiamConfig:
    """`paper` is SPEC B1; `compact` the same structure with narrower convolutions, small enough to be shipped."""
    if width == "paper":
        return SiamConfig()
    if width == "compact":
        return SiamConfig(channels=(32, 64, 64), hidden=192, attention_width=32)
    raise ValueError(f"width is {width!r}, not one of {', '.join(WIDTHS)}")
