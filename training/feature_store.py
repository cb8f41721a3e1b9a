"""The cache of backbone features on disk: what it is keyed by, and how it is read.

    <cache>/<fingerprint>-<preprocessing>-<backbone>/<sha256 of the clip>.npy   (T, 9, 2048) float16, memory-mapped
                                                     <sha256 of the clip>.npz   times_s, mouth_ratios, crops
                                                     <sha256 of the clip>.json  why a clip was skipped

Everything that the numbers depend on is in the path, so features of another contract, another preprocessor or another
backbone are never met. `training.features` fills it.
"""

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import networks.backbone
import smile
from networks import checkpoint
from smile.course import SmileCourse, smile_course
from smile.sampling import FRAME_RATE_HZ
from smile.tensors import fingerprint
from training.datasets import Clip, Dataset
from training.still_network import FrameAnswers

CACHE = Path(".cache/features")
PREPROCESSORS = ("video", "faces", "sequence")
LIBRARIES = ("av", "mediapipe")
EXTRACTION = Path(__file__).with_name("extraction.py")
HASHES = "hashes.json"


class FeatureError(Exception):
    """Features that cannot be computed, stored, or found."""


@dataclass(frozen=True)
class Recipe:
    """What the features depend on beside the clip; each part is 16 hex digits.

    Attributes:
        fingerprint: of the contract, frame rate included.
        preprocessing: of the code from file to crop, and of training.extraction.
        backbone: of the weights, and of the code that applies them.
    """

    fingerprint: str
    preprocessing: str
    backbone: str

    @property
    def key(self) -> str:
        return "-".join((self.fingerprint, self.preprocessing, self.backbone))


@dataclass(frozen=True)
class Features:
    """The cached features of a data set.

    Attributes:
        whole: the data set.
        skipped: name of each clip that cannot be read, and why.
    """

    whole: Dataset
    recipe: Recipe
    folder: Path
    digests: dict[str, str]
    skipped: dict[str, str]

    @cached_property
    def dataset(self) -> Dataset:
        """Without the clips that were skipped."""
        readable = tuple(clip for clip in self.whole.clips if clip.name not in self.skipped)
        return Dataset(self.whole.name, readable, self.whole.simulated)

    def regions(self, clip: Clip) -> NDArray[np.float16]:
        """(T, 9, 2048) float16, mapped from the file: memory is needed for what is read, while it is read."""
        mapped: NDArray[np.float16] = np.load(self._file(clip, ".npy"), mmap_mode="r")
        return mapped

    def instants(self, clip: Clip) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
        """(U, 9, 2048) float16 features of what differs in the clip, and (T,) where among them each instant is."""
        found = self.regions(clip)
        return found, np.arange(len(found))

    def said(self, clip: Clip, single: FrameAnswers) -> NDArray[np.float32]:
        """Mean over the instants of what is said of each alone: (3,), age in years, probabilities of (male, female)."""
        instants, place = self.instants(clip)
        return np.asarray(single.table(instants)[place].mean(axis=0))

    def crops(self, clip: Clip) -> NDArray[np.uint8]:
        """(CROPS, 96, 96, 3) uint8 RGB, evenly spaced over the stretch."""
        return self._details(clip)["crops"]

    @property
    def content(self) -> str:
        """16 hex digits over what is in the files of the clips, which names and labels do not tell."""
        return hashlib.sha256(json.dumps(sorted(self.digests.items())).encode()).hexdigest()[:16]

    def times_s(self, clip: Clip) -> NDArray[np.float64]:
        """(T,) presentation times."""
        times: NDArray[np.float64] = self._details(clip)["times_s"]
        return times

    def course(self, clip: Clip) -> SmileCourse:
        details = self._details(clip)
        return smile_course(details["times_s"], details["mouth_ratios"])

    @cached_property
    def frame_counts(self) -> dict[str, int]:
        """Name of each clip -> T."""
        return {clip.name: len(self.regions(clip)) for clip in self.dataset.clips}

    def _details(self, clip: Clip) -> dict[str, NDArray]:
        with np.load(self._file(clip, ".npz")) as file:
            return dict(file)

    def _file(self, clip: Clip, suffix: str) -> Path:
        return self.folder / (self.digests[clip.name] + suffix)


