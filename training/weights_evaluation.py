"""The evaluation of a release: answers kept in files, and the report made of them."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from networks.network import InterpreterNetwork
from smile.card import Card
from smile.tensors import GENDERS
from training.corruptions import CORRUPTIONS
from training.evaluate_clips import Answers, compare, halves, score, sliced
from training.simulated_features import CORRUPTED, EXACT, SmileFeatures, answer
from training.still_network import FrameAnswers
from training.stills import Stills
from training.weights_targets import Report, targets
from training.whole import whole, write_text

STILL_CLIPS = 600
"""Stills of the test part that are shown as clips without movement."""
_PARTS = (EXACT, *(CORRUPTED.format(part=EXACT, corruption=name) for name in CORRUPTIONS))


class Evaluation:
    """Files of one evaluation.

    Args:
        card: of the release; its interval is what is evaluated.
    """

    def __init__(self, folder: Path, data: Stills, card: Card) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.data, self.card = folder, data, card
        self.shipped = folder / "shipped.npz"
        self.still_clips = folder / "still_clips.npz"
        self.videos = folder / "videos"

    @property
    def has_exact(self) -> bool:
        return all((self.folder / f"{part}.npz").exists() for part in _PARTS)

    def answer_exactly(
        self,
        features: SmileFeatures,
        age: InterpreterNetwork,
        gender: InterpreterNetwork,
        single: FrameAnswers,
    ) -> None:
        """Write the answers to the test smiles, as they are and corrupted."""
        row_of = {str(key): row for row, key in enumerate(self.data.keys)}
        for part in _PARTS:
            clips = sorted(features.part(part), key=lambda clip: row_of[clip.subject])
            found: dict[str, list[float]] = {name: [] for name in ("age", "female", "age_gap", "frame_gap")}
            frames: dict[str, list[float]] = {name: [] for name in ("frame_age", "frame_female", "frame_sd")}
            for clip in clips:
                regions = np.asarray(features.regions(clip))
                first, last = (regions[half] for half in halves(len(regions)))
                whole_age, first_age, last_age = answer(age, (regions, first, last))
                found["age"].append(whole_age)
                found["female"].append(answer(gender, (regions,))[0])
                found["age_gap"].append(abs(first_age - last_age))
                years, female = _of_frames(single, regions)
                first_half, last_half = (years[half].mean() for half in halves(len(years)))
                found["frame_gap"].append(abs(first_half - last_half))
                frames["frame_age"].append(years.mean())
                frames["frame_female"].append(female.mean())
                frames["frame_sd"].append(years.std())
            rows = np.array([row_of[clip.subject] for clip in clips])
            with whole(self.folder / f"{part}.npz") as file:
                np.savez(file, rows=rows, **found, **frames)

    def wobble(self, single: FrameAnswers) -> None:
        """Add to each video what single frames of it are estimated at: mean, that of either half, and spread."""
        path = self.videos / "videos.json"
        if not path.exists():
            return
        videos = json.loads(path.read_text())
        for name, entry in videos.items():
            years, female = _of_frames(single, np.load(self.videos / "features" / f"{name}.npy"))
            of_halves = [float(years[half].mean()) for half in halves(len(years))]
            entry["frames_age"] = {"mean": float(years.mean()), "sd": float(years.std()), "halves": of_halves}
            entry["frames_female"] = float(female.mean())
        write_text(path, json.dumps(videos, indent=1) + "\n")

    def report(self, stills: Report | None, size: int, provenance: Report) -> Report:
        """Everything that the model card says.

        Args:
            stills: report of training.evaluate_stills on the test part.
            size: bytes of the repository.
        """
        exact = self._answers(EXACT)
        with np.load(self.folder / f"{EXACT}.npz") as found:
            arrays = dict(found)
        frames = Answers(arrays["frame_age"], arrays["frame_female"], arrays["rows"])
        with np.load(self.shipped) as found:
            shipped = Answers(found["age"], found["female"], exact.rows)
        interval = self.card.age_interval
        videos = self.videos / "videos.json"
        found_report: Report = {
            "provenance": provenance,
            "stills": stills,
            "clips": {
                "float32": score(exact, self.data, interval),
                "shipped": score(shipped, self.data, interval),
                "mean_of_frames": score(frames, self.data),
                "shipped_minus_float32": compare(shipped, exact, self.data),
                "float32_minus_mean_of_frames": compare(exact, frames, self.data),
                "steadiness": {
                    "gap_of_halves_years": round(float(arrays["age_gap"].mean()), 3),
                    "gap_of_halves_by_frames_years": round(float(arrays["frame_gap"].mean()), 3),
                    "sd_of_frames_years": round(float(arrays["frame_sd"].mean()), 3),
                },
                "corrupted": {name: self._corrupted(name, exact) for name in CORRUPTIONS},
                "slices": sliced(shipped, self.data, interval),
            },
            "still_clips": self._still_clips(),
            "videos": json.loads(videos.read_text()) if videos.exists() else None,
            "repository_bytes": size,
            "temperature_and_interval": "calibration part",
        }
        return found_report | {"targets": targets(found_report)}

    def _answers(self, part: str) -> Answers:
        with np.load(self.folder / f"{part}.npz") as found:
            return Answers(found["age"], found["female"], found["rows"])

    def _still_clips(self) -> Report:
        """Score of the stills that were answered as clips, by decade as well, and how many were refused, by code."""
        row_of = {str(name): row for row, name in enumerate(self.data.names)}
        rows = np.array([row_of[name] for name in self.still_clips.with_suffix(".txt").read_text().splitlines()])
        with np.load(self.still_clips) as found:
            answers, refused = Answers(found["age"], found["female"], rows), found["refused"]
        answered = answers.picked(refused == "")
        return score(answered, self.data, self.card.age_interval) | {
            "refused": dict(Counter(refused[refused != ""].tolist())),
            "slices": sliced(answered, self.data, self.card.age_interval),
        }

    def _corrupted(self, name: str, clean: Answers) -> Report:
        """Score of the corrupted smiles, and how much worse it is than that of the same smiles clean."""
        answers = self._answers(CORRUPTED.format(part=EXACT, corruption=name))
        same = clean.picked(np.isin(clean.rows, answers.rows))
        return score(answers, self.data, self.card.age_interval) | {"minus_clean": compare(answers, same, self.data)}


def drawn_stills(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """STILL_CLIPS of these rows, in the order drawn."""
    return np.random.default_rng(seed).permutation(np.sort(rows))[:STILL_CLIPS]


def _of_frames(single: FrameAnswers, regions: NDArray[np.float16]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(T, 9, 2048) features -> (T,) years and (T,) probability of female of single frames."""
    table = single.table(regions).astype(np.float64)
    return table[:, 0], table[:, 1 + GENDERS.index("female")]
