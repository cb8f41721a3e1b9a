"""requirements/serve.txt is installed without looking at dependencies: it must be complete by itself."""

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11.0", "3.11.2", "3.11.99")
"""Debian's among them: some packages ask for more of the older ones."""
NOT_NEEDED = {"jax", "jaxlib", "opencv-contrib-python", "sentencepiece", "sounddevice"}
"""Of mediapipe, for face landmarks."""


def test_every_dependency_is_pinned() -> None:
    lines = [Requirement(line) for line in (ROOT / "requirements/serve.txt").read_text().splitlines() if line[0] != "#"]
    listed = {canonicalize_name(line.name) for line in lines}
    asked: dict[str, str] = {}
    for line in lines:
        for extra in ("", *line.extras):
            for dependency in map(Requirement, metadata.requires(line.name) or ()):
                environments = [{"python_full_version": python, "extra": extra} for python in PYTHONS]
                if dependency.marker is None or any(map(dependency.marker.evaluate, environments)):
                    asked[canonicalize_name(dependency.name)] = line.name
    assert {name: by for name, by in asked.items() if name not in listed | NOT_NEEDED} == {}
