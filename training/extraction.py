"""One clip -> aligned faces -> backbone features. All of the code here is part of the key of the features' cache."""

from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from networks import checkpoint
from networks.backbone import Backbone
from smile.faces import FaceReport, align
from smile.sequence import Sequence, Stretch
from smile.tensors import BACKBONE
from smile.video import Video

CROPS = 8
"""Aligned faces kept of each clip, evenly spaced: what `image_cnn` and the figures look at."""
Extract = Callable[[NDArray[np.uint8]], NDArray[np.float16]]


def extract(clip: Path, backbone: Extract, frame_rate_hz: float) -> tuple[Stretch, NDArray[np.uint8]]:
    """One clip by the service's own steps: the longest unbroken stretch, and CROPS of its aligned faces.

    Raises:
        SmileError: as the service would refuse it.
    """
    report, sequence = FaceReport(), Sequence()
    crops: dict[float, NDArray[np.uint8]] = {}
    with Video(clip, frame_rate_hz=frame_rate_hz) as video, closing(align(video.samples(), report)) as faces:
        while block := list(islice(faces, BACKBONE.max_batch)):
            sequence.add(block, backbone(np.stack([face.crop for face in block])))
            crops |= {face.time_s: face.crop for face in block}
    report.check()
    stretch = sequence.longest_stretch(video.info.scale)
    shown = np.linspace(0, stretch.frame_count - 1, CROPS).round().astype(int)
    return stretch, np.stack([crops[time_s] for time_s in stretch.times_s[shown].tolist()])


class Worker:
    """What a process keeps between clips. It multiplies in float32 on a GPU too, where cuDNN would take TF32."""

    def __init__(self, directory: Path, frame_rate_hz: float) -> None:
        self.frame_rate_hz = frame_rate_hz
        torch.backends.cudnn.allow_tf32 = False
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network: Backbone = checkpoint.load_backbone(directory)
        self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def backbone(self, crops: NDArray[np.uint8]) -> NDArray[np.float16]:
        features: NDArray[np.float16] = self.network(torch.from_numpy(crops).to(self.device)).cpu().numpy()
        return features
