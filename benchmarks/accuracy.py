"""What the shipped graphs answer, by the service's own pipeline, written down for training.weights to judge.

python -m benchmarks.accuracy crops --repository R --list FILE --out answers.npz
    aligned faces of clips (one .npz a line, in FILE) -> age (n,), and of the first network female (n,)
python -m benchmarks.accuracy videos --repository R --videos DIR --out videos/
    video files -> videos.json: each whole, its overlapping halves; short ones mirrored and at a tenth of the bits;
    and features/<name>.npy (T, 9, 2048), for estimates of single frames
"""

import argparse
import asyncio
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks import copies
from service.backends.base import Arrays, Backend, Model, Network
from service.backends.inprocess import InProcessBackend
from service.pipeline import Pipeline
from service.reading import MASKS
from service.settings import available_cores
from smile.decoding import Limits
from smile.errors import SmileError
from smile.regions import REGIONS
from smile.sampling import MIN_SAMPLES
from smile.sequence import padded
from smile.tensors import BACKBONE, GENDERS, RELATIONS, SIAM_FRAMES, SIAM_SEQUENCE, Graph, blocks
from training.whole import whole, write_text

FEMALE = GENDERS.index("female")
HALF = 0.6
"""Length of the first and of the last part of a clip that are compared."""
LEAST = 2 * MIN_SAMPLES
"""Shorter sequences have no halves worth the name."""
SHORT = 128
"""Instants of the longest clips that are also sent mirrored and at a tenth of their bit rate: three times the work."""
LONGEST_S = 12.0
"""Longer videos are left out: they are no smile clips."""


class Recorder:
    """A backend that keeps the last features that the relations were asked about."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.regions: NDArray[np.float16] = np.zeros((0, len(REGIONS), 0), np.float16)

    async def run(self, graph: Graph, inputs: Arrays) -> Arrays:
        if graph is RELATIONS:
            self.regions = inputs["regions"][0, : int(inputs["frame_count"][0])]
        return await self._backend.run(graph, inputs)

    async def model(self, network: Network = "fdin") -> Model:
        return await self._backend.model(network)

    async def ready(self) -> None:
        await self._backend.ready()

    async def close(self) -> None:
        await self._backend.close()


async def relate(backend: Backend, regions: NDArray[np.float16]) -> dict[str, float]:
    """Years and probability of female of one sequence (T, 9, 2048)."""
    feeds = {"regions": padded(regions), "frame_count": np.array([len(regions)]), "region_mask": MASKS[None, :1]}
    found = await backend.run(RELATIONS, feeds)
    return {"age": float(found["age"][0, 0]), "female": float(found["gender"][0, 0, FEMALE])}


async def relate_crops(backend: Backend, clip: Mapping[str, NDArray]) -> dict[str, float]:
    """The first network's answer to a clip's aligned crops."""
    return await relate(backend, (await _in_blocks(backend, BACKBONE, clip["crops"]))["regions"])


async def attend_faces(backend: Backend, clip: Mapping[str, NDArray]) -> dict[str, float]:
    """SIAM's answer to a clip's warped faces."""
    appearance = (await _in_blocks(backend, SIAM_FRAMES, clip["faces"]))["appearance"]
    feeds = {"appearance": padded(appearance), "frame_count": np.array([len(appearance)])}
    found = await backend.run(SIAM_SEQUENCE, feeds)
    return {"age": float(found["age"][0, 0])}


async def _in_blocks(backend: Backend, graph: Graph, frames: NDArray[np.uint8]) -> dict[str, NDArray]:
    """Outputs of a graph that looks at single frames, in the service's batch sizes."""
    (name,) = (tensor.name for tensor in graph.inputs)
    done, start = [], 0
    for size in blocks(len(frames), graph):
        done.append(await backend.run(graph, {name: frames[start : start + size]}))
        start += size
    return {output.name: np.concatenate([found[output.name] for found in done]) for output in graph.outputs}


async def answer_crops(
    repository: Path, files: list[Path], network: Network = "fdin"
) -> dict[str, NDArray[np.float64]]:
    """Answers to clips that were aligned before."""
    look = relate_crops if network == "fdin" else attend_faces
    backend = InProcessBackend(repository, networks=[network])
    slots = asyncio.Semaphore(2 * available_cores())
    done = 0

    async def one(file: Path) -> dict[str, float]:
        nonlocal done
        async with slots:
            with np.load(file) as clip:
                answer = await look(backend, clip)
        done += 1
        if done % 50 == 0 or done == len(files):
            print(f"answers: {done} of {len(files)}", file=sys.stderr, flush=True)
        return answer

    answers = await asyncio.gather(*(one(file) for file in files))
    await backend.close()
    return {name: np.array([answer[name] for answer in answers]) for name in answers[0]}


async def answer_videos(repository: Path, videos: list[Path], out: Path) -> dict[str, Any]:
    """Answers to video files and to what may be done to them; what is refused is left out."""
    backend = Recorder(InProcessBackend(repository))
    pipeline = Pipeline(backend, Limits(max_duration_s=LONGEST_S), 1)
    (out / "features").mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {}
    for video in videos:
        try:
            whole, rotation = await _read(pipeline, io.BytesIO(video.read_bytes()))
            np.save(out / "features" / f"{video.name}.npy", backend.regions)
            entry: dict[str, Any] = {**whole, "frames": len(backend.regions)}
            if len(backend.regions) >= LEAST:
                part = round(HALF * len(backend.regions))
                kept = backend.regions
                entry["halves"] = [await relate(backend, half) for half in (kept[:part], kept[-part:])]
            if entry["frames"] <= SHORT and not rotation:
                entry["mirrored"], _ = await _read(pipeline, copies.mirrored(video))
                entry["tenth"], _ = await _read(pipeline, copies.at_share(video, 0.1))
        except (SmileError, av.FFmpegError) as error:
            print(f"{video.name}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        report[video.name] = entry
        print(f"{video.name}: {entry}", file=sys.stderr, flush=True)
    await pipeline.close()
    await backend.close()
    return report


async def _read(pipeline: Pipeline, clip: io.BytesIO) -> tuple[dict[str, float], int]:
    """The answer, and by how much the clip had to be turned to stand upright."""
    reading = await pipeline.read(clip)
    return {"age": float(reading.age[0]), "female": float(reading.gender[0, FEMALE])}, reading.video.rotation_deg


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=(__doc__ or "").splitlines()[0])
    what = parser.add_subparsers(dest="what", required=True)
    crops, videos = what.add_parser("crops"), what.add_parser("videos")
    for each in (crops, videos):
        each.add_argument("--repository", type=Path, required=True)
        each.add_argument("--out", type=Path, required=True)
    crops.add_argument("--list", type=Path, required=True)
    crops.add_argument("--network", choices=get_args(Network), default="fdin")
    videos.add_argument("--videos", type=Path, required=True)
    options = parser.parse_args()
    if options.what == "crops":
        files = [Path(line) for line in options.list.read_text().splitlines()]
        found = asyncio.run(answer_crops(options.repository, files, options.network))
        with whole(options.out) as file:
            np.savez(file, **found)
        return
    clips = sorted(path for path in options.videos.iterdir() if path.is_file())
    report = asyncio.run(answer_videos(options.repository, clips, options.out))
    write_text(options.out / "videos.json", json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
