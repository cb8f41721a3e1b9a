"""How networks are trained: rates, schedule and what the loss asks for. Nothing is published (SPEC C3)."""

from dataclasses import dataclass
from math import cos, inf, pi
from typing import Literal, get_args

Schedule = Literal["plateau", "cosine"]


def check_schedule(name: str) -> None:
    """Raises ValueError."""
    if name not in get_args(Schedule):
        raise ValueError(f"schedule is {name!r}, not one of {', '.join(get_args(Schedule))}")


def check_at_least(settings: object, **least: float) -> None:
    """Raises ValueError for the first field that is less."""
    for name, value in least.items():
        if not getattr(settings, name) >= value:
            raise ValueError(f"{name} is {getattr(settings, name)}, not at least {value}")


def check_above_zero(settings: object, *names: str) -> None:
    """Raises ValueError for the first field that is not."""
    for name in names:
        if not 0 < getattr(settings, name) < inf:
            raise ValueError(f"{name} is {getattr(settings, name)}, not a finite number above 0")


def half_cosine(done: float) -> float:
    """Share of the highest rate once `done` (0-1) of a run is over: 1 at first, 0 at its end."""
    return (1 + cos(pi * done)) / 2


@dataclass(frozen=True)
class Optimisation:
    """Of one trait network; all of it is our choice.

    Attributes:
        rate, weight_decay: of Adam.
        batch: clips in a step, over all processes.
        clip: largest global norm of the gradient.
        plateau, patience: epochs without a better validation after which the rate is halved, and after which it ends.
        schedule: "cosine" lets the rate fall from epoch to epoch along half a cosine that ends with `epochs`, and does
            without `plateau`.
        steadiness: weight of the mean squared distance between the answers to a clip and to an excerpt of it
            (training.batches.excerpts), age in standard deviations, gender in probability; the excerpt is learned from
            as well. 0 leaves excerpts out.
        distillation: share of the target that is the mean over the instants of what the backbone's own head says of
            them (training.still_network.FrameAnswers), and of what is simulated of their mirror images too, instead of
            the label. The backbone knows its training faces, and labels alone teach to rely on that; what is said of
            frames is a function of the features on any face.
            Fc1 then begins with the directions that it looks at (training.frame_directions).
        settled: share of the epochs after which batch normalisation takes its running statistics, as it does in
            answering, instead of those of the batch. Batches are small and of clips of like length: their statistics
            are other ones, and a network that is exact by them is less so by the running ones.
    """

    rate: float = 1e-4
    weight_decay: float = 1e-5
    batch: int = 16
    epochs: int = 100
    clip: float = 5.0
    plateau: int = 5
    patience: int = 15
    schedule: Schedule = "plateau"
    steadiness: float = 0.0
    distillation: float = 0.0
    settled: float = 1.0

    def __post_init__(self) -> None:
        check_schedule(self.schedule)
        check_at_least(self, batch=1, epochs=1, plateau=1, patience=0)
        check_at_least(self, weight_decay=0, steadiness=0, distillation=0, settled=0)
        if self.distillation > 1:
            raise ValueError(f"distillation is {self.distillation}, a share")
        check_above_zero(self, "rate", "clip")
