"""Replace the dynamics of regions by another clip's and see what the answer becomes (P0 Fig. 3, SPEC A6).

    python -m training.perturb runs/study --out docs/results/swap
    python -m training.perturb RUN... --target 017_deliberate_smile_1.mp4 --donor 073_...mp4 [--out FOLDER]
    python -m training.perturb --tables docs/results/swap/swaps.jsonl --out FOLDER      # the table alone

Of a folder, the runs of the papers' two networks, with and without relational importance. Without names every test clip
of the papers' young targets gets one of their old donors. Both are of the same fold's test side, so that no network has
seen either; both networks get the same pairs. `--out` is for swap.json, swap.md and swap.html (training.swap_table).

Zeroing, which needs no second clip, is part of every run's predictions (training.answers).
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from networks import checkpoint
from networks.network import InterpreterNetwork
from smile.regions import NAMES, REGIONS
from smile.tensors import GENDERS
from training import (
    datasets,
    feature_store,
    predictions,
    protocol,
    report,
    run_config,
    run_record,
    swap_table,
    swaps,
    tables,
    train,
)
from training.answers import batches
from training.batches import Clips
from training.datasets import Clip
from training.ending import in_one_line
from training.feature_store import Features
from training.predictions import Header
from training.published import paper
from training.run_config import RunConfig
from training.swap_table import mean_shift
from training.swaps import FILE, Answered, Swap

Pairs = list[tuple[Clip, Clip]]
"""Targets and donors."""


class CannotSwap(ValueError):
    """Runs that do not go together, or clips that a network may have been trained on."""


@dataclass(frozen=True)
class Run:
    """A finished run of training.train in its folder; `record` is its run.json."""

    folder: Path
    config: RunConfig
    record: dict[str, Any]


@torch.inference_mode()
def swap(network: InterpreterNetwork, features: Features, target: Clip, donor: Clip) -> Swap:
    """d_k of `target` <- d_k of `donor`, for each region in turn; positions stay (SPEC A6).

    Raises ValueError for the holistic network, which has no regions.
    """
    if network.config.ablation == "holistic":
        raise ValueError("the holistic network has no regions to swap")
    (batch,) = batches(Clips(features, (target, donor), network.config))
    own, other = network.encode(batch.sequences(), batch.frame_count)
    variants = [own, other]
    for region in REGIONS:
        mixed = own.clone()
        mixed[region.id] = other[region.id]
        variants.append(mixed)
    answers = network.answer(network.interpret(torch.stack(variants).unsqueeze(0)).output)[0]
    if network.config.trait == "gender":
        answers = answers[:, GENDERS.index("female")]
    plain, donated, *swapped = answers.tolist()
    regions = dict(zip(NAMES, swapped, strict=True))
    return Swap(target.name, target.subject, target.age, donor.name, plain, donated, regions)


def drawn(test: Sequence[Clip]) -> Pairs:
    """Each clip of the papers' group of targets with one of the group of donors, who take turns."""
    printed = paper()["swap"]
    targets, donors = (
        [clip for clip in test if clip.age_group == printed[side]["group"]] for side in ("target", "donor")
    )
    return list(zip(targets, cycle(donors), strict=False))


def named(test: Sequence[Clip], targets: Sequence[str], donors: Sequence[str], fold: int) -> Pairs:
    """The clips of these names. Raises CannotSwap where one of them is not on the test side."""
    clips = {clip.name: clip for clip in test}
    if absent := [name for name in (*targets, *donors) if name not in clips]:
        raise CannotSwap(f"{', '.join(absent)}: not a readable clip of the test side of fold {fold}")
    return [(clips[target], clips[donor]) for target, donor in zip(targets, donors, strict=True)]


def runs(paths: Sequence[Path]) -> list[Run]:
    """Runs as they are named, and the finished ones of the papers' two networks beneath folders.

    Raises CannotSwap where there are none, or where they differ in trait, data, folds or features; ConfigError.
    """
    printed = paper()["swap"]
    methods = {row["method"] for row in printed["rows"]}
    found: list[Run] = []
    for path in paths:
        itself = path / run_record.FILE
        for file in [itself] if itself.exists() else sorted(path.rglob(run_record.FILE)):
            record = json.loads(file.read_text(encoding="utf-8"))
            values = record["config"]
            wanted = values.get("trait") == printed["trait"] and values.get("ablation") in methods
            if file == itself or (wanted and (file.parent / train.PREDICTIONS).exists()):
                found.append(Run(file.parent, run_config.from_dict(values, str(file)), record))
    if not found:
        raise CannotSwap(f"no finished run of {' or '.join(sorted(methods))} for {printed['trait']} here")
    first = found[0]
    for run in found:
        if run.config.trait != first.config.trait or any(
            run.record[key] != first.record[key] for key in ("data", "split", "features")
        ):
            raise CannotSwap(f"{run.folder} has another trait, other data, folds or features than {first.folder}")
    places = [(run.config.ablation, run.config.fold) for run in found]
    if twice := sorted({place for place in places if places.count(place) > 1}):
        raise CannotSwap(f"several runs of {twice[0][0]} on fold {twice[0][1]}")
    return found


