"""The accuracy gate: what a lower precision of the frames' graph changes, in the features and in the answers."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.ladder import ExportError
from smile.regions import REGIONS
from smile.tensors import BACKBONE, RELATIONS, SIAM_FRAMES

Found = TypeVar("Found", "Differences", "SiamDifferences")


class AccuracyLost(ExportError):
    """A lower precision changes the answers more than its limits allow."""


@dataclass(frozen=True)
class Differences:
    """Largest differences from float32, or the limits set to them.

    Attributes:
        features: RMS of the difference over RMS of the features.
        years: absolute, of the age.
        probability: absolute, of the gender.
        importance: of any pair's importance, as a share of the largest of the same answer: how much it is absolutely
            depends on how far the network is from weighing all pairs alike.
    """

    features: float
    years: float
    probability: float
    importance: float


LIMITS = {
    "int8": Differences(features=0.08, years=1.0, probability=0.05, importance=0.05),
    "float16": Differences(features=0.005, years=0.1, probability=0.005, importance=0.01),
}
"""Of importances in half precision the worst of 48 clips decides: between 0.0017 and 0.0083 in networks trained alike,
while the median clip stays at 0.0005."""


@dataclass(frozen=True)
class SiamDifferences:
    """The same for SIAM.

    Attributes:
        features: RMS of the difference over RMS of p_t.
        years: absolute, of the age.
        spatial: absolute, of any cell's attention, which is between 0 and 1.
        temporal: of any instant's attention, as a share of what each would have if all had the same.
    """

    features: float
    years: float
    spatial: float
    temporal: float


SIAM_LIMITS = {
    "int8": SiamDifferences(features=0.08, years=1.0, spatial=0.05, temporal=0.05),
    "float16": SiamDifferences(features=0.005, years=0.1, spatial=0.005, temporal=0.005),
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
    gaps = {name: np.abs(answers[0][name] - answers[1][name]) for name in answers[0]}
    shares = [
        gaps[name] / answers[0][name].max(axis=-1, keepdims=True) for name in ("age_importance", "gender_importance")
    ]
    wide = [regions.astype(np.float64) for regions in features]
    return Differences(
        features=float(np.sqrt(np.square(wide[0] - wide[1]).mean() / np.square(wide[0]).mean())),
        years=float(gaps["age"].max()),
        probability=float(gaps["gender"].max()),
        importance=float(np.max(shares)),
    )


def measure_siam(
    exact: ort.InferenceSession,
    lower: ort.InferenceSession,
    sequence: ort.InferenceSession,
    clips: NDArray[np.uint8],
) -> SiamDifferences:
    """Run clips through both graphs of frames and then through the graph of sequences.

    Args:
        clips: (B, T, 114, 114) uint8 grey, warped faces.
    """
    answers = []
    for session in (exact, lower):
        seen = [session.run(None, {SIAM_FRAMES.inputs[0].name: clip}) for clip in clips]
        appearance, spatial = (np.stack(parts) for parts in zip(*seen, strict=True))
        count = np.full(len(clips), clips.shape[1], np.int64)
        age, temporal = sequence.run(None, {"appearance": appearance, "frame_count": count})
        answers.append((appearance.astype(np.float64), age, spatial, temporal * clips.shape[1]))
    features, *gaps = (first - second for first, second in zip(*answers, strict=True))
    rms = float(np.sqrt(np.square(features).mean() / np.square(answers[0][0]).mean()))
    return SiamDifferences(rms, *(float(np.abs(gap).max()) for gap in gaps))


def check(precision: str, found: Found, limits: Mapping[str, Found]) -> None:
    """Raise AccuracyLost if `found` passes any limit of `precision`."""
    for field in fields(found):
        value, limit = getattr(found, field.name), getattr(limits[precision], field.name)
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
