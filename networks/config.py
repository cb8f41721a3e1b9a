"""What a trait network is made of. The two widths and the ablations of SPEC A7."""

from dataclasses import dataclass
from typing import Literal, get_args

Trait = Literal["age", "gender"]
Ablation = Literal["full", "no_ri", "no_lf_no_ri", "regional", "holistic", "image_cnn"]
Width = Literal["paper", "compact"]

TRAITS: tuple[Trait, ...] = get_args(Trait)
ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)
WIDTHS: tuple[Width, ...] = get_args(Width)


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes and rates of one trait network; the defaults are the paper's (SPEC A2, dropout rates from P1).

    Attributes:
        trait: age has one output, gender two logits in the order of smile.tensors.GENDERS.
        ablation: see SPEC A7. `image_cnn` looks at single frames and uses the last two sizes alone, the others all but
            those.
        fc1, lstm: width of Fc1 and of both LSTM layers.
        relation: widths of the two layers of g.
        estimator: widths of the two hidden layers of k.
        fc1_activation: the paper names none; a linear Fc1 would fold into the LSTM's input matrix.
        memory: before training the LSTM's units forget over two to so many instants; 0 gives all of them a forget bias
            of 1 (networks.dynamics).
        signed_positions: region centres in [-1, 1] instead of [0, 1].
        frame_channels, frame_hidden: of the convolutions and of the fully connected layers of `image_cnn`.
    """

    trait: Trait
    ablation: Ablation = "full"
    fc1: int = 1024
    lstm: int = 1024
    relation: tuple[int, int] = (4096, 4096)
    estimator: tuple[int, int] = (2048, 1024)
    fc1_activation: Literal["relu", "linear"] = "relu"
    memory: int = 0
    signed_positions: bool = False
    fc1_dropout: float = 0.5
    lstm_dropout: float = 0.2
    relation_dropout: float = 0.3
    estimator_dropout: float = 0.3
    frame_channels: tuple[int, int, int] = (96, 256, 384)
    frame_hidden: int = 512

    def __post_init__(self) -> None:
        for field, allowed in (("trait", TRAITS), ("ablation", ABLATIONS), ("fc1_activation", ("relu", "linear"))):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, not one of {', '.join(allowed)}")
        for field in ("fc1_dropout", "lstm_dropout", "relation_dropout", "estimator_dropout"):
            check_rate(field, getattr(self, field))
        if self.memory and self.memory < 3:
            raise ValueError(f"memory is {self.memory}, neither 0 nor at least 3 instants")
        for field in ("fc1", "lstm", "frame_hidden"):
            check_widths(field, (getattr(self, field),), 1)
        for field, count in (("relation", 2), ("estimator", 2), ("frame_channels", 3)):
            object.__setattr__(self, field, tuple(getattr(self, field)))  # JSON gives lists
            check_widths(field, getattr(self, field), count)

    @property
    def outputs(self) -> int:
        return 1 if self.trait == "age" else 2


def check_rate(field: str, rate: float) -> None:
    """Raises ValueError: no rate of dropout."""
    if not 0 <= rate < 1:
        raise ValueError(f"{field} is {rate!r}, not a rate from 0 to below 1")


def check_widths(field: str, widths: tuple[int, ...], count: int) -> None:
    """Raises ValueError: other than `count` whole numbers above 0."""
    if len(widths) != count or not all(type(width) is int and width > 0 for width in widths):
        asked = "a whole number" if count == 1 else f"{count} whole numbers"
        raise ValueError(f"{field} is {', '.join(map(repr, widths)) or 'empty'}, not {asked} above 0")


def network_config(trait: Trait, width: Width = "paper", ablation: Ablation = "full") -> NetworkConfig:
    """The configuration of one of the two widths: `paper` is SPEC A2, `compact` the same structure, narrower."""
    if width == "paper":
        return NetworkConfig(trait, ablation)
    if width == "compact":
        return NetworkConfig(
            trait,
            ablation,
            fc1=128,
            lstm=128,
            relation=(256, 256),
            estimator=(128, 64),
            frame_channels=(48, 128, 192),
            frame_hidden=256,
        )
    raise ValueError(f"width is {width!r}, not one of {', '.join(WIDTHS)}")
