"""What an image passes on is named with its licence."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _bundled() -> Iterator[str]:
    """Shared libraries that wheels of the gateway's image bring along, without the hash in their names."""
    for line in (ROOT / "requirements/serve.txt").read_text().splitlines():
        if not line.startswith("#"):
            for file in metadata.files(line.partition("==")[0]) or ():
                if file.parts[0].endswith(".libs"):
                    yield re.sub(r"-[0-9a-f]{8}\..*", "", file.name)


def test_every_bundled_library_is_named() -> None:
    """Renewed requirements bring none along of which THIRD_PARTY.md does not speak."""
    told = (ROOT / "THIRD_PARTY.md").read_text()
    bundled = set(_bundled())
    assert {"libx264", "libx265"} <= bundled
    assert {name for name in bundled if f"`{name}`" not in told} == set()


def test_the_image_holds_what_it_names() -> None:
    """Licence files are copied and not ignored; the label tells of the GPL, as long as x264 comes along."""
    recipe = (ROOT / "docker/gateway.Dockerfile").read_text()
    assert "GPL-3.0-or-later" in re.search(r'image\.licenses="(.*)"', recipe)[1]  # type: ignore[index]
    (copied,) = re.findall(r"^COPY (.*LICENSE.*) \./$", recipe, re.MULTILINE)
    for name in copied.split():
        assert (ROOT / name).is_file() and f"!{name}\n" in (ROOT / ".dockerignore").read_text(), name
