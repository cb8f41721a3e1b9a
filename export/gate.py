"""The accuracy gate: what a lower precision of the backbone changes, in the features and in the final answers."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.ladder import ExportError
from smile.regions import REGIONS
from smile.tensors import BACKBONE, RELATIONS


class AccuracyLost(ExportError):
    """A lower precision changes the answers more than its limits allow."""


@dataclass(frozen=True)
class Differences:
    """Largest differences from float32, or the limits set to them.

    Attributes:
        features: RMS of the difference over RMS of the features.
        years: absolute, of the age.
        probability: absolute, of the gender.
        importance: absolute, of any pair's importance.
    """

    features: float
    years: float
    probability: float
    importance: float


LIMITS = {
    "int8": Differences(features=0.08, years=1.0, probability=0.05, importance=0.005),
    "float16": Differences(features=0.005, years=0.1, probability=0.005, importance=0.0005),
}


def measure(
    exact: ort.InferenceSession,
    lower: ort.InferenceSession,
    relations: ort.InferenceSession,
    clips: NDArray[np.uint8],
) -> Differences:
    """Run clips through both backbones and then through the relations graph.

    Args:
        clips: (B, T, 96, 96, 3) uint8 RGB.
    """
    features = [_features(session, clips) for session in (exact, lower)]
    answers = [_answers(relations, regions) for regions in features]
    gaps = {name: float(np.abs(answers[0][name] - answers[1][name]).max()) for name in answers[0]}
    wide = [regions.astype(np.float64) for regions in features]
    return Differences(
        features=float(np.sqrt(np.square(wide[0] - wide[1]).mean() / np.square(wide[0]).mean())),
        years=gaps["age"],
        probability=gaps["gender"],
        importance=max(gaps["age_importance"], gaps["gender_importance"]),
    )


def check(precision: str, found: Differences) -> None:
    """Raise AccuracyLost if `found` passes any limit of `precision`."""
    for field in fields(Differences):
        value, limit = getattr(found, field.name), getattr(LIMITS[precision], field.name)
        if not value <= limit:
            raise AccuracyLost(f"{precision}: {field.name} differ by {value:.3g}, more than {limit:g}")


def _features(session: ort.InferenceSession, clips: NDArray[np.uint8]) -> NDArray[np.float16]:
    name = BACKBONE.inputs[0].name
    return np.stack([session.run(None, {name: clip})[0] for clip in clips])


def _answers(session: ort.InferenceSession, regions: NDArray[np.float16]) -> Mapping[str, NDArray[np.float32]]:
    batch, frames = regions.shape[:2]
    feeds = {
        "regions": regions,
        "frame_count": np.full(batch, frames, np.int64),
        "region_mask": np.ones((batch, 1, len(REGIONS)), np.float32),
    }
    return dict(zip((tensor.name for tensor in RELATIONS.outputs), session.run(None, feeds), strict=True))
