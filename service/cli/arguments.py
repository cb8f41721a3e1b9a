"""What may be typed: commands, options, examples."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import smile
from service import schemas
from service.cli import exits

HOST = "127.0.0.1"
PORT = 8080
LAST_PORT = 65_535

EXAMPLES = """\
examples:
  smile predict clip.mp4                            the answer as JSON
  smile predict clip.mp4 --figure clip.png          and the relations drawn on the face
  smile predict clip.mp4 --film relations.mp4       and on the moving face
  smile predict clip.mp4 --network both             and the age from SIAM
  smile predict recordings/ --out results.csv       a folder; run it again to go on where it stopped
  smile predict --url http://gpu:8080 recordings/ --out results.jsonl
  ffmpeg -i rtsp://camera -t 5 -f matroska - | smile predict -
  smile serve                                       the gateway on 127.0.0.1:8080
"""
PREDICT_EXAMPLES = """\
One clip without --out: the answer of POST /predict, indented, on standard output. Several clips: a JSON line for each,
in the order in which they are done. Progress goes to standard error.

Results (--out) are appended row by row. Clips that have a row are skipped, so the same command goes on after Ctrl-C or
a power cut; clips that are refused get a row with a code and a message. docs/clients.md lists the columns.

exit status:
"""
EXIT_STATUSES = exits.__doc__.split("\n\n", 1)[1] if exits.__doc__ else ""


def parser() -> argparse.ArgumentParser:
    top = _Parser(
        prog="smile", description="Age and gender from smile videos, and the relations that the network weighed."
    )
    top.epilog = EXAMPLES
    top.add_argument("--version", action="version", version=smile.__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _predict(commands.add_parser("predict", help="answer clips, folders of clips, or standard input"))
    serve = commands.add_parser("serve", help="serve the API and the page")
    serve.description = "Serve the API and the page. Everything else is set by SMILE_... variables: see the README."
    host, port = os.environ.get("HOST") or HOST, os.environ.get("PORT") or str(PORT)
    serve.add_argument("--host", type=_host, default=host, help="default: HOST or %(default)s")
    serve.add_argument("--port", type=_port, default=port, help="default: PORT or %(default)s")
    worker = commands.add_parser("worker", help="do the jobs that gateways put into Redis")
    worker.description = (
        "Do jobs until stopped. SMILE_JOBS=redis://... names the queue, for gateways and workers alike."
    )
    card = commands.add_parser("model", help="print the card of the weights")
    card.description = "Print the card of the weights as JSON: what they are, what they were trained on, their licence."
    _url(card)
    mcp = commands.add_parser("mcp", help="serve the tool `predict` to a language model, on standard input and output")
    mcp.description = "A Model Context Protocol server with one tool, predict, on standard input and output."
    _url(mcp)
    commands.add_parser("openapi", help="print the OpenAPI document")
    return top


class _Parser(argparse.ArgumentParser):
    """Keeps the line breaks of examples."""

    def __init__(self, **options: object) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)  # type: ignore[arg-type]


def _predict(predict: argparse.ArgumentParser) -> None:
    predict.description = "Answer clips: any container and codec that FFmpeg decodes."
    predict.epilog = PREDICT_EXAMPLES + EXIT_STATUSES + "\n" + EXAMPLES
    predict.add_argument("clips", nargs="+", metavar="CLIP", help="a file, a folder to search, or - (standard input)")
    predict.add_argument("--out", type=Path, metavar="FILE", help="append results to FILE.csv or FILE.jsonl")
    predict.add_argument("--figure", metavar="F", help="draw: a .png or .svg, or a folder for several clips")
    predict.add_argument(
        "--kind",
        choices=get_args(schemas.FigureKind),
        help="what --figure draws (default: relations; of siam: attention)",
    )
    predict.add_argument("--film", metavar="F", help="film: an .mp4 or .webm, or a folder for several clips")
    predict.add_argument(
        "--top",
        type=_top,
        default=schemas.DEFAULT_TOP,
        metavar="N",
        help="relations to list, or all (default: %(default)s)",
    )
    predict.add_argument("--traits", type=_traits, metavar="T", help="age, gender or age,gender (default: all offered)")
    predict.add_argument(
        "--network",
        choices=get_args(schemas.Networks),
        default="fdin",
        help="the interpreter (default), siam (age alone), or both and how far they are apart",
    )
    predict.add_argument("--mirrored", action="store_true", help="the clips show people as in a mirror (a selfie)")
    predict.add_argument("--explain", action="store_true", help="also measure what each region and each pair does")
    _url(predict)
    predict.add_argument(
        "--parallel", type=_count, metavar="N", help="clips at once (default: cores + 1; 4 where a server answers)"
    )


def _url(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", help="ask the server at URL instead of loading the model here")


def _host(text: str) -> str:
    if not text:  # would be every interface
        raise argparse.ArgumentTypeError(f"an address, such as {HOST}")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"a whole number from 0 to {LAST_PORT}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number above 0")
    return int(text)


def _top(text: str) -> int | None:
    return None if text == "all" else _count(text)


def _traits(text: str) -> Sequence[str]:
    traits = tuple(part.strip() for part in text.split(","))
    if set(traits) - set(get_args(schemas.Trait)):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(get_args(schemas.Trait))}")
    return traits
