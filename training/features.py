"""Clips -> aligned faces -> backbone features, computed once for each clip and kept on disk (training.feature_store).

A finished clip is never computed again; files appear whole or not at all; a run may be interrupted at any point.

    python -m training.features DATA --backbone runs/backbone/release
"""

import argparse
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from smile.errors import SmileError
from smile.sampling import FRAME_RATE_HZ
from training import datasets
from training.accepted import MAX_SKIPPED, add_skipped, check_skipped
from training.datasets import Dataset
from training.ending import in_one_line
from training.extraction import Worker, extract
from training.feature_store import (
    CACHE,
    HASHES,
    FeatureError,
    Features,
    file_digests,
    file_key,
    is_done,
    load,
    recipe_of,
    unreadable,
)
from training.options import count_from, frame_rate_hz
from training.parallel import gpus, run_all
from training.whole import SUFFIX, whole


def prepare(
    dataset: Dataset,
    backbone: Path,
    store: Path = CACHE,
    frame_rate_hz: float = FRAME_RATE_HZ,
    processes: int | None = None,
    accept_skipped: float = MAX_SKIPPED,
) -> Features:
    """Compute what is not there yet, then open it. May be interrupted at any point and run again.

    Raises:
        FeatureError: a larger share of the clips than `accept_skipped` is unreadable, as soon as that is certain, or
            the disk takes no more.
        CheckpointError: `backbone` holds no backbone.
    """
    recipe = recipe_of(backbone, frame_rate_hz)
    folder = store / recipe.key
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(store):
        for partial in folder.glob(f"*{SUFFIX}"):
            partial.unlink()
        digests = file_digests(dataset, store)
        with _whole(store / HASHES) as file:
            file.write(json.dumps(digests).encode())
        of_digest = {digests[file_key(clip.path)][1]: clip for clip in dataset.clips}
        waiting = [(clip.path, folder / digest) for digest, clip in of_digest.items() if not is_done(folder / digest)]
        done = len(of_digest) - len(waiting)
        of_name = {clip.name: digests[file_key(clip.path)][1] for clip in dataset.clips}
        check_skipped(unreadable(dataset, folder, of_name), len(dataset.clips), accept_skipped)
        given = (backbone, frame_rate_hz)
        for was_read in run_all(_work, waiting, "features", processes, _start, given, done, gpus()):
            if not was_read:
                check_skipped(unreadable(dataset, folder, of_name), len(dataset.clips), accept_skipped)
    return load(dataset, backbone, store, frame_rate_hz)


_worker: Worker


def _start(directory: Path, frame_rate_hz: float) -> None:
    global _worker
    with open(os.devnull, "w") as nowhere:  # mediapipe logs four lines for each clip; exceptions travel another way
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    _worker = Worker(directory, frame_rate_hz)


def _work(job: tuple[Path, Path]) -> bool:
    """Whether the clip could be read."""
    clip, stem = job
    try:
        stretch, crops = extract(clip, _worker.backbone, _worker.frame_rate_hz)
    except SmileError as error:
        with _whole(stem.with_suffix(".json")) as file:
            file.write(json.dumps({"code": error.code, "message": str(error), "clip": clip.name}).encode())
        return False
    except OSError as error:
        raise FeatureError(f"{clip} cannot be read ({error}). What is finished is kept: run again") from error
    with _whole(stem.with_suffix(".npy")) as file:
        np.save(file, stretch.features)
    with _whole(stem.with_suffix(".npz")) as file:
        np.savez(file, times_s=stretch.times_s, mouth_ratios=stretch.mouth_ratios, crops=crops)
    return True


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """`whole`; raises FeatureError where the file cannot be written."""
    try:
        with whole(path) as file:
            yield file
    except OSError as error:
        free = shutil.disk_usage(path.parent).free / 2**20
        raise FeatureError(
            f"{path} cannot be written ({error.strerror or error}); {free:.0f} MiB are free. What is finished is kept: "
            "make room and run again"
        ) from error


@contextmanager
def _locked(store: Path) -> Iterator[None]:
    """One process at a time fills a cache; the others wait."""
    with open(store / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.features", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of UvA-NEMO, or a manifest")
    parser.add_argument("--backbone", type=Path, required=True, help="checkpoint directory")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--frame-rate", type=frame_rate_hz, default=FRAME_RATE_HZ, help="Hz of the sampling grid")
    parser.add_argument("--processes", type=count_from(1), help="default: one for each GPU, or for each core")
    add_skipped(parser)
    options = parser.parse_args(arguments)
    with in_one_line(FeatureError):
        dataset = datasets.read(options.data)
        places = options.backbone, options.cache
        found = prepare(dataset, *places, options.frame_rate, options.processes, options.accept_skipped)
    instants = sum(found.frame_counts.values())
    print(f"{found.dataset.name}: {len(found.dataset.clips)} clips, {instants} instants, in {found.folder}")
    for name, why in found.skipped.items():
        print(f"  skipped {name}: {why}")


if __name__ == "__main__":
    main()
