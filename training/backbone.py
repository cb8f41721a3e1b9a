"""Train the paper's ten convolutions for age and gender on aligned stills.

One cycle: the learning rate rises, stays, and falls to zero over most of the run. The crops are smaller at first, since
those cost half and the network is convolutional up to its head. Weights are averaged (exponentially) and the average
is what is released. The run ends after `images` training images or, where `seconds` is given, after so many seconds of
work, whatever the machine makes of them: then its length in images is not fixed, and its log says what was reached.
Seconds that the machine gave to others, or that the run was suspended, do not count.

    runs/backbone/state.pt          everything needed to go on, every five minutes and at the end
    runs/backbone/release/          the folded average (networks.checkpoint), and head.safetensors beside it
    runs/backbone/calibration.npz   aligned training crops for int8 calibration
    runs/backbone/log.jsonl         loss, learning rate, images per second; validation now and then

    python -m training.backbone [--seconds 5400 | --images 400000]     # run again to go on after an interruption
"""

import argparse
import copy
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from networks import checkpoint
from smile import alignment
from training import ROOT, augment, precision, run_record, still_batches, still_head, still_split, stills
from training.backbone_plan import Plan
from training.backbone_run import Run
from training.ending import in_one_line
from training.still_network import HEAD, StillNetwork, expected_age, fold, save_head
from training.whole import whole

RUN = ROOT / "runs/backbone"
DATA = "UTKFace (non-commercial research), age and gender"
CALIBRATION_CROPS = 512
SAVE_EVERY_S = 300.0
RELEASE_EVERY_S = 1800.0


@torch.inference_mode()
def predict(network: nn.Module, crops: NDArray[np.uint8], batch: int = 64) -> tuple[NDArray, NDArray]:
    """(n, S, S, 3) uint8 RGB -> expected age (n,) in years, gender logits (n, 2), both float32."""
    network.eval()
    device = next(network.parameters()).device
    ages, genders = [], []
    for at in range(0, len(crops), batch):
        frames = torch.from_numpy(crops[at : at + batch]).to(device)
        with precision.autocast(device.type):
            age_logits, gender_logits = network(frames)
        ages.append(expected_age(age_logits).cpu().numpy())
        genders.append(gender_logits.float().cpu().numpy())
    return np.concatenate(ages), np.concatenate(genders)


def train(
    data: stills.Stills,
    parts: dict[str, NDArray[np.int64]],
    plan: Plan,
    folder: Path,
    shards: int = 1,
    start: Path | None = None,
) -> Run:
    """Run `plan` from the last state in `folder`; without one, from the weights that `start` holds."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    run = Run.start(plan, device, shards)
    if (folder / "state.pt").exists():
        run.resume(folder / "state.pt")
    elif start is not None:
        if not run.warm_start(start, torch.from_numpy(data.centre(parts["train"][: still_head.WARM_CROPS]))):
            fit_head(run, data, parts)
            run.save(folder / "state.pt")
    age, gender = torch.from_numpy(data.age).to(device), torch.from_numpy(data.gender).to(device)
    step_share = plan.batch / plan.images
    second_share = None if plan.seconds is None else (1 - run.progress) / plan.seconds
    saved = released = last = time.monotonic()
    busy = time.process_time()
    losses: list[float] = []
    supply = still_batches.batches(data, parts["train"], run)
    while run.progress < 1:
        crops, picked = next(supply)
        losses.append(run.step(torch.from_numpy(crops).to(device), age[picked], gender[picked]))
        now, worked = time.monotonic(), (time.process_time() - busy) / shards
        busy += worked * shards
        run.elapsed += now - last
        run.progress += step_share if second_share is None else second_share * worked
        last = now
        if len(losses) == 100:
            note(folder, run, loss=round(float(np.mean(losses)), 4), px=crops.shape[1])
            losses.clear()
        if now - saved > SAVE_EVERY_S or run.progress >= 1:
            run.save(folder / "state.pt")
            saved = now
        if now - released > RELEASE_EVERY_S and run.progress < 1:
            release(run, data, parts, folder)
            released = now
    if _is_released(run, folder):
        print(f"{folder} holds the finished run: {run.seen:,} images")
    else:
        release(run, data, parts, folder)
    return run


def _is_released(run: Run, folder: Path) -> bool:
    """Whether the release in the folder is of the run as it is now."""
    path = folder / "release" / checkpoint.CONFIG
    if not (path.exists() and (folder / "release" / HEAD).exists()):
        return False
    return bool(json.loads(path.read_text())["provenance"]["images_seen"] == run.seen)


def fit_head(run: Run, data: stills.Stills, parts: dict[str, NDArray[np.int64]]) -> None:
    """Give a run that has begun with convolutions alone the head that suits them."""
    head = still_head.fitted(run.network, data, parts["train"], run.plan, run.pool).state_dict()
    run.network.head.load_state_dict(head)
    run.average.head.load_state_dict(head)
    print(json.dumps({"head": "fitted", **validate(run.network, data, parts["validation"])}), flush=True)


def note(folder: Path, run: Run, **values: object) -> None:
    """Add a line to the log and show it."""
    line = {
        "progress": round(run.progress, 4),
        "seen": run.seen,
        "elapsed_s": round(run.elapsed),
        "images_per_s": round(run.seen / max(run.elapsed, 1e-9), 1),
        "rate": round(run.plan.rate * run.plan.schedule(run.progress), 6),
        **values,
    }
    print(json.dumps(line), flush=True)
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def averaged(run: Run, data: stills.Stills, rows: NDArray[np.int64]) -> StillNetwork:
    """The averaged weights with the statistics that they themselves have on augmented crops of the service's size."""
    network = copy.deepcopy(run.average).train()
    for layer in network.layers:
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    device = next(network.parameters()).device
    batch = run.plan.batch
    with ThreadPoolExecutor(1) as pool, torch.no_grad(), precision.autocast(device.type):
        for at in range(0, len(rows), batch):
            seeds = [(run.plan.seed, int(row)) for row in rows[at : at + batch]]
            views = augment.batch(data.crops[rows[at : at + batch]], seeds, alignment.CROP_PX, run.plan.degraded, pool)
            network.map(torch.from_numpy(views).to(device))
    return network.eval()


