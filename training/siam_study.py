"""The experiments on SIAM, unattended: clips -> warped faces -> folds -> every mechanism, module and choice of clips.

    python -m training.siam_study --data DIR --out DIR [--tiny | --width small --folds N --epochs N --frame-rate HZ ...]
    python -m training.siam_study --data DIR --out DIR --beside runs/study     # the first network's predictions
    python -m training.siam_study --data DIR --out DIR --settings search.json     # of training.siam_search

May be interrupted at any point: what is finished is recognised by its files and not repeated. In the study's folder:

    runs/<method>/<fold>/    training.train_siam
    tables/                  training.siam_tables
    study.json               what was run, the clips that the service would refuse, the runs that were not possible
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from training import (
    datasets,
    evaluate,
    parallel,
    predictions,
    protocol,
    published,
    siam_plan,
    siam_tables,
    train,
    train_siam,
)
from training.accepted import UNTOLD, Accepted
from training.datasets import Dataset
from training.ending import in_one_line
from training.predictions import PredictionsError
from training.siam_methods import POSED, TRAINED
from training.siam_plan import Settings, SiamPlan
from training.siam_record import Record
from training.tables import DISGUST_DATA
from training.train_siam import SiamRun

RECORD, TABLES = "study.json", "tables"


def runs(
    plan: SiamPlan, data: Path, out: Path, cache: Path, settings: Mapping[str, Settings] | None = None
) -> list[SiamRun]:
    """Every run, fold by fold, so that an unfinished study has whole folds."""
    return [
        plan.run(method, fold, data, out / "runs" / method / str(fold), cache, (settings or {}).get(str(fold)))
        for fold in range(plan.folds)
        for method in plan.methods
    ]


def study(
    plan: SiamPlan,
    data: Path,
    out: Path,
    cache: Path,
    beside: Sequence[Path] = (),
    processes: int | None = None,
    searched: Path | None = None,
    accepted: Accepted = UNTOLD,
) -> list[str]:
    """Everything that is not finished; the runs that were not possible, one line each.

    Args:
        beside: predictions of the first network on the same folds.
        searched: what training.siam_search wrote about the same folds; its settings take the place of the plan's.

    Raises:
        ConfigError: `out` holds another study, or `searched` is about other folds.
        DatasetError, CountsDiffer, ProtocolError, FeatureError, Leak, DuplicatesError: about the data.
        PredictionsError: those of `beside` are on other folds.
    """
    dataset = datasets.read(data)
    published.check(dataset, accepted.counts)
    if dataset.name == DISGUST_DATA:
        plan = replace(plan, methods=tuple(method for method in plan.methods if method != POSED))  # all of it is posed
    compared = _compared(beside, plan, dataset) if beside else []
    settings = siam_plan.settings_of(searched, plan, dataset) if searched else None
    record = Record.begin(out / RECORD, plan, dataset, settings=settings)
    usable = record.usable(plan, dataset, cache, processes, accepted)
    configs = runs(plan, data, out, cache, settings)
    waiting = [config for config in configs if not config.is_finished]
    work = partial(attempt, usable=usable)
    done, gpus = len(configs) - len(waiting), parallel.gpus()
    results = parallel.run_all(work, waiting, "runs", processes, train.quiet, done=done, gpus=gpus)
    record.save(not_possible=sorted(problem for problem in results if problem))
    written = [Path(config.out) / train.PREDICTIONS for config in configs if config.is_finished]
    if written:
        siam_tables.write([*written, *compared], out / TABLES)
    return list(record.fields["not_possible"])


def _compared(beside: Sequence[Path], plan: SiamPlan, dataset: Dataset) -> list[Path]:
    """The files of predictions. Raises PredictionsError where they cannot be read, or are on other folds."""
    files = evaluate.found(beside)
    found, ours = predictions.read(files)[0].split, protocol.split(dataset, plan.folds, plan.seed).hash
    if found != ours:
        raise PredictionsError(f"{files[0]}: predictions on the folds {found}, not on those of the study, {ours}")
    return files


def attempt(config: SiamRun, usable: frozenset[str]) -> str | None:
    """Train; why that was not possible, since one failed run must not end the others."""
    try:
        train_siam.run(config, usable)
    except (*train_siam.Failure, OSError, torch.OutOfMemoryError) as error:
        return f"{config.method} fold {config.fold}: {error}"
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = siam_plan.parser("siam_study", (__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=TRAINED)
    parser.add_argument("--settings", type=Path, metavar="FILE", help="search.json of training.siam_search")
    parser.add_argument(
        "--beside", type=Path, nargs="+", default=(), help="predictions of the first network, or folders"
    )
    given = parser.parse_args(arguments)
    with in_one_line(*train_siam.Failure):
        plan = siam_plan.plan_of(given, given.methods)
        more = given.beside, given.processes, given.settings, Accepted.of(given)
        problems = study(plan, given.data, given.out, given.cache, *more)
    for problem in problems:
        print(f"not possible: {problem}")
    if not (tables := given.out / TABLES / "siam.html").exists():
        sys.exit("error: no run was possible")
    print(tables)


if __name__ == "__main__":
    main()
