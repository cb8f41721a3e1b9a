"""What SIAM's released weights are worth: its answers, and the numbers of its section in the model card."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from networks.siam import Siam
from smile.card import AgeInterval
from training.evaluate_clips import Answers, compare, score, sliced
from training.siam_batches import smile_faces
from training.stills import Stills

Report = dict[str, Any]


def scores(
    exact: Answers, shipped: Answers, first: Answers, stills: Answers, data: Stills, interval: AgeInterval | None
) -> dict[str, Report]:
    """Errors and coverage of SIAM's answers in float32 and as shipped; less those of the first network; and of what is
    shipped to stills as clips."""
    slices = sliced(shipped, data, interval)
    return {
        "float32": _without_gender(score(exact, data, interval)),
        "shipped": _without_gender(score(shipped, data, interval)),
        "shipped_minus_float32": _without_gender(compare(shipped, exact, data)),
        "minus_first_network": _without_gender(compare(exact, first, data)),
        "still_clips": _without_gender(score(stills, data, interval)),
        "slices": {
            kind: {name: _without_gender(found) for name, found in slices[kind].items()}
            for kind in ("decade", "gender", "race_label")
        },
    }


@torch.inference_mode()
def answer(network: Siam, clips: Iterable[Path]) -> NDArray[np.float64]:
    """Years of each simulated smile, in float32."""
    years = []
    for path in clips:
        faces = torch.from_numpy(smile_faces(path))
        estimate, _ = network(faces[None], torch.tensor([len(faces)]))
        years.append(float(network.answer(estimate.output)))
    return np.array(years)


def of_age(age: NDArray[np.float64], rows: NDArray[np.int64]) -> Answers:
    """Answers of a network that has none about gender."""
    return Answers(age, np.full(len(age), np.nan), rows)


def _without_gender(found: Report) -> Report:
    return {name: value for name, value in found.items() if name != "gender_accuracy"}
