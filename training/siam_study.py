"""The experiments on SIAM, unattended: clips -> warped faces -> folds -> every mechanism, module and choice of clips.

    python -m training.siam_study --data DIR --out DIR [--tiny | --width small --folds N --epochs N --frame-rate HZ ...]
    python -m training.siam_study --data DIR --out DIR --beside runs/study     # the first network's predictions

May be interrupted at any point: what is finished is recognised by its files and not repeated. In the study's folder:

    runs/<method>/<fold>/    training.train_siam
    tables/                  training.siam_tables
    study.json               what was run, the clips that the service would refuse, the runs that were not possible
"""

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import torch

from networks.config import WIDTHS
from smile.errors import SmileError
from training import datasets, evaluate, parallel, protocol, run_config, siam_tables, train, train_siam
from training.datasets import Dataset
from training.module import Schedule
from training.run_config import ConfigError
from training.siam_faces import CACHE, FaceClips, cached, same_recordings
from training.siam_methods import POSED, TRAINED
from training.siam_plan import FULL, LAYERS, TINY, SiamPlan
from training.tables import DISGUST_DATA
from training.train_siam import SiamRun

RECORD = "study.json"


def begin(plan: SiamPlan, out: Path, dataset: Dataset) -> dict[str, Any]:
    """The record of the study in `out`. Raises ConfigError where it holds another one."""
    given = {"plan": asdict(plan), "data": {"name": dataset.name, "digest": dataset.digest}}
    record: dict[str, Any] = json.loads(json.dumps(given))
    if (out / RECORD).exists():
        before: dict[str, Any] = json.loads((out / RECORD).read_text(encoding="utf-8"))
        if differing := [name for name in record if before.get(name) != record[name]]:
            raise ConfigError(f"{out} holds another study: {', '.join(differing)} differ; choose another --out")
        record = before
    return record | {
        "command": " ".join(["python -m training.siam_study", *sys.argv[1:]]),
        "commit": run_config.commit(),
    }


def refused(dataset: Dataset, plan: SiamPlan, cache: Path, processes: int | None) -> dict[str, str]:
    """Fill the cache; clip -> why the service would not answer it."""
    jobs = [(clip.name, clip.path, cache, plan.frame_rate_hz) for clip in dataset.clips]
    found = parallel.run_all(_prepare, jobs, "faces", processes)
    return {name: problem for name, problem in sorted(found) if problem}


def check_leaks(plan: SiamPlan, dataset: Dataset, usable: Collection[str], cache: Path) -> None:
    """Raises Leak where a recording is on two sides of a fold."""
    clips = tuple(clip for clip in dataset.clips if clip.name in usable)
    twins = same_recordings(FaceClips(clips, cache, plan.frame_rate_hz), simulated=dataset.simulated)
    split = protocol.split(dataset, plan.folds, plan.seed)
    for fold in range(plan.folds):
        protocol.check_leaks(split.sides(dataset, fold), twins)


def runs(plan: SiamPlan, data: Path, out: Path, cache: Path) -> list[SiamRun]:
    """Every run, fold by fold, so that an unfinished study has whole folds."""
    return [
        SiamRun(
            data=str(data),
            out=str(out / "runs" / method / str(fold)),
            network=plan.network(method),
            optimisation=plan.optimisation,
            method=method,
            fold=fold,
            folds=plan.folds,
            seed=plan.seed,
            cache=str(cache),
            frame_rate_hz=plan.frame_rate_hz,
        )
        for fold in range(plan.folds)
        for method in plan.methods
    ]


