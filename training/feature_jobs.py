"""Backbone features of rendered clips and of views of stills, computed in parallel and kept; finished files stay."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from networks import checkpoint
from networks.backbone import Backbone
from training import augment, parallel, precision
from training.corruptions import CORRUPTIONS
from training.sequences import beside
from training.still_network import HEAD, FrameAnswers
from training.whole import whole

BATCH = 8
"""Crops at a time: with 32 the convolutions take 10 to 15 % longer on a CPU, whose cache they leave."""
Views = list[tuple[NDArray[np.uint8], tuple[int, ...]]]
"""Stills with the seed of the view to be made of each."""


class Job(NamedTuple):
    """Features to be computed of a rendered clip, or of views of stills.

    Attributes:
        target: file for the features. exact: in float32 everywhere, instead of in bfloat16 where that is fast.
        corruption: what is done to the crops before the backbone sees them, in training.corruptions.CORRUPTIONS.
        taught: what single frames say is wanted as well (training.sequences.beside).
    """

    source: Path | Views
    target: Path
    exact: bool = False
    corruption: str = ""
    taught: bool = False

    @property
    def is_done(self) -> bool:
        return self.target.exists() and (not self.taught or beside(self.target).exists())


def run(jobs: list[Job], what: str, backbone: Path, processes: int | None) -> None:
    """Do those that are not done; `what` is shown with the progress."""
    waiting = [job for job in jobs if not job.is_done]
    done = len(jobs) - len(waiting)
    for _ in parallel.run_all(_compute, waiting, what, processes, _start, (backbone,), done):
        pass


_networks: dict[bool, Backbone]
_single: FrameAnswers | None


def _start(directory: Path) -> None:
    """The backbone in float32 and in what is fast, on the GPU where there is one."""
    global _networks, _single
    torch.backends.cudnn.allow_tf32 = False  # convolutions of what is exact
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _networks = {exact: checkpoint.load_backbone(directory) for exact in (True, False)}
    for exact, network in _networks.items():
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not exact and precision.has_bfloat16(device.type):
            network.layers.bfloat16()
    _single = FrameAnswers.load(directory) if (directory / HEAD).exists() else None


@torch.inference_mode()
def _through(crops: NDArray[np.uint8], exact: bool) -> NDArray[np.float16]:
    network = _networks[exact]
    device = network.mean.device
    blocks = [torch.from_numpy(crops[at : at + BATCH]).to(device) for at in range(0, len(crops), BATCH)]
    return torch.cat([network(block).cpu() for block in blocks]).numpy()


def _compute(job: Job) -> None:
    crops = _crops(job.source)
    if job.corruption:
        crops = CORRUPTIONS[job.corruption](crops)
    features = _through(crops, job.exact)
    if job.taught:
        assert _single is not None
        mirrored = _through(np.ascontiguousarray(crops[:, :, ::-1]), job.exact)
        _save(beside(job.target), (_single.table(features) + _single.table(mirrored)) / 2)
    _save(job.target, features)


def _crops(source: Path | Views) -> NDArray[np.uint8]:
    """(n, 96, 96, 3) uint8 RGB."""
    if not isinstance(source, Path):
        return np.stack([augment.augment(wide, np.random.default_rng(seed)) for wide, seed in source])
    with np.load(source) as clip:
        return np.asarray(clip["crops"])


def _save(target: Path, values: NDArray) -> None:
    with whole(target) as file:
        np.save(file, values)
