"""What a study starts from where nothing is given: simulated clips; for the tiny one, of variants of one portrait."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from networks import checkpoint
from networks.backbone import Backbone
from training import simulate as simulator
from training import stills
from training.portraits import Source
from training.study_plan import Plan
from training.whole import write_png

STILLS = stills.ARCHIVE
HELD_OUT = ("validation", "calibration", "test")
"""Parts of its archive that the shipped backbone was not trained on: features of the others would be too good."""
PORTRAIT_PX = 250
FACE_AT = (222.0, 122.0)
"""(x, y) of the face in the 512x512 astronaut portrait of scikit-image (NASA, public domain)."""
VARIANTS = 6
"""Portraits of each decade and gender."""
DECADES = 8


class NoData(Exception):
    """There is nothing to simulate from."""


def simulate(stills: Path, out: Path, plan: Plan, jobs: int) -> None:
    """Make or finish the simulated set of a plan. Raises NoData."""
    if not stills.exists():
        raise NoData(f"{stills} does not exist: labelled stills are named by --stills or SMILE_STILLS, data by --data")
    arguments = ["--stills", str(stills), "--out", str(out), "--subjects", str(plan.subjects)]
    arguments += ["--clips", str(plan.clips), "--seed", str(plan.seed)]
    if plan.planted and plan.label:
        arguments += ["--planted", ",".join(plan.planted), "--label", plan.label]
    try:
        _, options = simulator.parse([*arguments, *parts_of(stills)])
        simulator.simulate(stills, out, options, jobs)
    except ValueError as error:
        raise NoData(str(error)) from error


def parts_of(stills: Path) -> list[str]:
    """Options that leave out what the shipped backbone has seen, if any of the stills are from its archive.

    Raises:
        ValueError: nothing there is named as a labelled still.
    """
    return ["--parts", *HELD_OUT] if Source(stills).only(HELD_OUT) else []


def portraits(folder: Path, plan: Plan) -> Path:
    """Variants of one portrait under made-up ages and genders: enough for the chain to run, nothing to learn from."""
    import skimage.data

    folder.mkdir(parents=True, exist_ok=True)
    image = skimage.data.astronaut()
    rng = np.random.default_rng(plan.seed)
    for decade in range(DECADES):
        for gender in range(2):
            for number in range(VARIANTS):
                age = max(8, 10 * decade + int(rng.integers(7)))
                path = folder / f"{age}_{gender}_{decade}{number}.png"
                write_png(path, _variant(image, rng))
    return folder


def random_backbone(folder: Path, seed: int) -> Path:
    """A backbone that was never trained; its config says so."""
    if not (folder / checkpoint.CONFIG).exists():
        torch.manual_seed(seed)
        checkpoint.save(Backbone(), folder, {"seed": seed})
    return folder


def _variant(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another position, size, tilt, proportion, side and colour."""
    angle, size = rng.normal(0, 0.12), rng.uniform(0.95, 1.3)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    narrow = np.exp(rng.normal(0, 0.06))
    matrix = size * turn @ np.diag([narrow * rng.choice([-1, 1]), 1 / narrow])
    shift = PORTRAIT_PX / 2 + rng.normal(0, 12, 2) - matrix @ np.array(FACE_AT)
    moved = cv2.warpAffine(
        image,
        np.column_stack([matrix, shift]),
        (PORTRAIT_PX,) * 2,
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.clip(moved * np.exp(rng.normal(0, 0.08, 3)), 0, 255).astype(np.uint8)
