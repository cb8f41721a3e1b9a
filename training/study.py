"""The whole protocol, unattended: clips -> features -> folds -> every trait, ablation and fold -> tables.

    python -m training.study --plan tiny           # the chain in small, from one public-domain portrait
    python -m training.study                       # 1,240 simulated clips of 400 subjects
    python -m training.study --plan planted        # simulated clips in which only the timing of two regions tells
    python -m training.study --data UvA-NEMO_DIR   # the real thing, in a size for CPUs
    python -m training.study --plan paper --data UvA-NEMO_DIR --backbone VGG-FACE_DIR    # in the paper's

May be interrupted at any point: what is finished is recognised by its files and not repeated. In the study's folder:

    data/            the simulated set, where none was given
    backbone/        the shipped backbone, or the random one of the tiny study, where none was given
    folds.json       training.protocol
    runs/<trait>/<ablation>/<fold>/    training.train
    tables/          training.evaluate
    study.json       what was run, the seconds of each part, what failed
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from networks import checkpoint
from training import (
    datasets,
    duplicates,
    evaluate,
    features,
    parallel,
    protocol,
    published,
    run_config,
    shipped,
    study_data,
    train,
)
from training.accepted import UNTOLD, Accepted
from training.datasets import Dataset
from training.ending import in_one_line
from training.feature_store import Features
from training.protocol import Split
from training.run_config import RunConfig
from training.study_plan import Plan, chosen_plan, parser
from training.whole import write_text

RECORD = "study.json"


class Study:
    """A study in its folder.

    Args:
        data: a data set on disk; None where it is simulated into the folder.
        stills: to simulate from.
        backbone: checkpoint directory.
        accepted: other counts than the published ones, unreadable clips, and clips that are alike.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        data: Path | None,
        stills: Path,
        backbone: Path,
        cache: Path,
        accepted: Accepted = UNTOLD,
    ) -> None:
        self.accepted = accepted
        self.plan, self.out, self.stills, self.backbone, self.cache = plan, out, stills, backbone, cache
        self.simulates = data is None
        self.data = data or out / "data"
        out.mkdir(parents=True, exist_ok=True)
        self.record: dict[str, Any] = {"plan": asdict(plan), "seconds": {}}
        if (out / RECORD).exists():
            before = json.loads((out / RECORD).read_text(encoding="utf-8"))
            if before["plan"] != json.loads(json.dumps(asdict(plan))):
                raise run_config.ConfigError(f"{out} holds a study with another plan: choose another --out")
            self.record = before
        self.record |= {"command": " ".join(["python -m training.study", *sys.argv[1:]]), "commit": run_config.commit()}

    def run(self, processes: int | None) -> list[str]:
        """Everything that is not finished; what failed, one line for each run."""
        if self.simulates:
            with self.timed("simulation"):
                study_data.simulate(self.stills, self.data, self.plan, processes or os.cpu_count() or 1)
        dataset = datasets.read(self.data)
        published.check(dataset, self.accepted.counts)
        protocol.check_given(dataset, self.plan.folds, self.plan.seed, self.accepted.duplicates)
        with self.timed("features"):
            given = self.plan.frame_rate_hz, processes, self.accepted.skipped
            found = features.prepare(dataset, self.backbone, self.cache, *given)
        self.same("features", asdict(found.recipe))
        self.same("content", found.content)
        self.record["skipped"] = found.skipped
        for name, why in found.skipped.items():
            print(f"skipped {name}: {why}")
        split = self.split(dataset, found)
        self.same("split", split.hash)
        with self.timed("training"):
            failed = self.train(found, split, processes)
        self.record["failed"] = failed
        if written := [path for config in self.configs() if (path := Path(config.out) / train.PREDICTIONS).exists()]:
            with self.timed("tables"):
                evaluate.write(written, self.out / "tables")
        self.record["seconds_of_a_run"] = self.mean_seconds()
        self.save()
        return failed

    def same(self, name: str, value: Any) -> None:
        """Runs of one study must agree on what they were given. Raises ConfigError where it changed meanwhile."""
        if self.record.setdefault(name, value) != value:
            was = self.record[name]
            raise run_config.ConfigError(
                f"{self.out} was begun with {name} {was}, now they are {value}: restore them, or choose another --out"
            )

    def split(self, dataset: Dataset, found: Features) -> Split:
        """The folds, made once. Raises Leak where a recording is on two sides of one of them."""
        path = self.out / "folds.json"
        if not path.exists():
            protocol.save(protocol.split(dataset, self.plan.folds, self.plan.seed), path)
        split = protocol.load(path)
        same, alike = duplicates.same_files(dataset.clips), self.alike(dataset, found)
        for fold in range(len(split.folds)):
            protocol.check_leaks(split.sides(dataset, fold), same, alike)
        return split

    def alike(self, dataset: Dataset, found: Features) -> list[list[str]]:
        """Clips that look like one recording, and that nobody has accepted. Raises DuplicatesError."""
        if self.simulates:  # subjects of a simulated set may be variants of one portrait
            return []
        hashes = {clip.name: duplicates.clip_hash(found.crops(clip)) for clip in found.dataset.clips}
        accepted = duplicates.read_accepted(self.accepted.duplicates, dataset)
        self.record["accepted_duplicates"] = [sorted(group) for group in accepted]
        return duplicates.not_accepted(duplicates.near_duplicates(hashes), dataset, accepted, self.out)

    def configs(self) -> list[RunConfig]:
        """Every run, fold by fold, so that an unfinished study has whole folds."""
        plan = self.plan
        return [
            RunConfig(
                data=str(self.data),
                split=str(self.out / "folds.json"),
                backbone=str(self.backbone),
                out=str(self.out / "runs" / trait / ablation / str(fold)),
                trait=trait,
                ablation=ablation,
                width=plan.width,
                fold=fold,
                layers=plan.layers if ablation != "image_cnn" else None,
                optimisation=plan.optimisation,
                seed=plan.seed + fold,
                cache=str(self.cache),
                frame_rate_hz=plan.frame_rate_hz,
                precision=plan.precision,
            )
            for fold in range(plan.folds)
            for trait in plan.traits
            for ablation in plan.ablations
        ]

    def train(self, found: Features, split: Split, processes: int | None) -> list[str]:
        configs = self.configs()
        waiting = [config for config in configs if not train.is_finished(config)]
        done = len(configs) - len(waiting)
        results = parallel.run_all(_work, waiting, "runs", processes, _start, (found, split), done, parallel.gpus())
        return sorted(problem for problem in results if problem)

    def mean_seconds(self) -> dict[str, float]:
        """Ablation -> mean seconds of its runs."""
        seconds: dict[str, list[float]] = {}
        for config in self.configs():
            path = Path(config.out) / "network" / checkpoint.CONFIG
            if path.exists():
                provenance = json.loads(path.read_text(encoding="utf-8"))["provenance"]
                seconds.setdefault(config.ablation, []).append(provenance["seconds"])
        return {ablation: round(sum(values) / len(values), 1) for ablation, values in seconds.items()}

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the seconds of a part to those that it took before an interruption."""
        started = time.monotonic()
        print(part, flush=True)
        try:
            yield
        finally:
            spent = self.record["seconds"].get(part, 0.0) + time.monotonic() - started
            self.record["seconds"][part] = round(spent, 1)
            self.save()

    def save(self) -> None:
        write_text(self.out / RECORD, json.dumps(self.record, indent=1) + "\n")


_loaded: tuple[Features, Split]


def _start(found: Features, split: Split) -> None:
    global _loaded
    train.quiet()
    _loaded = found, split


def _work(config: RunConfig) -> str | None:
    """Train; what went wrong, since one failed run must not end the others."""
    try:
        train.run(config, *_loaded)
    except (*train.Failure, OSError, torch.OutOfMemoryError) as error:
        return f"{config.trait} {config.ablation} fold {config.fold}: {error}"
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser("python -m training.study", (__doc__ or "").splitlines()[0]).parse_args(arguments)
    if options.plan == "planted" and options.data:
        sys.exit("error: --plan planted simulates its data: leave out --data")
    if options.data and options.stills:
        sys.exit("error: --stills are to simulate data from: leave out --data, or them")
    if options.plan == "paper" and not options.backbone:
        sys.exit("error: --plan paper needs --backbone: import VGG-Face with training.vggface")
    plan = chosen_plan(options)
    out = options.out or Path("runs/study" if options.plan == "full" else f"runs/study-{options.plan}")
    kinds = duplicates.DuplicatesError, published.CountsDiffer, shipped.NotShipped, study_data.NoData
    with in_one_line(*train.Failure, *kinds):
        stills, backbone = options.stills or study_data.STILLS, options.backbone
        if options.plan == "tiny":
            if not (options.data or options.stills):
                stills = study_data.portraits(out / "stills", plan)
            backbone = backbone or study_data.random_backbone(out / "backbone", plan.seed)
        backbone = backbone or shipped.write(out / "backbone")
        study = Study(plan, out, options.data, stills, backbone, options.cache, Accepted.of(options))
        failed = study.run(options.processes)
    if (tables := out / "tables" / "tables.html").exists():
        print(tables)
    print(json.dumps(study.record["seconds"]))
    if failed:
        sys.exit("error: these runs failed:\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    main()