def load(dataset: Dataset, backbone: Path, store: Path = CACHE, frame_rate_hz: float = FRAME_RATE_HZ) -> Features:
    """The features of a data set as `prepare` left them.

    Raises:
        FeatureError: they are not all there for this contract, preprocessor and backbone.
    """
    recipe = recipe_of(backbone, frame_rate_hz)
    folder = store / recipe.key
    known = file_digests(dataset, store)
    digests = {clip.name: known[file_key(clip.path)][1] for clip in dataset.clips}
    absent = [clip.name for clip in dataset.clips if not is_done(folder / digests[clip.name])]
    if absent:
        others = sorted(path.name for path in store.glob("*-*-*") if path != folder) if store.is_dir() else []
        stale = f"; the cache holds features of other versions ({', '.join(others)})" if others else ""
        raise FeatureError(
            f"{len(absent)} of {len(digests)} clips have no features of version {recipe.key} in {store}{stale}: "
            "run python -m training.features"
        )
    return Features(dataset, recipe, folder, digests, unreadable(dataset, folder, digests))


def unreadable(dataset: Dataset, folder: Path, digests: Mapping[str, str]) -> dict[str, str]:
    """Name of each clip that was found unreadable so far, and why."""
    found = {}
    for clip in dataset.clips:
        reason = folder / f"{digests[clip.name]}.json"
        if reason.exists():
            found[clip.name] = json.loads(reason.read_text())["message"]
    return found


def recipe_of(backbone: Path, frame_rate_hz: float = FRAME_RATE_HZ) -> Recipe:
    """Raises FeatureError where there are no weights."""
    try:
        weights = _sha256(backbone / checkpoint.WEIGHTS)
    except OSError as error:
        raise FeatureError(f"{backbone} holds no backbone: {error}") from error
    network = ast.dump(_code(Path(networks.backbone.__file__))) + weights
    extraction = ast.dump(_code(EXTRACTION)) + preprocessing()
    of_code = (hashlib.sha256(code.encode()).hexdigest()[:16] for code in (extraction, network))
    return Recipe(fingerprint(frame_rate_hz), *of_code)


@cache
def preprocessing() -> str:
    """16 hex digits over the code that turns a file into crops, comments and layout aside, and over its libraries."""
    root = Path(smile.__file__).parent
    found: dict[str, str] = {}
    waiting = list(PREPROCESSORS)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        tree = _code(root / f"{name}.py")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module] if node.module != "smile" else [f"smile.{alias.name}" for alias in node.names]
                waiting += [module.removeprefix("smile.") for module in names if module.startswith("smile.")]
        found[name] = ast.dump(tree)
    libraries = [(name, version(name)) for name in LIBRARIES] + [("cv2", cv2.__version__)]
    return hashlib.sha256(json.dumps([sorted(found.items()), libraries]).encode()).hexdigest()[:16]


def _code(path: Path) -> ast.Module:
    """Without comments, docstrings and layout."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return tree


def is_done(stem: Path) -> bool:
    """The .npz is written last."""
    return stem.with_suffix(".npz").exists() or stem.with_suffix(".json").exists()


def file_digests(dataset: Dataset, store: Path) -> dict[str, list]:
    """Path of each clip -> [size and time of change, SHA-256]; files that were hashed before are not read again."""
    memo = store / HASHES
    known: dict[str, list] = json.loads(memo.read_text()) if memo.exists() else {}
    for clip in dataset.clips:
        state = clip.path.stat()
        stamp = f"{state.st_size} {state.st_mtime_ns}"
        if known.get(file_key(clip.path), [None])[0] != stamp:
            known[file_key(clip.path)] = [stamp, _sha256(clip.path)]
    return known


def file_key(path: Path) -> str:
    return str(path.resolve())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
