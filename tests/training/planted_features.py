"""A data set whose cached features come from no backbone: one region tells the age and another one the gender."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from networks import checkpoint
from networks.backbone import Backbone
from smile.tensors import BACKBONE
from training import datasets, feature_store, protocol
from training.datasets import Dataset

RATE_HZ = 25.0


def make(folder: Path, subjects: int = 60, folds: int = 2, seed: int = 0) -> Dataset:
    """Write clips.csv, clips that are no videos, a random backbone/, a filled cache/ and folds.json."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    checkpoint.save(Backbone(), folder / "backbone")
    store = folder / "cache" / feature_store.recipe_of(folder / "backbone", RATE_HZ).key
    store.mkdir(parents=True)
    lines = ["clip,subject,age,gender,kind"]
    for subject in range(subjects):
        age, female = int(rng.integers(8, 77)), bool(rng.integers(2))
        for number in range(2):
            name = f"s{subject:02d}_{number}.mp4"
            content = f"{seed} {name}".encode()
            (folder / name).write_bytes(content)
            lines.append(f"{name},s{subject},{age},{'female' if female else 'male'},{('posed', 'spontaneous')[number]}")
            stem = store / hashlib.sha256(content).hexdigest()
            count = int(rng.integers(8, 20))
            values = rng.random((count, *BACKBONE.outputs[0].axes[1:]), np.float32)
            values[:, 3] *= age / 20
            values[:, 7] += female
            np.save(stem.with_suffix(".npy"), values.astype(np.float16))
            crops = rng.integers(0, 256, (8, 96, 96, 3), dtype=np.uint8)
            ratios = rng.random(count)
            np.savez(stem.with_suffix(".npz"), times_s=np.arange(count) / RATE_HZ, mouth_ratios=ratios, crops=crops)
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    dataset = datasets.read(folder / "clips.csv")
    protocol.save(protocol.split(dataset, folds), folder / "folds.json")
    return dataset
