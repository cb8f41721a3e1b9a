"""One run of SIAM on one fold: from clips to weights that `python -m export --network siam` takes.

    python -m training.train_siam runs/simulated --out runs/siam --width compact

Run again after an interruption: it goes on from the last finished epoch, with the order and the dropout that it would
have had. A finished run is left as it is. In the directory of the run:

    run.json             the configuration, and what it was applied to
    checkpoints/         the last epoch and the best weights, with optimiser (removed when the run is finished)
    siam/, card.json     the release; siam/config.json holds the errors
    curves/              TensorBoard
    predictions.jsonl    the test clips (training.predictions); written last
"""

import argparse
import json
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, Sampler

from export import siam as siam_release
from networks.config import WIDTHS
from networks.siam_config import SiamConfig, siam_config
from smile.card import Card
from smile.sampling import FRAME_RATE_HZ
from training import (
    datasets,
    epochs,
    parallel,
    predictions,
    protocol,
    published,
    run_config,
    run_record,
    siam_answers,
    siam_methods,
    train,
)
from training.accepted import UNTOLD, Accepted, add_options
from training.datasets import Clip, Dataset, DatasetError
from training.duplicates import DuplicatesError, read_accepted
from training.ending import in_one_line
from training.feature_store import FeatureError
from training.module import LossNotFinite
from training.options import count_from, frame_rate_hz
from training.predictions import PredictionsError
from training.protocol import Leak, ProtocolError, Sides, Split
from training.published import CountsDiffer
from training.release_parts import provenance_of
from training.run_config import ConfigError
from training.siam_faces import CACHE, FaceClips, content, readable, recipe, same_recordings
from training.siam_methods import CHANGES, SIAM, TRAINED
from training.siam_module import SiamModule, SiamOptimisation

LICENCE = "as the training data"
Failure = (
    ConfigError,
    DatasetError,
    CountsDiffer,
    ProtocolError,
    FeatureError,
    Leak,
    DuplicatesError,
    LossNotFinite,
    PredictionsError,
)


@dataclass(frozen=True)
class SiamRun:
    """One run. Paths are relative to the working directory.

    Attributes:
        method: one of training.siam_methods.TRAINED; names the predictions, and decides which clips are left out.
    """

    data: str
    out: str
    network: SiamConfig = SiamConfig()
    optimisation: SiamOptimisation = SiamOptimisation()
    method: str = SIAM
    fold: int = 0
    folds: int = protocol.FOLDS
    seed: int = 0
    cache: str = str(CACHE)
    frame_rate_hz: float = FRAME_RATE_HZ

    @property
    def is_finished(self) -> bool:
        return (Path(self.out) / train.PREDICTIONS).exists()


