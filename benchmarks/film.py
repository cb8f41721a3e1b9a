"""`python -m benchmarks.film [SIZE]`: what a film costs beside the prediction of the same clip, taken in turns.

Wall time is what a user waits. CPU time, all threads counted, hardly moves on a busy machine; where both stages keep
all cores busy the two ratios agree.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from benchmarks.clips import SIZES, write
from service.backends.inprocess import InProcessBackend
from service.film import read_and_film
from service.pipeline import Pipeline
from service.settings import Settings, available_cores

SIZE = "1920x1080"
SECONDS = 10.0
REPEATS = 5
LINKS = 5


async def measure(clip: Path) -> dict[str, object]:
    """Medians over REPEATS turns, after one that does not count."""
    settings = Settings()
    backend = InProcessBackend(settings.model_repository)
    pipeline = Pipeline(backend, settings.limits, settings.concurrency)

    async def predict() -> None:
        with clip.open("rb") as file:
            await pipeline.read(file)

    async def film() -> None:
        with clip.open("rb") as file, tempfile.TemporaryFile() as out:
            await read_and_film(pipeline, file, out, trait="age", links=LINKS)

    turns = [(await _seconds(predict), await _seconds(film)) for _ in range(1 + REPEATS)][1:]
    await pipeline.close()
    await backend.close()
    return {
        "predict_s": round(median(predicted[0] for predicted, _ in turns), 2),
        "film_s": round(median(filmed[0] for _, filmed in turns), 2),
        "ratio": round(median(filmed[0] / predicted[0] for predicted, filmed in turns), 3),
        "predict_cpu_s": round(median(predicted[1] for predicted, _ in turns), 2),
        "film_cpu_s": round(median(filmed[1] for _, filmed in turns), 2),
        "cpu_ratio": round(median(filmed[1] / predicted[1] for predicted, filmed in turns), 3),
    }


async def _seconds(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default=SIZE)
    size = parser.parse_args().size
    with tempfile.TemporaryDirectory() as folder:
        clip = write(Path(folder) / "clip.mp4", size, SECONDS)
        numbers = asyncio.run(measure(clip))
    print(
        json.dumps({"size": size, "rate_hz": SIZES[size][2], "clip_s": SECONDS, "cores": available_cores(), **numbers})
    )


if __name__ == "__main__":
    main()
