"""The paper's choice of settings for SIAM (SPEC B2), for each fold by its own validation clips alone.

    python -m training.siam_search --data DIR --out runs/siam_search [--folds N --width small --epochs N ...]
    python -m training.siam_study --data DIR --out runs/siam_study --settings runs/siam_search/search.json

Every option of the paper is tried, one setting after another, in the order of OPTIONS, with what was best so far in the
others; the paper does not say whether it tried all combinations, which are 336 networks a fold instead of 15. Takes the
options of training.siam_study, and goes on where it was stopped. In the folder:

    runs/<fold>/<settings>/    training.train_siam
    search.json                every network with its validation error, and the best settings of each fold
"""

import json
from collections.abc import Sequence
from functools import partial
from math import inf, isfinite
from pathlib import Path
from typing import Any

from networks import checkpoint
from training import datasets, parallel, published, siam_plan, siam_study, train, train_siam
from training.accepted import UNTOLD, Accepted
from training.ending import in_one_line
from training.run_config import ConfigError
from training.siam_methods import SIAM
from training.siam_plan import FOUND, Settings, SiamPlan
from training.siam_record import Record
from training.train_siam import SiamRun

_RATES = (0.0, 0.1, 0.2, 0.4)
OPTIONS: dict[str, tuple[float, ...]] = {
    "features": (128, 256, 512),
    "dropout": _RATES,
    "recurrent_dropout": _RATES,
    "l2": (0.0, 1e-4, 3e-4, 5e-4, 1e-3, 3e-3, 5e-3),
}
"""The paper's option sets: n, the rate of the convolutional module, that of the recurrent one, and lambda."""
RECORD = "search.json"


def first(plan: SiamPlan) -> Settings:
    """Where the search begins: what the plan says."""
    network, optimisation = plan.network(SIAM), plan.optimisation
    return {name: getattr(network if hasattr(network, name) else optimisation, name) for name in OPTIONS}


def error_of(run: SiamRun) -> float:
    """Validation error of a finished run, in years; infinite where it was not possible."""
    if not run.is_finished:
        return inf
    config = json.loads((Path(run.out) / SIAM / checkpoint.CONFIG).read_text(encoding="utf-8"))
    return float(config["provenance"]["validation_mae_years"])


def search(
    plan: SiamPlan, data: Path, out: Path, cache: Path, processes: int | None, accepted: Accepted = UNTOLD
) -> dict[str, Settings]:
    """The best settings of each fold; the earlier option where two are equal.

    Raises:
        ConfigError: `out` holds another search, or a setting has no option that can be trained.
        DatasetError, CountsDiffer, ProtocolError, FeatureError, Leak, DuplicatesError: about the data.
    """
    dataset = datasets.read(data)
    published.check(dataset, accepted.counts)
    record = Record.begin(out / RECORD, plan, dataset)
    work = partial(siam_study.attempt, usable=record.usable(plan, dataset, cache, processes, accepted))
    failed: list[str] = []
    best = {fold: first(plan) for fold in range(plan.folds)}
    tried: dict[str, dict[str, Any]] = {}
    for name, options in OPTIONS.items():
        runs = {
            (fold, option): plan.run(SIAM, fold, data, _folder(out, fold, settings), cache, settings)
            for fold in best
            for option in options
            for settings in [best[fold] | {name: option}]
        }
        waiting = [run for run in runs.values() if not run.is_finished]
        done, gpus = len(runs) - len(waiting), parallel.gpus()
        found = parallel.run_all(work, waiting, name, processes, train.quiet, done=done, gpus=gpus)
        failed += filter(None, found)
        for fold, settings in best.items():
            errors = {option: error_of(runs[fold, option]) for option in options}
            if not any(map(isfinite, errors.values())):
                raise ConfigError(f"no option of {name} could be trained in fold {fold}: {'; '.join(failed)}")
            for option, years in errors.items():
                settled = {"fold": fold, **settings, name: option}
                tried[runs[fold, option].out] = settled | {"validation_mae_years": years if isfinite(years) else None}
            settings[name] = min(errors, key=errors.__getitem__)
    chosen = {str(fold): settings for fold, settings in best.items()}
    record.save(tried=list(tried.values()), not_possible=sorted(failed), **{FOUND: chosen})
    return chosen


def _folder(out: Path, fold: int, settings: Settings) -> Path:
    return out / "runs" / str(fold) / "-".join(f"{value:g}" for value in settings.values())


def main(arguments: Sequence[str] | None = None) -> None:
    given = siam_plan.parser("siam_search", (__doc__ or "").splitlines()[0]).parse_args(arguments)
    with in_one_line(*train_siam.Failure):
        plan = siam_plan.plan_of(given, (SIAM,))
        found = search(plan, given.data, given.out, given.cache, given.processes, Accepted.of(given))
    for fold, settings in found.items():
        print(f"fold {fold}: {', '.join(f'{name} {value:g}' for name, value in settings.items())}")
    for problem in json.loads((given.out / RECORD).read_text(encoding="utf-8"))["not_possible"]:
        print(f"not possible: {problem}")
    print(given.out / RECORD)


if __name__ == "__main__":
    main()
