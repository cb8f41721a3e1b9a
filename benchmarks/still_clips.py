"""Stills as clips in which nothing moves, answered by the service's own pipeline: faces that cannot be moved as well.

python -m benchmarks.still_clips --repository R --archive ZIP --list FILE --out answers.npz [--network siam]
    images of the archive (a file name a line, in FILE) -> age in years (n,) and, of the first network, probability of
    female (n,), nan where the clip was refused; refused (n,), the code of the refusal or nothing
"""

import argparse
import asyncio
import io
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from service.backends.base import Network
from service.backends.inprocess import InProcessBackend
from service.cli.opening import terminal_without_libraries
from service.pipeline import Pipeline
from service.reading import Reading, Seen
from service.settings import available_cores
from smile.decoding import Limits
from smile.errors import SmileError
from smile.tensors import GENDERS
from training.render import write_clip
from training.whole import whole

FRAMES, RATE_HZ, CRF = 26, 25.0, 23
"""One second; the quality that FFmpeg encodes H.264 with where nobody chooses."""
FEMALE = GENDERS.index("female")
Answer = tuple[float, float, str]


def as_clip(image: bytes) -> bytes:
    """A JPEG or PNG as an MP4; an odd last row or column is left out. Raises ValueError: it is no image."""
    picture = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("no image")
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    rgb = np.ascontiguousarray(picture[:height, :width, ::-1], np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, (rgb for _ in range(FRAMES)), RATE_HZ, CRF)
        return path.read_bytes()


async def answer_stills(
    repository: Path, archive: Path, names: list[str], network: Network = "fdin"
) -> dict[str, NDArray]:
    """Answers to the images of these file names, in whatever folder of the archive."""
    backend = InProcessBackend(repository, networks=[network])
    pipeline = Pipeline(backend, Limits(), available_cores())
    slots = asyncio.Semaphore(2 * available_cores())
    done = 0
    with zipfile.ZipFile(archive) as images:
        members = {PurePosixPath(member).name: member for member in images.namelist()}

        async def one(name: str) -> Answer:
            nonlocal done
            async with slots:
                clip = await asyncio.to_thread(as_clip, images.read(members[name]))
                try:
                    answer = *_said(await pipeline.read_by(network, io.BytesIO(clip))), ""
                except SmileError as error:
                    answer = np.nan, np.nan, error.code
            done += 1
            if done % 50 == 0 or done == len(names):
                print(f"stills as clips: {done} of {len(names)}", file=sys.stderr, flush=True)
            return answer

        found = await asyncio.gather(*(one(name) for name in names))
    await pipeline.close()
    await backend.close()
    ages, females, refused = zip(*found, strict=True)
    return {"age": np.array(ages), "female": np.array(females), "refused": np.array(refused)}


def _said(reading: Seen) -> tuple[float, float]:
    """Years, and probability of female; nan where the network does not say."""
    if isinstance(reading, Reading):
        return float(reading.age[0]), float(reading.gender[0, FEMALE])
    assert reading.siam is not None
    return reading.siam.age, np.nan


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.still_clips", description=(__doc__ or "").splitlines()[0]
    )
    for name in ("repository", "archive", "list", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--network", choices=get_args(Network), default="fdin")
    options = parser.parse_args()
    names = options.list.read_text().splitlines()
    with terminal_without_libraries():
        found = asyncio.run(answer_stills(options.repository, options.archive, names, options.network))
    with whole(options.out) as file:
        np.savez(file, **found)


if __name__ == "__main__":
    main()