def study(
    plan: SiamPlan, data: Path, out: Path, cache: Path, beside: Sequence[Path] = (), processes: int | None = None
) -> list[str]:
    """Everything that is not finished; the runs that were not possible, one line each.

    Args:
        beside: predictions of the first network on the same folds.

    Raises:
        ConfigError: `out` holds another study.
        DatasetError, ProtocolError, Leak: about the data.
        PredictionsError: those of `beside` are on other folds.
    """
    dataset = datasets.read(data)
    if dataset.name == DISGUST_DATA:
        plan = replace(plan, methods=tuple(method for method in plan.methods if method != POSED))  # all of it is posed
    out.mkdir(parents=True, exist_ok=True)
    record = begin(plan, out, dataset)
    if "refused" not in record:
        record["refused"] = refused(dataset, plan, cache, processes)
        _save(record, out)
    usable = frozenset(clip.name for clip in dataset.clips) - frozenset(record["refused"])
    check_leaks(plan, dataset, usable, cache)
    configs = runs(plan, data, out, cache)
    waiting = [config for config in configs if not config.is_finished]
    results = parallel.run_all(_work, waiting, "runs", processes, _start, (usable,), len(configs) - len(waiting))
    record["not_possible"] = sorted(problem for problem in results if problem)
    _save(record, out)
    written = [Path(config.out) / train.PREDICTIONS for config in configs if config.is_finished]
    siam_tables.write([*written, *(evaluate.found(beside) if beside else ())], out / "tables")
    return list(record["not_possible"])


def _save(record: dict[str, Any], out: Path) -> None:
    partial = out / f"{RECORD}.partial"
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(out / RECORD)


def _prepare(job: tuple[str, Path, Path, float]) -> tuple[str, str]:
    name, path, cache, frame_rate_hz = job
    try:
        cached(path, cache, frame_rate_hz)
    except SmileError as error:
        return name, str(error)
    return name, ""


_usable: frozenset[str]


def _start(usable: frozenset[str]) -> None:
    global _usable
    train.quiet()
    _usable = usable


def _work(config: SiamRun) -> str | None:
    """Train; why that was not possible, since one failed run must not end the others."""
    try:
        train_siam.run(config, _usable)
    except (*train_siam.Failure, OSError, torch.OutOfMemoryError) as error:
        return f"{config.method} fold {config.fold}: {error}"
    return None


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.siam_study", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of UvA-NEMO, or a manifest")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="the chain in small: numbers without meaning")
    parser.add_argument(
        "--beside", type=Path, nargs="+", default=(), help="predictions of the first network, or folders"
    )
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--processes", type=int, help="default: one for each core")
    plan = parser.add_argument_group("instead of the plan's")
    plan.add_argument("--methods", nargs="+", choices=TRAINED)
    plan.add_argument("--folds", type=int)
    plan.add_argument("--seed", type=int, help="of the folds and of the networks")
    plan.add_argument("--width", choices=(*WIDTHS, *LAYERS), help="those that are not exported cost least")
    plan.add_argument("--epochs", type=int)
    plan.add_argument("--rate", type=float, help="learning rate")
    plan.add_argument("--schedule", choices=get_args(Schedule), help="cosine falls to nothing within the epochs")
    plan.add_argument("--batch", type=int, help="clips")
    plan.add_argument("--frame-rate", type=float, dest="frame_rate_hz", metavar="HZ", help="of the sampling grid")
    return parser.parse_args(arguments)


def plan_of(given: argparse.Namespace) -> SiamPlan:
    """The plan, changed in what was given."""

    def changes(*names: str) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(given, name)) is not None}

    plan = TINY if given.tiny else FULL
    plan = plan.with_width(given.width) if given.width else plan
    optimisation = replace(plan.optimisation, **changes("epochs", "rate", "schedule", "batch"))
    methods = tuple(given.methods or plan.methods)
    return replace(plan, methods=methods, optimisation=optimisation, **changes("folds", "seed", "frame_rate_hz"))


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)
    try:
        problems = study(plan_of(given), given.data, given.out, given.cache, given.beside, given.processes)
    except (*train_siam.Failure, parallel.WorkerDied) as error:
        sys.exit(f"error: {error}")
    for problem in problems:
        print(f"not possible: {problem}")
    print(given.out / "tables" / "siam.html")


if __name__ == "__main__":
    main()
