"""Graphs that a run has exported or found exported: what they answer, in a process with the service's own parts, and
the age interval that follows from it."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.recard import recard
from export.release import CARD
from service.backends.base import Network
from smile.card import AgeInterval, Card
from smile.tensors import GRAPHS, SIAM_GRAPHS, Graph
from training import calibrate, shipped
from training.release_parts import python
from training.run_config import ConfigError
from training.weights_material import Material
from training.whole import write_text

DRAFT, VERSION = "draft_repository", 1
"""In a run's folder the graphs without interval and report; the version that its graphs have."""


def take_shipped(repository: Path, out: Path) -> Path:
    """Make what is shipped the draft of the run in `out`, and a release of it without interval and report, unless that
    was done; its backbone.

    Raises:
        ConfigError: the folder holds a run of something else.
        NotShipped: the repository holds no such graphs.
    """
    taken, draft = out / "release", out / DRAFT
    _claim(repository, GRAPHS, out)
    if not is_published(draft):
        card = Card.from_json((shipped.write_release(taken, repository) / CARD).read_text())
        card = replace(card, age_interval=None, report=None)
        (taken / CARD).write_text(card.to_json() + "\n")
        shutil.rmtree(draft, ignore_errors=True)
        recard(repository, draft, GRAPHS, card, version=VERSION)
    return taken / "backbone"


def take_shipped_siam(repository: Path, out: Path) -> None:
    """The same of SIAM, whose run is in `out`: its draft, and its network as if it had just been trained."""
    _claim(repository, SIAM_GRAPHS, out)
    draft = out / DRAFT
    if not is_published(draft, SIAM_GRAPHS):
        card = replace(shipped.write_siam(out / "network", repository), age_interval=None, report=None)
        shutil.rmtree(draft, ignore_errors=True)
        recard(repository, draft, SIAM_GRAPHS, card, version=VERSION)


def _claim(repository: Path, graphs: Sequence[Graph], out: Path) -> None:
    """Raises ConfigError where `out` holds a run of something else, NotShipped where there are no such graphs."""
    mark = out / "shipped.json"
    asked = {
        str(file.relative_to(repository)): hashlib.sha256(file.read_bytes()).hexdigest()
        for graph in graphs
        for file in sorted((repository / graph.name).glob("*/*.onnx"))
    }
    if not asked:
        raise shipped.NotShipped(f"{repository} holds no graphs")
    out.mkdir(parents=True, exist_ok=True)
    begun = json.loads(mark.read_text()) if mark.exists() else None
    if begun != asked and any(out.iterdir()):
        raise ConfigError(f"{out} holds another run: choose another --out")
    write_text(mark, json.dumps(asked, indent=1) + "\n")


def is_published(repository: Path, graphs: Sequence[Graph] = GRAPHS) -> bool:
    """Whether the graphs of a run are there: the last one is."""
    return (repository / graphs[-1].name / str(VERSION)).exists()


class Shipped:
    """A network's graphs in a repository. What is answered already, in the files asked for, is not asked again."""

    def __init__(self, repository: Path, material: Material, network: Network = "fdin") -> None:
        self.repository, self.material, self.network = repository, material, network

    def age_interval(self, smiles: dict[int, Path], folder: Path) -> AgeInterval:
        """From the calibration part as users will send such faces: its simulated smiles, and all its stills as clips.

        Smiles alone are of faces that look ahead, which are easier.

        Args:
            smiles: row of each still -> its simulated smile.
            folder: for the answers.
        """
        folder.mkdir(parents=True, exist_ok=True)
        stills = np.sort(self.material.parts["calibration"])
        of_smiles, of_stills = folder / "smiles.npz", folder / "stills.npz"
        self.answer_smiles(smiles, of_smiles)
        self.answer_stills(stills, of_stills)
        with np.load(of_smiles) as moved, np.load(of_stills) as still:
            estimates = np.concatenate([moved["age"], still["age"]])
        ages = self.material.data.age[np.concatenate([sorted(smiles), stills])].astype(np.float64)
        answered = np.isfinite(estimates)
        return calibrate.age_interval(estimates[answered], ages[answered])

    def answer_smiles(self, clips: dict[int, Path], answers: Path) -> None:
        """Of simulated smiles, in the order of their rows (benchmarks.accuracy)."""
        if not answers.exists():
            listing = answers.with_suffix(".txt")
            listing.write_text("".join(f"{path.resolve()}\n" for _, path in sorted(clips.items())))
            self._run("benchmarks.accuracy", "crops", *self._of, "--list", str(listing), "--out", str(answers))

    def answer_stills(self, rows: NDArray[np.int64], answers: Path) -> None:
        """Of stills as clips without movement, in this order (benchmarks.still_clips)."""
        if not answers.exists():
            listing = answers.with_suffix(".txt")
            listing.write_text("".join(f"{name}\n" for name in self.material.data.names[rows]))
            archive = str(self.material.archive)
            listed = ("--archive", archive, "--list", str(listing))
            self._run("benchmarks.still_clips", *self._of, *listed, "--out", str(answers))

    def answer_videos(self, videos: Path, answers: Path) -> None:
        """Of real clips by the first network (benchmarks.accuracy)."""
        if not (answers / "videos.json").exists():
            self._run("benchmarks.accuracy", "videos", "--videos", str(videos), "--out", str(answers))

    @property
    def _of(self) -> tuple[str, str]:
        return "--network", self.network

    def _run(self, module: str, *arguments: str) -> None:
        python(module, *arguments, "--repository", str(self.repository))
