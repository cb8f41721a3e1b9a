"""What released weights are learned from and judged by: stills, the smiles simulated on them, features of both."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.steps import GATE_FRAMES
from training import simulated_clips, simulated_features, still_split, stills
from training.corruptions import CORRUPTIONS
from training.release_parts import CALIBRATION_CLIPS, evenly
from training.simulated_clips import PARTS, Settings
from training.simulated_features import CORRUPTED, EXACT, HELD_OUT, STILL, SmileFeatures
from training.weights_plan import Plan


class Material:
    """Everything is computed where it is asked for and not there yet.

    Args:
        backbone: checkpoint directory.
        archive: zip of the labelled stills.
        processes: one for each core where absent.

    Attributes:
        data: all stills. parts: rows of `data` in each part of the split. settings: of the smiles.
    """

    def __init__(
        self, plan: Plan, backbone: Path, archive: Path = stills.ARCHIVE, processes: int | None = None
    ) -> None:
        self.plan, self.backbone, self.archive = plan, backbone, archive
        self.processes = processes or os.cpu_count() or 1
        self.data = stills.load(archive, processes=self.processes)
        self.parts = still_split.load_split(self.data)
        self.settings = Settings(still_split.split_id(), seed=plan.seed)

    def clips(self, part: str, count: int | None = None) -> dict[int, Path]:
        """Row of each still -> its simulated smile."""
        wanted = self.plan.clips[PARTS.index(part)] if count is None else count
        rows = simulated_clips.order(self.data, self.parts[part], part, self.settings)[:wanted]
        return simulated_clips.prepare(self.archive, self.data, rows, part, self.settings, processes=self.processes)

    def features(self, parts: Sequence[str]) -> SmileFeatures:
        """Of the smiles of some parts: with "train" of the stills too, with the test part of its corrupted smiles."""
        smiles = {part: self.clips(part) for part in parts}
        rows = {}
        if "train" in parts:
            ordered = simulated_clips.order(self.data, self.parts["train"], "train", self.settings)
            rows = {STILL: np.sort(ordered[: self.plan.stills]), HELD_OUT: self.parts["validation"]}
        if EXACT in parts:
            chosen = self.clips(EXACT, self.plan.corrupted)
            smiles |= {CORRUPTED.format(part=EXACT, corruption=name): chosen for name in CORRUPTIONS}
        return simulated_features.prepare(
            self.data,
            smiles,
            rows,
            self.settings,
            self.backbone,
            processes=self.processes,
            views=self.plan.views,
            rounds=self.plan.rounds,
            replays=self.plan.replays,
            others=self.plan.others,
        )

    def calibration_crops(self) -> NDArray[np.uint8]:
        """(n, 96, 96, 3) uint8 RGB, GATE_FRAMES of each of some training clips: the export chooses int8 ranges on every
        second clip and compares precisions on the others (export.calibration.dealt)."""
        crops = []
        for path in list(self.clips("train").values())[: 2 * CALIBRATION_CLIPS]:
            with np.load(path) as clip:
                whole = clip["crops"]
            crops.append(evenly(whole, GATE_FRAMES))
        return np.concatenate(crops)