class Shuffled(Sampler[int]):
    """Each epoch another order, which depends on seed and epoch alone."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls it before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        yield from np.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist()


def run(config: SiamRun, usable: Collection[str] | None = None, accepted: Accepted = UNTOLD) -> Path:
    """Train, or go on, and write weights and predictions; where they are.

    Args:
        usable: names of the clips that the service would answer, where they are known, and were checked for leaks and
            against the published counts.
        accepted: where they are not.

    Raises:
        ConfigError: the directory holds another run, or another process trains there.
        DatasetError, CountsDiffer, ProtocolError, FeatureError, Leak, DuplicatesError: about the data.
        LossNotFinite: training diverged.
        PredictionsError: an answer to a test clip is no number.
    """
    out = Path(config.out)
    dataset = datasets.read(Path(config.data))
    if usable is None:
        published.check(dataset, accepted.counts)
    split = protocol.split(dataset, config.folds, config.seed)
    sides = split.sides(dataset, config.fold)
    record: dict[str, Any] = {
        "config": json.loads(json.dumps(asdict(config))),
        "commit": run_config.commit(),
        "data": {"name": dataset.name, "digest": dataset.digest, "content": content(dataset.clips)},
        "split": split.hash,
        "features": recipe(config.frame_rate_hz),
    }
    with run_record.held(out):
        run_record.claim(out / run_record.FILE, record)
        if not config.is_finished:
            known = _usable(config, dataset, sides, accepted) if usable is None else _among(sides, usable)
            _train(config, dataset, split, siam_methods.only(config.method, known), record)
    return out / train.PREDICTIONS


def _train(
    config: SiamRun,
    dataset: Dataset,
    split: Split,
    sides: Sides,
    record: dict[str, Any],
) -> None:
    out = Path(config.out)
    started = time.monotonic()
    training, held_out, test = _clips(config, sides)
    module, done = _fit(config, training, held_out)
    network = module.release()
    found = siam_answers.predict(network, test, config.fold, config.method)
    mean_age = np.mean([clip.age for clip in training.clips])
    record |= {
        "clips": [len(training), len(held_out), len(test)],
        "epochs": done,
        "validation_mae_years": module.best,
        "test_mae_years": float(np.mean([item.error() for item in found])),
        siam_methods.GUESS: float(np.mean([abs(item.age - mean_age) for item in found])),
        "seconds": round(time.monotonic() - started, 1),
    }
    seen = f"all {config.folds} folds of {dataset.name} but fold {config.fold}"
    card = Card("siam", seen, LICENCE, config.frame_rate_hz)
    siam_release.save(siam_release.SiamRelease(network, card), out, record)
    if config.method == SIAM:
        found += siam_answers.predict_phases(network, test, config.fold)
    predictions.write(out / train.PREDICTIONS, predictions.header(dataset, split.hash, record), found)
    shutil.rmtree(out / "checkpoints")


def _usable(config: SiamRun, dataset: Dataset, sides: Sides, accepted: Accepted) -> Sides:
    """The clips that the service would answer, which are not on two sides."""
    read_accepted(accepted.duplicates, dataset)  # a file that cannot be read is told before the clips are
    place = Path(config.cache), config.frame_rate_hz
    everyone = readable(sides.training + sides.validation + sides.test, *place, accepted.skipped)
    sides = _among(sides, {clip.name for clip in everyone})
    protocol.check_leaks(
        sides, *same_recordings(FaceClips(everyone, *place), dataset, accepted.duplicates, Path(config.out))
    )
    return sides


def _all(sides: Sides) -> tuple[tuple[Clip, ...], ...]:
    return sides.training, sides.validation, sides.test


def _among(sides: Sides, names: Collection[str]) -> Sides:
    return Sides(*(tuple(clip for clip in side if clip.name in names) for side in _all(sides)))


def _clips(config: SiamRun, sides: Sides) -> tuple[FaceClips, FaceClips, FaceClips]:
    """Raises ProtocolError where a side is empty."""
    training, held_out, test = (FaceClips(side, Path(config.cache), config.frame_rate_hz) for side in _all(sides))
    if not (len(training) and len(held_out) and len(test)):
        raise ProtocolError(f"{config.method}: a side of fold {config.fold} is empty: there are too few clips")
    return training, held_out, test


def _fit(config: SiamRun, training: FaceClips, held_out: FaceClips) -> tuple[SiamModule, int]:
    plan, out = config.optimisation, Path(config.out)
    ages = np.array([clip.age for clip in training.clips], np.float64)
    scale = (float(ages.mean()), float(max(ages.std(), 1.0)))
    module = SiamModule(config.network, plan, config.seed, scale, training.pixel_statistics())
    trainer = pl.Trainer(
        devices=1,
        max_epochs=plan.epochs,
        accumulate_grad_batches=plan.batch,
        gradient_clip_val=plan.clip,
        gradient_clip_algorithm="value",
        callbacks=[epochs.keep_last(out / "checkpoints")],
        logger=TensorBoardLogger(out, name="curves", version=""),
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_progress_bar=parallel.on_terminal(),
        enable_model_summary=False,
    )
    last = out / "checkpoints" / epochs.LAST
    order = _loader(training, Shuffled(len(training), config.seed))
    trainer.fit(module, order, _loader(held_out), ckpt_path=last if last.exists() else None, weights_only=False)
    return module, trainer.current_epoch


def _loader(clips: FaceClips, order: Shuffled | None = None) -> DataLoader:
    """Reads without touching torch's global random numbers, which are the network's."""
    return DataLoader(clips, sampler=order, generator=torch.Generator())


def parse(arguments: list[str] | None) -> tuple[SiamRun, Accepted]:
    """The run, and what it goes on with."""
    parser = argparse.ArgumentParser(prog="python -m training.train_siam", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", help="folder of UvA-NEMO, or a manifest")
    parser.add_argument("--out", required=True)
    parser.add_argument("--width", choices=WIDTHS, default="compact")
    parser.add_argument("--features", type=count_from(1), help="n, instead of 256; others cannot be exported")
    parser.add_argument("--after", type=int, choices=(1, 2, 3), default=2, help="spatial attention after this layer")
    parser.add_argument("--dropout", type=float, default=SiamConfig.dropout)
    parser.add_argument("--recurrent-dropout", type=float, default=SiamConfig.recurrent_dropout)
    for field in ("rate", "l2", "batch", "epochs"):
        default = getattr(SiamOptimisation, field)
        parser.add_argument(f"--{field}", type=type(default), default=default)
    parser.add_argument("--method", choices=TRAINED, default=SIAM, help="which mechanism, modules and clips")
    parser.add_argument("--frame-rate", type=frame_rate_hz, default=FRAME_RATE_HZ, help="Hz of the sampling grid")
    parser.add_argument("--fold", type=count_from(0), default=0)
    parser.add_argument("--folds", type=count_from(2), default=protocol.FOLDS)
    parser.add_argument("--seed", type=count_from(0), default=0)
    parser.add_argument("--cache", default=str(CACHE))
    add_options(parser)
    given = parser.parse_args(arguments)
    network = replace(
        siam_config(given.width),
        attention_after=given.after,
        dropout=given.dropout,
        recurrent_dropout=given.recurrent_dropout,
        **CHANGES.get(given.method, {}),
    )
    network = replace(network, features=given.features) if given.features is not None else network
    plan = SiamOptimisation(given.rate, l2=given.l2, batch=given.batch, epochs=given.epochs)
    same = {name: getattr(given, name) for name in ("data", "out", "method", "fold", "folds", "seed", "cache")}
    return SiamRun(network=network, optimisation=plan, frame_rate_hz=given.frame_rate, **same), Accepted.of(given)


def main(arguments: list[str] | None = None) -> None:
    train.quiet()
    with in_one_line(*Failure):
        config, told = parse(arguments)
        print(run(config, accepted=told))
    provenance = provenance_of(Path(config.out) / siam_release.NETWORK)
    print(json.dumps({name: value for name, value in provenance.items() if "mae" in name or name == "epochs"}))


if __name__ == "__main__":
    main()
