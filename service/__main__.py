"""`python -m service [serve]`; `... predict CLIP`: JSON on standard output; `... openapi`: the API's description."""

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path

import uvicorn

from service import answer, logs
from service.app import create_app
from service.backends import create_backend
from service.pipeline import Pipeline
from service.settings import Settings
from service.work import offered_traits
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


def openapi_document() -> str:
    """The API's description as it is committed in openapi.json."""
    return json.dumps(create_app().openapi(), indent=1) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve on HOST and PORT of the environment (default)")
    commands.add_parser("openapi", help="print the OpenAPI document")
    one = commands.add_parser("predict", help="print the prediction for one clip")
    one.add_argument("clip", type=Path)
    one.add_argument("--mirrored", action="store_true", help="the clip shows its subject as in a mirror")
    one.add_argument("--explain", action="store_true", help="also measure what each region and each pair does")
    arguments = parser.parse_args()
    if arguments.command == "openapi":
        sys.stdout.write(openapi_document())
    elif arguments.command == "predict":
        _print_prediction(arguments)
    else:
        serve()


def _print_prediction(arguments: argparse.Namespace) -> None:
    logs.configure("WARNING")
    try:
        json_text = asyncio.run(predict(arguments.clip, mirrored=arguments.mirrored, explain=arguments.explain))
        sys.stdout.write(json_text + "\n")
    except SmileError as error:
        sys.exit(f"{error.code}: {error}")
    except OSError as error:
        sys.exit(f"cannot read {arguments.clip}: {error.strerror}")


if __name__ == "__main__":
    main()