def validate(network: StillNetwork, data: stills.Stills, rows: NDArray[np.int64]) -> dict[str, float]:
    """Mean absolute error in years and gender accuracy on clean crops."""
    age, gender = predict(network, data.centre(rows))
    return {
        "validation_mae": round(float(np.abs(age - data.age[rows]).mean()), 3),
        "validation_gender": round(float((gender.argmax(axis=1) == data.gender[rows]).mean()), 4),
    }


def release(run: Run, data: stills.Stills, parts: dict[str, NDArray[np.int64]], folder: Path) -> None:
    """Validate and write the folded average with features of unit RMS over training crops, its head, the calibration
    crops."""
    rng = np.random.default_rng(run.plan.seed)
    rows = np.sort(rng.choice(parts["train"], min(CALIBRATION_CROPS, len(parts["train"])), replace=False))
    network = averaged(run, data, rows)
    quality = validate(network, data, parts["validation"])
    note(folder, run, **quality)
    crops = data.centre(rows)
    with whole(folder / "calibration.npz") as file:
        np.savez_compressed(file, frames=crops)
    backbone = fold(network.cpu(), f"{DATA}, {run.begun}")
    with torch.inference_mode():
        squares = [backbone.map(torch.from_numpy(crops[at : at + 1])).square().mean() for at in range(0, len(crops), 4)]
    backbone.feature_scale.copy_(torch.stack(squares).mean().sqrt())
    provenance: dict[str, object] = {
        "data": DATA,
        "begun": run.begun,
        "licence": run.licence,
        "split": still_split.split_id(),
        "plan": asdict(run.plan),
        "images_seen": run.seen,
        "images_seen_before": run.before,
        "progress": round(run.progress, 4),
        "elapsed_s": round(run.elapsed),
        **quality,
    }
    save_head(network.head, folder / "release" / HEAD)
    checkpoint.save(backbone, folder / "release", provenance)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the backbone on the labelled stills; run again to go on.")
    parser.add_argument("--images", type=int, default=Plan.images, help="training images to see in all")
    parser.add_argument(
        "--seconds", type=float, help="processor time of each shard to spend from now on, instead of --images"
    )
    parser.add_argument("--folder", type=Path, default=RUN)
    parser.add_argument(
        "--start",
        type=Path,
        help="begin with other weights: state.pt of a run, or a backbone's checkpoint directory",
    )
    parser.add_argument(
        "--rates",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="of the plan's learning rates: less for a run that begins with weights which are good already",
    )
    parser.add_argument("--px", type=int, help="side of the crops from first to last, instead of growing ones")
    parser.add_argument("--shards", type=int, help="threads that share a batch (default: one a core; a GPU takes one)")
    options = parser.parse_args()
    if options.images < 1:
        parser.error("--images is at least 1")
    shards = options.shards or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    plan = Plan(images=options.images, seconds=options.seconds)
    plan = replace(plan, rate=plan.rate * options.rates, kernel_rate=plan.kernel_rate * options.rates)
    if options.px:
        plan = replace(plan, sizes=((0.0, options.px),))
    with in_one_line(), run_record.held(options.folder):
        data = stills.load()
        train(data, still_split.load_split(data), plan, options.folder, shards, options.start)


if __name__ == "__main__":
    main()
