"""The obvious way, for comparison: every frame in memory, one loop, torch eager fp32, one frame at a time."""

from pathlib import Path

import av
import numpy as np
import torch
from mediapipe.python.solutions.face_mesh import FaceMesh

from networks.backbone import Backbone
from networks.config import network_config
from networks.network import build
from smile.alignment import similarity, warp
from smile.sampling import FRAME_RATE_HZ

EYES = ((33, 133), (362, 263))


@torch.inference_mode()
def read(clip: Path, backbone: Backbone, networks: list[torch.nn.Module]) -> int:
    """Read one clip, at the same instants as the service; returns the frames decoded."""
    with av.open(clip) as container:
        rate = float(container.streams.video[0].average_rate or FRAME_RATE_HZ)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    used = [frames[i] for i in np.unique((np.arange(0, len(frames), rate / FRAME_RATE_HZ)).astype(int))]
    features = []
    with FaceMesh(max_num_faces=1) as mesh:
        for frame in used:
            found = mesh.process(frame).multi_face_landmarks
            if not found:
                continue
            size = np.array(frame.shape[1::-1])
            left, right = (
                np.mean([(found[0].landmark[i].x, found[0].landmark[i].y) for i in eye], axis=0) * size for eye in EYES
            )
            crop = warp(frame, similarity(left, right))
            features.append(backbone(torch.from_numpy(crop)[None]))
    regions = torch.cat(features)[None]
    count, mask = torch.tensor([regions.shape[1]]), torch.ones(1, 1, regions.shape[2])
    for network in networks:
        network(regions, count, mask)
    return len(frames)


def networks() -> tuple[Backbone, list[torch.nn.Module]]:
    """Backbone and both compact heads, seeded, untrained: the time does not depend on the weights."""
    torch.manual_seed(0)
    heads: list[torch.nn.Module] = [build(network_config(trait, "compact")).eval() for trait in ("age", "gender")]
    return Backbone().eval(), heads
