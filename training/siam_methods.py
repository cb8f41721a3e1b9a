"""The networks, frames and clips that the experiments on SIAM need (SPEC B4), and what each is called in predictions.

| method | |
|---|---|
| siam | as published, on everything |
| siam_agnostic, siam_fully_indexed, siam_mediate | the other mechanisms (S Table 1) |
| siam_cnn, siam_rnn, siam_spatial | fewer modules (S Figure 6) |
| siam_onset, siam_apex ... | `siam`, shown only these phases of the test clips (S Table 2) |
| siam_posed | trained and tested on posed clips alone (S Table 4) |
| siam_from_5 ... | trained and tested on the ages of which there are so many clips at least (S Figure 8) |
"""

from collections import Counter
from typing import Any

from networks.siam_config import MECHANISMS, SiamConfig
from training.datasets import Clip
from training.protocol import Sides

SIAM = "siam"
CHANGES: dict[str, dict[str, Any]] = {
    SIAM: {},
    **{f"{SIAM}_{name}": {"mechanism": name} for name in MECHANISMS if name != SiamConfig.mechanism},
    f"{SIAM}_cnn": {"spatial": False, "recurrent": False, "temporal": False},
    f"{SIAM}_rnn": {"spatial": False, "temporal": False},
    f"{SIAM}_spatial": {"temporal": False},
}
"""Method -> what differs from the published network."""
PHASES: dict[str, tuple[str, ...]] = {
    f"{SIAM}_{'_'.join(phases)}": phases
    for phases in (("onset",), ("apex",), ("offset",), ("onset", "apex"), ("apex", "offset"))
}
POSED = f"{SIAM}_posed"
LEAST = (2, 5, 10, 15, 20)
"""Clips of one age, of which the paper says only that SIAM is the better one where there are more than five."""
FROM = {f"{SIAM}_from_{least}": least for least in LEAST}
LEAST_OF = {SIAM: 1, **FROM}
"""Method -> of each of its ages there are so many clips at least (S Figure 8)."""
TRAINED = (*CHANGES, POSED, *FROM)
"""Methods that are runs of their own."""
METHODS = (*CHANGES, *PHASES, POSED, *FROM)

GUESS = "test_mae_of_the_mean_age"
"""Key of a run's provenance: the error in years of always saying the mean age of its training clips."""


def only(method: str, sides: Sides) -> Sides:
    """The clips of one fold that a method is trained and tested on; ages are counted over all sides."""
    counts = Counter(clip.age for side in (sides.training, sides.validation, sides.test) for clip in side)

    def belongs(clip: Clip) -> bool:
        return counts[clip.age] >= FROM.get(method, 0) and (method != POSED or clip.kind == "posed")

    kept = (tuple(filter(belongs, side)) for side in (sides.training, sides.validation, sides.test))
    return Sides(*kept)
