"""The MCP server, over standard input and output, by the SDK's own client."""

import os
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import schemas
from tests.service.conftest import DEMO

mcp = pytest.importorskip("mcp", reason="needs requirements/mcp.txt")


def _client(*options: str) -> Any:
    command = mcp.StdioServerParameters(command=sys.executable, args=["-m", "service", "mcp", *options])
    return mcp.Client(command)


async def test_one_tool_with_the_schema_of_the_api(demo: bytes) -> None:
    """In process: the tool is listed with the API's own schema, answers a clip by it, and refuses by its codes."""
    async with _client() as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.name == "predict" and tool.input_schema["required"] == ["path"]
        assert tool.output_schema == schemas.Prediction.model_json_schema()
        answered = await client.call_tool("predict", {"path": str(DEMO), "top": 2, "traits": ["age"]})
        assert not answered.is_error
        prediction = schemas.Prediction.model_validate(answered.structured_content)
        assert prediction.age and [pair.rank for pair in prediction.age.pairs] == [1, 2]
        refused = await client.call_tool("predict", {"path": __file__})
        assert refused.is_error and "unreadable_video: " in refused.content[0].text


async def test_asks_a_gateway(client: httpx.Client, tmp_path: Path) -> None:
    """With --url the gateway answers; a path that leads nowhere, or into a pipe, is said and not raised."""
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    async with _client("--url", str(client.base_url)) as asking:
        answered = await asking.call_tool("predict", {"path": str(DEMO), "explain": True})
        assert answered.structured_content["age"]["region_effects"]
        second = await asking.call_tool("predict", {"path": str(DEMO), "network": "siam"})
        assert second.structured_content["siam"]["age"]["years"] and second.structured_content["age"] is None
        for nowhere in (str(tmp_path / "none.mp4"), "a\0b", "/dev/null", str(pipe)):
            missing = await asking.call_tool("predict", {"path": nowhere})
            assert missing.is_error and "unreadable_file: " in missing.content[0].text


async def test_server_that_was_never_there() -> None:
    """It is said at once: nobody waits for a server to come back that has not been there."""
    async with _client("--url", "http://127.0.0.1:9") as asking:
        away = await asking.call_tool("predict", {"path": str(DEMO)})
        assert away.is_error and "no server answers there" in away.content[0].text
