"""`python -m service`: serve; `python -m service predict CLIP`: one clip, JSON on standard output."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

import uvicorn

from service import answer, logs
from service.app import create_app, offered_traits
from service.backends import create_backend
from service.pipeline import Pipeline
from service.settings import Settings
from smile.errors import SmileError

HOST = "127.0.0.1"
PORT = 8080


def serve() -> None:
    """Serve on HOST and PORT of the environment until stopped."""
    settings = Settings()
    logs.configure(settings.log_level)
    uvicorn.run(
        create_app(settings),
        host=os.environ.get("HOST", HOST),
        port=int(os.environ.get("PORT", PORT)),
        log_config=None,
        timeout_graceful_shutdown=int(settings.deadline_s),
    )


async def predict(clip: Path, *, mirrored: bool, explain: bool) -> str:
    """The JSON of one prediction, in process. Raises SmileError, BackendError."""
    settings = Settings()
    backend = create_backend(settings)
    pipeline = Pipeline(backend, settings.limits, concurrency=1)
    started = time.perf_counter()
    try:
        with clip.open("rb") as file:
            reading = await pipeline.read(file, mirrored=mirrored, explain=explain)
    finally:
        await pipeline.close()
        await backend.close()
    prediction = answer.prediction(
        reading,
        request_id="local",
        traits=offered_traits(settings),
        top=5,
        total_s=time.perf_counter() - started,
    )
    return prediction.model_dump_json(indent=2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("predict", help="print the prediction for one clip")
    one.add_argument("clip", type=Path)
    one.add_argument("--mirrored", action="store_true", help="the clip shows its subject as in a mirror")
    one.add_argument("--explain", action="store_true", help="also measure what each region and each pair does")
    arguments = parser.parse_args()
    if arguments.command is None:
        return serve()
    logs.configure("WARNING")
    try:
        sys.stdout.write(asyncio.run(predict(arguments.clip, mirrored=arguments.mirrored, explain=arguments.explain)))
        sys.stdout.write("\n")
    except SmileError as error:
        sys.exit(f"{error.code}: {error}")
    except OSError as error:
        sys.exit(f"cannot read {arguments.clip}: {error.strerror}")


if __name__ == "__main__":
    main()
