"""Score the backbone with its own head on single stills: clean, and corrupted as the augmentation does not.

    python -m training.evaluate_stills                    # the validation part, as often as you like
    python -m training.evaluate_stills --part test        # once, when nothing is left to choose

Prints a short table and writes the whole as JSON: mean absolute error with its 95 % interval (normal), gender accuracy
with its 95 % interval (Wilson), by decade, gender, race label of the data set and date, and what averaging with the
answer for the mirrored crop would gain.
"""

import argparse
import io
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from networks import checkpoint
from networks.backbone import Backbone
from smile import alignment
from smile.tensors import GENDERS
from training import precision, still_split, stills
from training.backbone import RUN
from training.still_network import HEAD, FrameHead, expected_age, load_head

Images = NDArray[np.uint8]
Score = dict[str, float | int | list[float]]
SMALL_PX = 60
DARKENING = 0.2
DISC_RADIUS_PX = 2.2
QUANTISER = 40
TURN_DEGREES, CAMERA = 40.0, 5.0
"""Yaw, and distance of the camera in distances of the eyes."""


def blurred(crops: Images) -> Images:
    """Out of focus: an even disc, not the augmentation's Gaussian or line."""
    reach = int(np.ceil(DISC_RADIUS_PX))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(DISC_RADIUS_PX + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    spread = disc / disc.sum()
    out = [np.asarray(cv2.filter2D(crop, -1, spread, borderType=cv2.BORDER_REFLECT), np.uint8) for crop in crops]
    return np.stack(out)


def recompressed(crops: Images) -> Images:
    """Intra-coded H.264 at a coarse quantiser, not the augmentation's JPEG."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "1", "qp": str(QUANTISER), "preset": "fast"})
        stream.height, stream.width, stream.pix_fmt = crops.shape[1], crops.shape[2], "yuv420p"
        for crop in crops:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(crop, format="rgb24")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as coded:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in coded.decode(video=0)])


def darkened(crops: Images) -> Images:
    """A fifth of the light and the shot noise that comes with it, not the augmentation's even Gaussian noise."""
    rng = np.random.default_rng(0)
    electrons = crops.astype(np.float32) * DARKENING * 2
    return np.clip(rng.poisson(electrons) / 2, 0, 255).astype(np.uint8)


def small(crops: Images) -> Images:
    """A face 60 px wide, sampled without prefilter and enlarged by Lanczos, which the augmentation never uses."""
    side = crops.shape[1]
    return np.stack(
        [
            cv2.resize(
                cv2.resize(crop, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_CUBIC),
                (side, side),
                interpolation=cv2.INTER_LANCZOS4,
            )
            for crop in crops
        ]
    )


def turned(crops: Images) -> Images:
    """Seen from the side and aligned by the eyes again, which makes it larger: a plane in perspective, not the
    augmentation's head without one."""
    yaw, unit = np.deg2rad(TURN_DEGREES), alignment.EYE_DISTANCE_PX
    left = np.array(alignment.LEFT_EYE_PX)
    to_plane = np.array([[1 / unit, 0, -left[0] / unit - 0.5], [0, 1 / unit, -left[1] / unit], [0, 0, 1]])
    seen = np.array([[np.cos(yaw), 0, 0], [0, 1, 0], [np.sin(yaw) / CAMERA, 0, 1]])
    eyes = [point[:2] / point[2] for point in (seen @ (x, 0, 1) for x in (-0.5, 0.5))]
    back = np.vstack([alignment.similarity(*eyes), (0, 0, 1)])
    centres = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # cv2 counts from pixel centres
    whole = np.linalg.inv(centres) @ back @ seen @ to_plane @ centres
    return np.stack(
        [
            np.asarray(cv2.warpPerspective(crop, whole, crop.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)
            for crop in crops
        ]
    )


CORRUPTIONS: dict[str, Callable[[Images], Images]] = {
    "blurred": blurred,
    "recompressed": recompressed,
    "darkened": darkened,
    "small": small,
    "turned": turned,
}


def predict(backbone: Backbone, head: FrameHead, crops: Images, batch: int = 32) -> tuple[NDArray, NDArray]:
    """(n, 96, 96, 3) uint8 RGB -> age in years (n,), probability of (male, female) (n, 2)."""
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def answer(part: Images) -> tuple[NDArray, NDArray]:
        with precision.autocast("cpu"):
            maps = backbone.map(torch.from_numpy(part))
        age_logits, gender_logits = head(maps.float())
        return expected_age(age_logits).numpy(), gender_logits.softmax(dim=1).numpy()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = list(pool.map(answer, (crops[at : at + batch] for at in range(0, len(crops), batch))))
    ages, genders = zip(*answers, strict=True)
    return np.concatenate(ages), np.concatenate(genders)


def score(age: NDArray, gender: NDArray, true_age: NDArray, true_gender: NDArray) -> Score:
    """Of n stills: MAE and bias in years, gender accuracy, both with 95 % intervals."""
    errors = age - true_age
    right = gender.argmax(axis=1) == true_gender
    count = len(errors)
    mae, accuracy = float(np.abs(errors).mean()), float(right.mean())
    reach = 1.96 * float(np.abs(errors).std(ddof=1)) / count**0.5 if count > 1 else float("nan")
    return {
        "n": count,
        "mae": round(mae, 3),
        "mae_interval": [round(mae - reach, 3), round(mae + reach, 3)],
        "bias": round(float(errors.mean()), 3),
        "gender_accuracy": round(accuracy, 4),
        "gender_interval": [round(bound, 4) for bound in wilson(int(right.sum()), count)],
    }


def wilson(successes: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion."""
    share = successes / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return middle - reach, middle + reach


def slices(data: stills.Stills, rows: NDArray[np.int64]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Masks over `rows`: by decade (90 and over together), gender, gender over ten, race label, capture date."""
    age, gender, race, date = data.age[rows], data.gender[rows], data.race[rows], data.date[rows]
    decade = np.minimum(age // 10, 9).astype(int)
    late = np.median(data.date)
    return {
        "decade": {f"{10 * d}-{10 * d + 9}" if d < 9 else "90+": decade == d for d in np.unique(decade)},
        "gender": {name: gender == code for code, name in enumerate(GENDERS)},
        "gender_over_10": {name: (gender == code) & (age > 10) for code, name in enumerate(GENDERS)},
        "race_label": {name: race == code for code, name in enumerate(stills.RACES)},
        "date": {"earlier": date < late, "later": date >= late},
    }


def evaluate(backbone: Backbone, head: FrameHead, data: stills.Stills, rows: NDArray[np.int64]) -> dict[str, object]:
    """Everything that this module reports on the stills `rows`."""
    crops = data.centre(rows)
    truth = data.age[rows], data.gender[rows]
    report: dict[str, object] = {"split": still_split.split_id(), "source": backbone.config.source}
    age, gender = predict(backbone, head, crops)
    mirrored_age, mirrored_gender = predict(backbone, head, np.ascontiguousarray(crops[:, :, ::-1]))
    report["clean"] = score(age, gender, *truth)
    report["clean_with_mirror"] = score((age + mirrored_age) / 2, (gender + mirrored_gender) / 2, *truth)
    report["mirror_difference_years"] = round(float(np.abs(age - mirrored_age).mean()), 3)
    for name, corrupt in CORRUPTIONS.items():
        report[name] = score(*predict(backbone, head, corrupt(crops)), *truth)
    report["slices"] = {
        kind: {
            label: score(age[mask], gender[mask], truth[0][mask], truth[1][mask])
            for label, mask in masks.items()
            if mask.any()
        }
        for kind, masks in slices(data, rows).items()
    }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description="Score the backbone with its own head on single stills.")
    parser.add_argument("--part", choices=[part for part in still_split.PARTS if part != "train"], default="validation")
    parser.add_argument("--folder", type=Path, default=RUN / "release")
    parser.add_argument("--limit", type=int, help="look at so many stills only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = stills.load()
    rows = still_split.load_split(data)[options.part][: options.limit]
    backbone = checkpoint.load_backbone(options.folder)
    report = {"part": options.part, **evaluate(backbone, load_head(options.folder / HEAD), data, rows)}
    target = options.folder.parent / f"evaluation_{options.part}.json"
    target.write_text(json.dumps(report, indent=1) + "\n")
    print(*(f"{name:17} {report[name]}" for name in ("clean", "clean_with_mirror", *CORRUPTIONS)), target, sep="\n")


if __name__ == "__main__":
    main()
