"""Score the backbone with its own head on single stills: clean, and corrupted as the augmentation does not.

    python -m training.evaluate_stills                    # the validation part, as often as you like
    python -m training.evaluate_stills --part validation calibration --against runs/other/release
    python -m training.evaluate_stills --part test        # once, when nothing is left to choose

Prints a short table and writes the whole as JSON: mean absolute error with its 95 % interval (normal), gender accuracy
with its 95 % interval (Wilson), by decade, gender, race label of the data set and date, what averaging with the answer
for the mirrored crop would gain, and by how many years ages move on average from those of the clean stills. With
`--against`, the differences to another backbone on the same stills, with intervals: of two that came to 4.65 years on
1,498 stills of the calibration part, one was ahead by 0.18 on the 1,061 of the validation part.
"""

import argparse
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from networks import checkpoint
from networks.backbone import Backbone
from training import evaluate_clips, precision, still_split, stills
from training.backbone import RUN
from training.corruptions import CORRUPTIONS, Images
from training.ending import in_one_line
from training.still_network import HEAD, FrameHead, expected_age, load_head
from training.whole import write_text

Score = dict[str, float | int | list[float]]
Compared = dict[str, dict[str, Any]]
StillAnswers = dict[str, tuple[NDArray, NDArray]]
"""Of n stills by what was done to them: ages (n,) in years, probabilities of (male, female) (n, 2)."""


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


def still_answers(backbone: Backbone, head: FrameHead, crops: Images) -> StillAnswers:
    """To (n, 96, 96, 3) uint8 RGB stills: as they are, mirrored, by the mean of both, and corrupted in every way."""
    found = {"clean": predict(backbone, head, crops)}
    found["mirrored"] = predict(backbone, head, np.ascontiguousarray(crops[:, :, ::-1]))
    age, gender = ((one + other) / 2 for one, other in zip(*found.values(), strict=True))
    found["clean_with_mirror"] = age, gender
    return found | {name: predict(backbone, head, corrupt(crops)) for name, corrupt in CORRUPTIONS.items()}


def evaluate(found: StillAnswers, data: stills.Stills, rows: NDArray[np.int64]) -> dict[str, object]:
    """Everything that this module reports on one backbone's answers to the stills `rows`."""
    truth = data.age[rows], data.gender[rows]
    age, gender = found["clean"]
    report: dict[str, object] = {
        name: score(*answer, *truth) | {"moved": round(float(np.abs(answer[0] - age).mean()), 3)}
        for name, answer in found.items()
    }
    report["slices"] = {
        kind: {
            label: score(age[mask], gender[mask], truth[0][mask], truth[1][mask])
            for label, mask in masks.items()
            if mask.any()
        }
        for kind, masks in stills.slices(data, rows).items()
    }
    return report


def compared(found: StillAnswers, others: StillAnswers, data: stills.Stills, rows: NDArray[np.int64]) -> Compared:
    """Of two backbones, the first minus the second on the same stills, by what was done to them."""

    def answers(given: tuple[NDArray, NDArray]) -> evaluate_clips.Answers:
        return evaluate_clips.Answers(given[0], given[1][:, evaluate_clips.FEMALE], rows)

    return {name: evaluate_clips.compare(answers(found[name]), answers(others[name]), data) for name in found}


def weights_digest(folder: Path) -> str:
    """16 hex digits over the weights of a backbone and of its head: whose report it is."""
    parts = (folder / checkpoint.WEIGHTS, folder / HEAD)
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description="Score the backbone with its own head on single stills.")
    parts = [part for part in still_split.PARTS if part != "train"]
    parser.add_argument("--part", choices=parts, nargs="+", default=["validation"])
    parser.add_argument("--folder", type=Path, default=RUN / "release")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="of another backbone, to compare with")
    parser.add_argument("--limit", type=int, help="look at so many stills of each part only, and write nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with in_one_line():
        data = stills.load()
        networks = [
            (checkpoint.load_backbone(folder), load_head(folder / HEAD))
            for folder in (options.folder, options.against)
            if folder
        ]
        split = still_split.load_split(data)
        rows = np.concatenate([split[part][: options.limit] for part in options.part])
        found, *others = (still_answers(backbone, head, data.centre(rows)) for backbone, head in networks)
    name = "_".join(options.part)
    report: dict[str, Any] = {
        "part": name,
        "split": still_split.split_id(),
        "source": networks[0][0].config.source,
        "weights": weights_digest(options.folder),
        **evaluate(found, data, rows),
    }
    print(*(f"{name:17} {report[name]}" for name in found), sep="\n")
    if others:
        report |= {"other": str(options.against), "minus_other": compared(found, others[0], data, rows)}
        print(f"minus {options.against}:", *(f"{name:17} {report['minus_other'][name]}" for name in found), sep="\n")
    if options.limit is None:
        target = options.folder.parent / f"evaluation_{name}.json"
        write_text(target, json.dumps(report, indent=1) + "\n")
        print(target)


if __name__ == "__main__":
    main()
