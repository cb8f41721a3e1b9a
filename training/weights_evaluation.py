"""The evaluation of a release: answers kept in files, and the report made of them, with every target hit or missed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networks.network import InterpreterNetwork
from smile.card import Card
from smile.tensors import GENDERS
from training.evaluate_clips import Answers, compare, halves, score, sliced
from training.evaluate_stills import CORRUPTIONS
from training.simulated_features import CORRUPTED, EXACT, SmileFeatures, answer
from training.still_network import FrameAnswers
from training.stills import Stills

SINGLE_FACE = (
    "pyfeat_single_face.mp4",
    "single_face_rot90flag.mp4",
    "single_face_live_vfr_vp8.webm",
    "single_face_mjpeg.avi",
)
"""One smile in four files."""
STILL_CLIPS = 600
"""Stills of the test part that are shown as clips without movement."""
MIN_DECADE = 100
"""Samples of a decade from which on its coverage is judged."""
Report = dict[str, Any]
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
            np.savez(self.folder / f"{part}.npz", rows=rows, **found, **frames)

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
        path.write_text(json.dumps(videos, indent=1) + "\n")

    def report(self, stills: Report | None, size: int, provenance: Report) -> Report:
        """Everything that the model card says.

        Args:
            stills: report of training.evaluate_stills on the test part.
            size: bytes of the repository.
        """
        exact, arrays = self._answers(EXACT), np.load(self.folder / f"{EXACT}.npz")
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

    def list_still_clips(self, rows: NDArray[np.int64], seed: int) -> Path:
        """The file that names STILL_CLIPS of the stills in these rows, drawn by `seed`, in the order drawn."""
        drawn = np.random.default_rng(seed).permutation(np.sort(rows))[:STILL_CLIPS]
        path = self.still_clips.with_suffix(".txt")
        path.write_text("".join(f"{name}\n" for name in self.data.names[drawn]))
        return path

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


def targets(report: Report) -> list[Report]:
    """What was aimed at, what was reached, and whether that is a hit; None where it was not measured."""
    rows: list[Report] = []

    def add(target: str, value: float | None, hit: bool | None) -> None:
        rows.append({"target": target, "value": None if value is None else round(value, 4), "hit": hit})

    def most(target: str, value: float | None, limit: float) -> None:
        add(target, value, None if value is None else bool(value <= limit))

    def least(target: str, value: float | None, limit: float) -> None:
        add(target, value, None if value is None else bool(value >= limit))

    _still_targets(report["stills"], most, least)
    clips = report["clips"]
    shipped, coverage = clips["shipped"], clips["shipped"]["coverage"]["value"]
    most("clips, shipped: MAE at most 5.5 years", shipped["mae"]["value"], 5.5)
    least("clips, shipped: gender accuracy at least 0.92", shipped["gender_accuracy"]["value"], 0.92)
    for name, corrupted in clips["corrupted"].items():
        change = corrupted["minus_clean"]
        most(f"clips, {name}: MAE at most 1.5 years worse", change["mae"]["value"], 1.5)
        least(f"clips, {name}: accuracy at most 4 points worse", change["gender_accuracy"]["value"], -0.04)
    against = clips["float32_minus_mean_of_frames"]
    most("clips: MAE no worse than the mean of single frames (difference, years)", against["mae"]["value"], 0.0)
    least("clips: accuracy no worse than the mean of single frames", against["gender_accuracy"]["value"], 0.0)
    steady = clips["steadiness"]
    most(
        "simulated clips: gap of halves less than half of the wobble of single frames (ratio)",
        steady["gap_of_halves_years"] / max(steady["sd_of_frames_years"], 1e-9),
        0.5,
    )
    most("int8 against float32: MAE at most 0.1 year worse", clips["shipped_minus_float32"]["mae"]["value"], 0.1)
    least(
        "int8 against float32: accuracy at most 0.3 points worse",
        clips["shipped_minus_float32"]["gender_accuracy"]["value"],
        -0.003,
    )
    add("coverage of the 90 % interval within 2 points", coverage, abs(coverage - 0.9) <= 0.02)
    for decade, found in clips["slices"]["decade"].items():
        if found["n"] >= MIN_DECADE:
            value = found["coverage"]["value"]
            add(f"coverage at {decade} within 2 points", value, abs(value - 0.9) <= 0.02)
    still_clips = report["still_clips"]
    most("stills as clips, shipped: MAE at most 5.5 years", still_clips["mae"]["value"], 5.5)
    least("stills as clips, shipped: gender accuracy at least 0.92", still_clips["gender_accuracy"]["value"], 0.92)
    covered = still_clips["coverage"]["value"]
    add("stills as clips: coverage of the 90 % interval within 2 points", covered, abs(covered - 0.9) <= 0.02)
    _video_targets(report["videos"], most, add)
    most("repository under 40 MB", report["repository_bytes"] / 1e6, 40)
    return rows


def _still_targets(stills: Report | None, most: Any, least: Any) -> None:
    names = ("clean", *CORRUPTIONS)
    found: dict[str, Report] = {name: stills[name] for name in names} if stills else {}

    def of(name: str, key: str, minus_clean: bool = False) -> float | None:
        return found[name][key] - (found["clean"][key] if minus_clean else 0.0) if found else None

    most("stills: MAE at most 5.5 years", of("clean", "mae"), 5.5)
    least("stills: gender accuracy at least 0.92", of("clean", "gender_accuracy"), 0.92)
    sexes = [group["gender_accuracy"] for group in stills["slices"]["gender_over_10"].values()] if stills else []
    most("stills: both sexes within 3 points over ten", max(sexes) - min(sexes) if len(sexes) > 1 else None, 0.03)
    for name in CORRUPTIONS:
        most(f"stills, {name}: MAE at most 1.5 years worse", of(name, "mae", True), 1.5)
        least(f"stills, {name}: accuracy at most 4 points worse", of(name, "gender_accuracy", True), -0.04)


def _video_targets(videos: Report | None, most: Any, add: Any) -> None:
    videos = videos or {}
    four = [videos[name] for name in SINGLE_FACE if name in videos]
    whole = len(four) == len(SINGLE_FACE)
    ages = [entry["age"] for entry in four]
    most("single_face in four files: ages within 1 year", max(ages) - min(ages) if whole else None, 1.0)
    genders = {entry["female"] > 0.5 for entry in four}
    add(
        "single_face in four files: one gender",
        float(len(genders)) if whole else None,
        len(genders) == 1 if whole else None,
    )
    for name, entry in videos.items():
        if "halves" in entry:
            gap = abs(entry["halves"][0]["age"] - entry["halves"][1]["age"])
            most(f"{name}: gap of halves over wobble of single frames", gap / max(entry["frames_age"]["sd"], 1e-9), 0.5)
        if "mirrored" in entry:
            most(f"{name}: mirrored within 1 year", abs(entry["mirrored"]["age"] - entry["age"]), 1.0)
            most(f"{name}: at a tenth of the bit rate within 2 years", abs(entry["tenth"]["age"] - entry["age"]), 2.0)


def _of_frames(single: FrameAnswers, regions: NDArray[np.float16]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(T, 9, 2048) features -> (T,) years and (T,) probability of female of single frames."""
    table = single.table(regions).astype(np.float64)
    return table[:, 0], table[:, 1 + GENDERS.index("female")]
