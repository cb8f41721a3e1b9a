"""`python -m benchmarks`: measure everything in one run -> benchmarks/results/latest.json.

CPU milliseconds are process time with one thread per stage, so they hold on a busy machine; frames per second do not.
`--stages-of CLIP` prints those of the first network and of SIAM for one clip, and nothing else.
The bound is cores / CPU seconds per decoded frame: what the machine could do if no core ever waited.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks import stages
from benchmarks.clips import SIZES, write
from service.backends.inprocess import InProcessBackend
from service.pipeline import Pipeline
from service.settings import Settings, available_cores
from smile.decoding import Limits

RESULTS = Path(__file__).parent / "results/latest.json"
SECONDS = 6.0
LONGER = 10
REPEATS = 3
PACKAGES = ("av", "mediapipe", "onnxruntime", "torch", "numpy", "opencv-python-headless")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure everything, or one figure.")
    one = parser.add_mutually_exclusive_group()
    for option in ("--peak-memory-of", "--stages-of", "--naive"):
        one.add_argument(option, type=Path, metavar="CLIP")
    options = parser.parse_args()
    if options.peak_memory_of:
        return print(_peak_memory_mb(options.peak_memory_of))
    if options.stages_of:
        return print(json.dumps([_stages(options.stages_of, once) for once in (stages.of_first, stages.of_siam)]))
    if options.naive:
        return print(json.dumps(_naive_seconds(options.naive)))
    with tempfile.TemporaryDirectory() as folder:
        results = {size: _measure(size, Path(folder)) for size in SIZES}
        longer = _extra_memory_mb(Path(folder))
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("describe", "--always", "--dirty"),
        "cpu": _cpu(),
        "cores": available_cores(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "clip_s": SECONDS,
        **results,
        "extra_memory_mb_10x": longer,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


def _measure(size: str, folder: Path) -> dict[str, object]:
    clip = write(folder / f"{size}.mp4", size, SECONDS)
    print(f"{size}: stages", file=sys.stderr)
    first, decoded, used = _stages(clip, stages.of_first)
    siam, _, _ = _stages(clip, stages.of_siam)
    per_frame_s = sum(first.values()) / 1000
    bound = available_cores() / per_frame_s
    ours, eight, naive = [], [], []
    for turn in range(REPEATS):
        print(f"{size}: whole path, turn {turn + 1} of {REPEATS}", file=sys.stderr)
        ours.append(decoded / asyncio.run(_seconds([clip])))
        eight.append(8 * decoded / asyncio.run(_seconds([clip] * 8)))
        naive.append(decoded / float(_alone("--naive", clip)))
    return {
        "stages_cpu_ms": {name: round(ms, 3) for name, ms in first.items()},
        "siam_stages_cpu_ms": {name: round(ms, 3) for name, ms in siam.items()},
        "frames_decoded": decoded,
        "frames_used": used,
        "fps_one": round(median(ours), 1),
        "fps_eight": round(median(eight), 1),
        "fps_naive": round(median(naive), 1),
        "bound_fps": round(bound, 1),
        "ratio_to_bound_one": round(median(ours) / bound, 3),
        "ratio_to_bound_eight": round(median(eight) / bound, 3),
        "ratio_to_naive": round(median(a / b for a, b in zip(ours, naive, strict=True)), 2),
    }


def _stages(clip: Path, once: Callable[[Path, InProcessBackend], stages.Turn]) -> tuple[dict[str, float], int, int]:
    """CPU milliseconds of each stage per decoded frame (median of REPEATS), frames decoded, and instants used."""
    backend = InProcessBackend(Settings().model_repository)
    turns = [once(clip, backend) for _ in range(REPEATS)]
    decoded, used = turns[0][1:]
    return {name: median(1000 * turn[0][name] / decoded for turn in turns) for name in turns[0][0]}, decoded, used


async def _seconds(clips: list[Path]) -> float:
    """Wall seconds for all clips at once through the pipeline, in process."""
    settings = Settings()
    backend = InProcessBackend(settings.model_repository)
    pipeline = Pipeline(backend, Limits(), settings.concurrency)

    async def one(clip: Path) -> None:
        with clip.open("rb") as file:
            await pipeline.read(file)

    started = time.perf_counter()
    await asyncio.gather(*(one(clip) for clip in clips))
    seconds = time.perf_counter() - started
    await pipeline.close()
    await backend.close()
    return seconds


def _naive_seconds(clip: Path) -> float:
    from benchmarks import naive

    networks = naive.networks()
    started = time.perf_counter()
    naive.read(clip, *networks)
    return time.perf_counter() - started


def _extra_memory_mb(folder: Path) -> float:
    size = next(iter(SIZES))
    short = write(folder / "short.mp4", size, SECONDS)
    long = write(folder / "long.mp4", size, LONGER * SECONDS)
    return round(float(_alone("--peak-memory-of", long)) - float(_alone("--peak-memory-of", short)), 1)


def _peak_memory_mb(clip: Path) -> float:
    asyncio.run(_seconds([clip]))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _alone(option: str, clip: Path) -> str:
    """This program in a process of its own, for one figure."""
    command = [sys.executable, "-m", "benchmarks", option, str(clip)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ).stdout


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
