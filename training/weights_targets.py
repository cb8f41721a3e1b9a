"""What released weights are to reach, and whether the report of their evaluation says that they do."""

from typing import Any

from scipy.stats import binomtest

from training.corruptions import CORRUPTIONS

SINGLE_FACE = (
    "pyfeat_single_face.mp4",
    "single_face_rot90flag.mp4",
    "single_face_live_vfr_vp8.webm",
    "single_face_mjpeg.avi",
)
"""One smile in four files."""
MIN_DECADE = 100
"""Samples of a decade from which on its coverage is to be within 2 points; ..."""
MIN_JUDGED = 20
"""... from which on 90 % is to lie in the exact 95 % interval of its coverage."""
COVERAGE = 0.9
Report = dict[str, Any]


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
    shipped = clips["shipped"]
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
    _coverage_targets("clips", clips["shipped"], clips["slices"]["decade"], add)
    still_clips = report["still_clips"]
    most("stills as clips, shipped: MAE at most 5.5 years", still_clips["mae"]["value"], 5.5)
    least("stills as clips, shipped: gender accuracy at least 0.92", still_clips["gender_accuracy"]["value"], 0.92)
    _coverage_targets("stills as clips", still_clips, still_clips["slices"]["decade"], add)
    _video_targets(report["videos"], most, add)
    most("repository under 40 MB", report["repository_bytes"] / 1e6, 40)
    return rows


def _coverage_targets(what: str, whole: Report, decades: Report, add: Any) -> None:
    covered = whole["coverage"]["value"]
    add(f"{what}: coverage of the 90 % interval within 2 points", covered, abs(covered - COVERAGE) <= 0.02)
    for decade, found in decades.items():
        value = found["coverage"]["value"]
        if found["n"] >= MIN_DECADE:
            add(f"{what}: coverage at {decade} within 2 points", value, abs(value - COVERAGE) <= 0.02)
        elif found["n"] >= MIN_JUDGED:
            low, high = binomtest(round(value * found["n"]), found["n"]).proportion_ci()
            target = f"{what}: 90 % in the interval of the coverage at {decade} ({low:.2f} to {high:.2f})"
            add(target, value, bool(low <= COVERAGE <= high))


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
