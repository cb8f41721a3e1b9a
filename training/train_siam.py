"""One run of SIAM on one fold: from clips to weights that `python -m export --network siam` takes.

    python -m training.train_siam runs/simulated --out runs/siam --width compact

In the directory of the run:

    run.json      configuration, data, error on the test side
    siam/, card.json    the release
    curves/       one line of CSV for each epoch
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from networks import checkpoint
from networks.config import WIDTHS
from networks.siam import Siam
from networks.siam_config import MECHANISMS, SiamConfig, siam_config
from smile.card import Card
from smile.sampling import FRAME_RATE_HZ
from training import datasets, protocol
from training.datasets import DatasetError
from training.protocol import ProtocolError
from training.siam_faces import CACHE, FaceClips, readable
from training.siam_module import SiamModule, SiamOptimisation

LICENCE = "as the training data"


def run(
    data: Path,
    out: Path,
    network: SiamConfig,
    optimisation: SiamOptimisation,
    *,
    fold: int = 0,
    folds: int = protocol.FOLDS,
    seed: int = 0,
    cache: Path = CACHE,
) -> dict[str, object]:
    """Train, select by the validation side, measure on the test side; what run.json holds.

    Raises:
        DatasetError, ProtocolError: about the data.
    """
    dataset = datasets.read(data)
    sides = protocol.split(dataset, folds, seed).sides(dataset, fold)
    training, held_out, test = (
        FaceClips(readable(clips, cache), cache) for clips in (sides.training, sides.validation, sides.test)
    )
    if not (len(training) and len(held_out) and len(test)):
        raise ProtocolError(f"a side of fold {fold} is empty: {len(dataset.subjects)} subjects are too few")
    ages = np.array([clip.age for clip in training.clips], np.float64)
    module = SiamModule(
        network,
        optimisation,
        seed,
        (float(ages.mean()), float(max(ages.std(), 1.0))),
        training.pixel_statistics(),
    )
    trainer = pl.Trainer(
        max_epochs=optimisation.epochs,
        accumulate_grad_batches=optimisation.batch,
        gradient_clip_val=optimisation.clip,
        gradient_clip_algorithm="value",
        logger=CSVLogger(out, name="curves", version=""),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    torch.manual_seed(seed)
    trainer.fit(module, DataLoader(training, shuffle=True), DataLoader(held_out))
    best = module.release()
    record: dict[str, object] = {
        "data": dataset.name,
        "fold": fold,
        "folds": folds,
        "seed": seed,
        "network": asdict(network),
        "optimisation": asdict(optimisation),
        "clips": [len(training), len(held_out), len(test)],
        "epochs": trainer.current_epoch,
        "validation_mae_years": module.best,
        "test_mae_years": mean_absolute_error(best, test),
        "test_mae_of_the_mean_age": float(np.mean([abs(clip.age - ages.mean()) for clip in test.clips])),
    }
    checkpoint.save(best, out / "siam", record)
    card = Card("siam", f"{dataset.name}, fold {fold} of {folds}", LICENCE, FRAME_RATE_HZ)
    (out / "card.json").write_text(card.to_json() + "\n", encoding="utf-8")
    (out / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


@torch.no_grad()
def mean_absolute_error(network: Siam, clips: FaceClips) -> float:
    """In years."""
    errors = []
    for faces, age in (clips[row] for row in range(len(clips))):
        estimate, _ = network(faces[None], torch.tensor([len(faces)]))
        errors.append(abs(float(network.answer(estimate.output)) - float(age)))
    return float(np.mean(errors))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.train_siam", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of UvA-NEMO, or a manifest")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", choices=WIDTHS, default="compact")
    parser.add_argument("--features", type=int, help="n, instead of 256; others cannot be exported")
    parser.add_argument("--mechanism", choices=MECHANISMS, default="indexed")
    parser.add_argument("--after", type=int, choices=(1, 2, 3), default=2, help="spatial attention after this layer")
    parser.add_argument("--without", nargs="+", choices=("spatial", "recurrent", "temporal"), default=[])
    parser.add_argument("--dropout", type=float, default=SiamConfig.dropout)
    parser.add_argument("--recurrent-dropout", type=float, default=SiamConfig.recurrent_dropout)
    for field in ("rate", "l2", "batch", "epochs"):
        default = getattr(SiamOptimisation, field)
        parser.add_argument(f"--{field}", type=type(default), default=default)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--folds", type=int, default=protocol.FOLDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    network = replace(
        siam_config(options.width),
        mechanism=options.mechanism,
        attention_after=options.after,
        dropout=options.dropout,
        recurrent_dropout=options.recurrent_dropout,
        spatial="spatial" not in options.without,
        recurrent="recurrent" not in options.without,
        temporal="temporal" not in options.without,
    )
    network = replace(network, features=options.features) if options.features else network
    plan = SiamOptimisation(options.rate, l2=options.l2, batch=options.batch, epochs=options.epochs)
    where = {"fold": options.fold, "folds": options.folds, "seed": options.seed, "cache": options.cache}
    try:
        record = run(options.data, options.out, network, plan, **where)
    except (DatasetError, ProtocolError) as error:
        sys.exit(f"error: {error}")
    print(json.dumps({name: record[name] for name in record if "mae" in name or name == "epochs"}))


if __name__ == "__main__":
    main()