def answers(found: Sequence[Run], targets: Sequence[str] = (), donors: Sequence[str] = ()) -> tuple[Header, Answered]:
    """Method -> what becomes of its answers on the test sides of its folds; of drawn pairs where none are named.

    Raises CannotSwap, OSError, and what loading raises (training.train.Failure).
    """
    config = found[0].config
    dataset = datasets.read(Path(config.data))
    features = feature_store.load(dataset, Path(config.backbone), Path(config.cache), config.frame_rate_hz)
    split = protocol.load(Path(config.split))
    if changed := run_record.changed(found[0].record, features, split):
        raise CannotSwap(f"{', '.join(changed)} changed since {found[0].folder} was trained")
    answered: Answered = {}
    for run in found:
        network = checkpoint.load_network(run.folder / "network")
        if not isinstance(network, InterpreterNetwork):
            raise CannotSwap("a network of single frames has no dynamics")
        test = train.readable(split.sides(dataset, run.config.fold), features).test
        pairs = named(test, targets, donors, run.config.fold) if targets else drawn(test)
        made = [swap(network, features, target, donor) for target, donor in pairs]
        answered.setdefault(run.config.ablation, []).extend(made)
    if not any(answered.values()):
        raise CannotSwap("no test side has both a target and a donor of the papers' ages: name --target and --donor")
    return predictions.header(dataset, split.hash, {predictions.RUNS: [run.record for run in found]}), answered


def write(header: Header, answered: Answered, pairs: str, folder: Path) -> None:
    """swaps.jsonl, and swap.json, swap.md and swap.html of it; `pairs` tells how they were chosen."""
    swaps.write(folder / FILE, header, pairs, answered)
    tabulate(folder / FILE, folder)


def tabulate(path: Path, folder: Path) -> None:
    """The table of what `write` has kept. Raises PredictionsError, OSError."""
    header, pairs, answered = swaps.read(path)
    made = [swap_table.table(answered, f"{tables.caption(header)} Pairs: {pairs}.")]
    report.write(folder, "swap", f"Swapped dynamics on {header.data_set}", header.about, made, tables.warning(header))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.perturb", description="Swap the dynamics of regions.")
    parser.add_argument("runs", type=Path, nargs="*", help="folders of finished runs, or folders that hold some")
    parser.add_argument("--target", nargs="+", default=[], help="names of test clips; default: the papers' ages")
    parser.add_argument("--donor", nargs="+", default=[], help="as many")
    parser.add_argument("--out", type=Path, help="folder for the answers and their table")
    parser.add_argument(
        "--tables", type=Path, metavar="SWAPS.jsonl", help="write its table to --out again; swap nothing"
    )
    options = parser.parse_args(arguments)
    if (options.tables is None) == (not options.runs) or (options.tables and not options.out):
        parser.error("give runs, or --tables and --out")
    if len(options.target) != len(options.donor):
        parser.error("as many donors as targets")
    with in_one_line(*train.Failure):
        if options.tables:
            tabulate(options.tables, options.out)
        else:
            _swap(options)
    if options.out:
        print(options.out / "swap.html")


def _swap(options: argparse.Namespace) -> None:
    """Swap, show the mean shifts, and write them where a folder is given."""
    found = runs(options.runs)
    if found[0].config.trait != paper()["swap"]["trait"] and (options.out or not options.target):
        raise CannotSwap("the papers swap for age alone: name --target and --donor, and leave out --out")
    header, answered = answers(found, options.target, options.donor)
    if options.out:
        chosen = "named by hand" if options.target else swap_table.DRAWN
        write(header, answered, chosen, options.out)
    for method, mine in answered.items():
        print(f"{method}: {len(mine)} pairs")
        for name, moved in mean_shift(mine).items():
            error = "?" if moved.se is None else f"{moved.se:.2g}"
            print(f"  {name}: {moved.value:+.3g} towards the donor, standard error {error}")


if __name__ == "__main__":
    main()
