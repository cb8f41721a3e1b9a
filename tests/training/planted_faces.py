"""A data set whose cached faces were never filmed: they are brighter with age, and the mouth widens and relaxes."""

import hashlib
from pathlib import Path

import numpy as np

from smile.frontal_shape import SIDE_PX
from training import datasets, siam_faces
from training.datasets import Dataset

RATE_HZ = 8.0


def make(folder: Path, subjects: int = 24, seed: int = 0) -> Dataset:
    """Write clips.csv, clips that are no videos, and a filled cache/."""
    rng = np.random.default_rng(seed)
    store = folder / "cache" / siam_faces.recipe(RATE_HZ)
    store.mkdir(parents=True)
    lines = ["clip,subject,age,gender,kind"]
    for subject in range(subjects):
        age = 10 + 5 * (subject % 12)
        for number in range(2):
            name = f"s{subject:02d}_{number}.mp4"
            content = f"{seed} {name}".encode()
            (folder / name).write_bytes(content)
            kind, gender = ("posed", "spontaneous")[number], ("female", "male")[subject % 2]
            lines.append(f"{name},s{subject},{age},{gender},{kind}")
            times = np.arange(int(rng.integers(20, 26))) / RATE_HZ
            ratios = 0.5 + 0.2 * np.interp(times, [0, 0.5, 1.0, 1.5, 2.0, 9], [0, 0, 1, 1, 0, 0])
            faces = rng.normal(3 * age, 5, (len(times), SIDE_PX, SIDE_PX)).clip(0, 255).astype(np.uint8)
            stem = hashlib.sha256(content).hexdigest()[:32]
            np.savez(store / f"{stem}.npz", faces=faces, times_s=times, mouth_ratios=ratios)
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return datasets.read(folder / "clips.csv")
