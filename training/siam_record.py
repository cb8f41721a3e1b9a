"""What a study of SIAM, or a search for its settings, keeps of itself, and which clips it may use."""

import json
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training import protocol, run_config
from training.accepted import UNTOLD, Accepted, check_skipped
from training.datasets import Dataset
from training.run_config import ConfigError
from training.siam_faces import FaceClips, content, recipe, refusals, same_recordings
from training.siam_plan import SiamPlan
from training.whole import write_text


@dataclass
class Record:
    """A JSON file: what was asked for, by which command and commit, and what was found."""

    path: Path
    fields: dict[str, Any]

    @classmethod
    def begin(cls, path: Path, plan: SiamPlan, dataset: Dataset, **more: Any) -> "Record":
        """Raises ConfigError where the file is of another plan, other labels or files of clips, another preprocessor or
        other `more`. So what it says of refused clips is still true."""
        asked = {
            "plan": asdict(plan),
            "data": {"name": dataset.name, "digest": dataset.digest},
            "content": content(dataset.clips),
            "features": recipe(plan.frame_rate_hz),
            **more,
        }
        fields: dict[str, Any] = json.loads(json.dumps(asked))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if differing := [name for name in fields if before.get(name) != fields[name]]:
                what = f"{path.parent} holds another {path.stem}"
                raise ConfigError(f"{what}: {', '.join(differing)} differ; choose another --out")
            fields = before
        command = " ".join([f"python -m training.siam_{path.stem}", *sys.argv[1:]])
        return cls(path, fields | {"command": command, "commit": run_config.commit()})

    def save(self, **found: Any) -> None:
        self.fields |= found
        write_text(self.path, json.dumps(self.fields, indent=1) + "\n")

    def usable(
        self, plan: SiamPlan, dataset: Dataset, cache: Path, processes: int | None, accepted: Accepted = UNTOLD
    ) -> frozenset[str]:
        """Fill the cache; the clips that the service would answer.

        Raises:
            FeatureError: more clips than are accepted are not among them.
            ProtocolError, DuplicatesError: about the labels and about the accepted duplicates, before clips are read.
            Leak: and what reading clips may.
        """
        protocol.check_given(dataset, plan.folds, plan.seed, accepted.duplicates)
        if "refused" not in self.fields:
            found = refusals(dataset.clips, cache, plan.frame_rate_hz, processes)
            self.save(refused=dict(sorted(found)))
        check_skipped(self.fields["refused"], len(dataset.clips), accepted.skipped)
        kept = frozenset(clip.name for clip in dataset.clips) - frozenset(self.fields["refused"])
        check_leaks(plan, dataset, kept, cache, self.path.parent, accepted.duplicates)
        return kept


def check_leaks(
    plan: SiamPlan, dataset: Dataset, usable: Collection[str], cache: Path, out: Path, accepted: Path | None = None
) -> None:
    """Raises Leak where a recording is on two sides of a fold; `accepted` and `out` as of same_recordings."""
    clips = tuple(clip for clip in dataset.clips if clip.name in usable)
    groups = same_recordings(FaceClips(clips, cache, plan.frame_rate_hz), dataset, accepted, out)
    split = protocol.split(dataset, plan.folds, plan.seed)
    for fold in range(plan.folds):
        protocol.check_leaks(split.sides(dataset, fold), *groups)
