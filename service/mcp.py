"""A Model Context Protocol server with one tool, `predict`, on standard input and output."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

import smile
from service import schemas, work
from service.answer import NOTICE
from service.cli.clips import Source, opened
from service.cli.exits import Refused, Unavailable, Usage
from service.cli.opening import opened_predictor
from service.cli.predictor import Predictor, Wanted

INSTRUCTIONS = f"""\
Reads a video of a person's smile: estimated age, gender as labelled in the training data, and which relations between
regions of the face the network weighted. {NOTICE} Read `clip.warnings` before you report anything: `untrained_model`
means that the numbers mean nothing.
"""


@dataclass
class _Serving:
    predictor: Predictor
    has_answered: bool = False


def create_server(url: str | None = None) -> MCPServer[_Serving]:
    """The server; it answers in this process, or asks the gateway at `url`."""

    @asynccontextmanager
    async def lifespan(server: MCPServer[_Serving]) -> AsyncIterator[_Serving]:
        async with opened_predictor(url) as predictor:
            yield _Serving(predictor)

    server: MCPServer[_Serving] = MCPServer(
        "smile",
        title="Smile interpreter",
        version=smile.__version__,
        instructions=INSTRUCTIONS,
        log_level="WARNING",
        lifespan=lifespan,
    )
    server.tool(
        title="Age and gender from a smile video, and the relations between facial regions that the network weighed",
        annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
    )(predict)
    return server


async def predict(
    context: Context[_Serving],
    path: Annotated[str, Field(description="Path of a video file on this machine.")],
    top: Annotated[int, Field(ge=1, description="How many relations to list.")] = schemas.DEFAULT_TOP,
    traits: Annotated[list[schemas.Trait] | None, Field(description="Default: all that are offered.")] = None,
    mirrored: Annotated[bool, Field(description=work.MIRRORED)] = False,
    explain: Annotated[bool, Field(description=work.EXPLAIN)] = False,
    network: Annotated[schemas.Networks, Field(description=work.NETWORK)] = "fdin",
) -> schemas.Prediction:
    """Estimate age and gender from a video of a smile and rank the pairs and triplets of facial regions by importance.
    Refuses clips that it cannot read with a code such as no_face, and says what to do."""
    serving = context.request_context.lifespan_context
    clip = Path(path)
    wanted = Wanted(
        top=top, traits=tuple(traits) if traits else None, mirrored=mirrored, explain=explain, network=network
    )
    try:
        if not serving.has_answered:
            await serving.predictor.card()  # waits are for a server that was there before
            serving.has_answered = True
        if os.path.exists(clip) and not os.path.isfile(clip):  # nobody would end what comes out of a pipe or a device
            raise Refused("unreadable_file", "not a regular file: name a video file")
        async with opened(Source(path, clip, Path(clip.name))) as file:
            return (await serving.predictor.predict(file, wanted)).prediction
    except Refused as error:
        raise ToolError(f"{error.code}: {error}") from error
    except Unavailable as error:
        raise ToolError(f"backend_unavailable: {error}") from error
    except Usage as error:
        raise ToolError(f"invalid_parameter: {error}") from error


def serve(url: str | None = None) -> None:
    """Serve until standard input ends. Raises Unavailable, Usage."""
    create_server(url).run("stdio")
