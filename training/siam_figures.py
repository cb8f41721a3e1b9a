"""What SIAM looked at in a clip, as pictures: a heat map over the warped face and, unwarped, over the frame; bars.

python -m training.siam_figures --release runs/siam clip.mp4 --out runs/siam/figures
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export import siam
from networks.siam import Siam
from smile.attention import heat, most_attended, over_face, over_frame
from smile.errors import SmileError
from smile.frontal import frontal_faces, smoothed_points
from smile.sequence import Stretch
from smile.video import Video
from training.ending import in_one_line
from training.siam_faces import follow
from training.whole import write_png

BAR_PX = 60


def strip(faces: list[NDArray[np.uint8]], weights: NDArray[np.float32], shown: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Some frames side by side and, under them, the weight of every frame as bars; those shown are dark.

    Args:
        faces: (114, 114, 3) uint8 RGB each.
        weights: (T,) of all frames.
        shown: which of the T frames the faces are, in order.
    """
    row = np.hstack(faces)
    bars = np.full((BAR_PX, row.shape[1], 3), 255, np.uint8)
    edges = np.linspace(0, row.shape[1], len(weights) + 1).round().astype(int)
    heights = (weights / weights.max() * (BAR_PX - 4)).round().astype(int)
    for at, (left, right, height) in enumerate(zip(edges[:-1], edges[1:], heights, strict=True)):
        bars[BAR_PX - height :, left : max(right - 1, left + 1)] = (30, 60, 120) if at in shown else (150, 175, 215)
    return np.vstack([row, bars])


@torch.no_grad()
def attention_of(network: Siam, faces: NDArray[np.uint8], frame_of: NDArray[np.intp]) -> tuple[NDArray, NDArray]:
    """Weight of each frame, (F,), and spatial attention, (F, 10, 10)."""
    appearance, spatial = network.look(torch.from_numpy(faces))
    count = torch.tensor([len(frame_of)])
    estimate = network.remember(appearance[torch.from_numpy(frame_of)][None], count)
    return np.bincount(frame_of, estimate.temporal[0].numpy()).astype(np.float32), spatial.numpy()


def draw(network: Siam, clip: Path, out: Path, frame_rate_hz: float) -> list[Path]:
    """Write strip.png, and face-N.png and frame-N.png of the most attended frames; numbers in attention.npz.

    Args:
        frame_rate_hz: that the network was trained with.

    Returns:
        where the pictures are.
    """
    stretch = follow(clip, frame_rate_hz)
    faces = np.stack(list(frontal_faces(stretch.patches)))
    weights, spatial = attention_of(network, faces, stretch.frame_of)
    times_s = stretch.times_s[np.diff(stretch.frame_of, prepend=-1) > 0]
    shown = most_attended(times_s, weights)
    out.mkdir(parents=True, exist_ok=True)
    np.savez(out / "attention.npz", times_s=times_s, temporal=weights, spatial=spatial)
    heated = [over_face(faces[at], heat(spatial[at])) for at in shown]
    pictures = {"strip": strip(heated, weights, shown)}
    pictures |= {f"face-{at}": face for at, face in zip(shown, heated, strict=True)}
    pictures |= {f"frame-{at}": frame for at, frame in _frames(clip, frame_rate_hz, stretch, spatial, shown)}
    paths = [out / f"{name}.png" for name in pictures]
    for path, picture in zip(paths, pictures.values(), strict=True):
        write_png(path, picture)
    return paths


def _frames(
    clip: Path, frame_rate_hz: float, stretch: Stretch, spatial: NDArray, shown: NDArray[np.intp]
) -> list[tuple[int, NDArray[np.uint8]]]:
    """The original frames that are shown, under their heat; the clip is read again for them."""
    points = smoothed_points(stretch.patches)
    times_s = stretch.times_s[np.diff(stretch.frame_of, prepend=-1) > 0]
    of_time = {float(times_s[at]): int(at) for at in shown}
    with Video(clip, frame_rate_hz=frame_rate_hz) as video:
        return [
            (at, over_frame(sample.rgb, points[at].astype(np.float32), heat(spatial[at])))
            for sample in video.samples()
            if (at := of_time.get(sample.time_s)) is not None
        ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.siam_figures", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--release", type=Path, required=True, help="directory with siam/ and card.json")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    with in_one_line(SmileError):
        release = siam.load(options.release)
        for path in draw(release.network, options.clip, options.out, release.card.frame_rate_hz):
            print(path)


if __name__ == "__main__":
    main()
