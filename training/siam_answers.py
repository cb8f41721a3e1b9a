"""What a trained SIAM says about clips, whole or a phase of them, as per-clip predictions (training.predictions)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from networks.siam import Siam
from smile.course import smile_course
from training.predictions import Prediction
from training.siam_faces import FaceClips
from training.siam_methods import PHASES


def predict(network: Siam, clips: FaceClips, fold: int, method: str) -> list[Prediction]:
    """Answers for the whole clips.

    Args:
        network: in evaluation mode.
        fold: of which these clips are the test side.
    """
    return _answers(network, clips, fold, method, None)


def predict_phases(network: Siam, clips: FaceClips, fold: int) -> list[Prediction]:
    """Answers for each combination of phases; clips in which one of its phases was not seen are left out."""
    return [item for method, phases in PHASES.items() for item in _answers(network, clips, fold, method, phases)]


def instants_of(
    phases: Sequence[str], times_s: NDArray[np.float64], mouth_ratios: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Which instants of a clip lie in these phases of its largest smile; none where a phase is not seen.

    The onset lasts until the apex is reached, the apex until the mouth relaxes; the rest of the clip is the offset.
    """
    smile = smile_course(times_s, mouth_ratios)
    begins = {"onset": smile.onset_s, "apex": smile.apex_s, "offset": smile.offset_s}
    ends = {"onset": smile.apex_s, "apex": smile.offset_s, "offset": np.inf}
    shown = np.zeros(len(times_s), bool)
    for phase in phases:
        first, end = begins[phase], ends[phase]
        if first is None or end is None:
            return np.empty(0, np.intp)
        shown |= (times_s > first if phase == "offset" else times_s >= first) & (times_s < end)
        if phase == "apex":
            shown |= times_s == end
    return np.flatnonzero(shown)


@torch.inference_mode()
def _answers(network: Siam, clips: FaceClips, fold: int, method: str, phases: Sequence[str] | None) -> list[Prediction]:
    found = []
    for row, clip in enumerate(clips.clips):
        faces, _ = clips[row]
        if phases is not None:
            faces = faces[instants_of(phases, *clips.track(row))]
        if not len(faces):
            continue
        estimate, _ = network(faces[None], torch.tensor([len(faces)]))
        years = float(network.answer(estimate.output))
        labels = (clip.name, clip.subject, clip.age, clip.gender, clip.kind)
        found.append(Prediction(*labels, fold, "age", method, years))
    return found
