"""One run: one trait, one ablation, one fold; from cached features to weights and predictions.

    python -m training.train --config training/configs/paper.yaml [--set fold=3 --set optimisation.rate=1e-3]

Run again after an interruption: it goes on from the last finished epoch, with the batches and the dropout that it would
have seen. A finished run is left as it is. In the directory of the run:

    run.json             the configuration, and what it was applied to
    checkpoints/         the last and the best epoch, with optimiser (removed when the run is finished)
    curves/              TensorBoard
    network/             the released weights (networks.checkpoint)
    predictions.jsonl    the test clips (training.predictions); written last
"""

import argparse
import logging
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from networks import checkpoint
from networks.network import InterpreterNetwork
from training import (
    answers,
    datasets,
    epochs,
    feature_store,
    frame_directions,
    parallel,
    precision,
    predictions,
    protocol,
    run_config,
    run_record,
    standardise,
)
from training.batches import VALIDATION_FRAMES, Clips
from training.datasets import DatasetError
from training.ending import in_one_line
from training.feature_store import FeatureError, Features
from training.module import SELECTION, LossNotFinite, TraitModule
from training.predictions import PredictionsError
from training.protocol import Leak, ProtocolError, Sides, Split
from training.run_config import ConfigError, RunConfig
from training.still_network import HEAD, FrameAnswers

PREDICTIONS = predictions.FILE
Failure = (
    ConfigError,
    DatasetError,
    ProtocolError,
    Leak,
    FeatureError,
    LossNotFinite,
    PredictionsError,
    checkpoint.CheckpointError,
)


def is_finished(config: RunConfig) -> bool:
    return (Path(config.out) / PREDICTIONS).exists()


def run(config: RunConfig, features: Features | None = None, split: Split | None = None) -> Path:
    """Train, or go on, and write weights and predictions; where they are.

    Args:
        features, split: what `config` names, if they are loaded already.

    Raises:
        ConfigError: the directory holds another run, or another process trains there.
        FeatureError, DatasetError, ProtocolError, Leak: about the data.
        LossNotFinite: training diverged.
        PredictionsError: an answer to a test clip is no number.
    """
    out = Path(config.out)
    if features is None:
        dataset = datasets.read(Path(config.data))
        features = feature_store.load(dataset, Path(config.backbone), Path(config.cache), config.frame_rate_hz)
    split = split or protocol.load(Path(config.split))
    sides = split.sides(features.whole, config.fold)
    record = run_record.of(config, features, split)
    with run_record.held(out):
        run_record.claim(out / run_record.FILE, record)
        if not is_finished(config):
            _train(config, features, split, readable(sides, features), record)
    return out / PREDICTIONS


def _train(config: RunConfig, features: Features, split: Split, sides: Sides, record: dict[str, Any]) -> None:
    out = Path(config.out)
    if config.optimisation.distillation and not (Path(config.backbone) / HEAD).exists():
        raise ConfigError(f"optimisation.distillation needs {HEAD} in {config.backbone}")
    started = time.monotonic()
    module, trainer = _fit(config, features, sides, out)
    if not trainer.is_global_zero:
        return
    best = trainer.checkpoint_callback
    assert isinstance(best, ModelCheckpoint)
    state = torch.load(best.best_model_path, map_location="cpu", weights_only=False)
    module.load_state_dict(state["state_dict"])
    done = trainer.current_epoch
    network = module.release()
    _, held_out, test = _clips(config, features, sides)
    answers.fit_temperature(network, held_out)
    record |= {
        "epochs": done,
        "best_epoch": state["epoch"],
        "selection": float(best.best_model_score or 0.0),
        "seconds": round(time.monotonic() - started, 1),
    }
    checkpoint.save(network, out / "network", record)
    zeroed = answers.sets_to_zero(network) if config.ablation == "full" else ()
    found = answers.predict(network, test, config.fold, zeroed)
    header = predictions.header(features.whole, split.hash, record)
    predictions.write(out / PREDICTIONS, header, found)
    shutil.rmtree(out / "checkpoints")


def readable(sides: Sides, features: Features) -> Sides:
    """The sides without the clips that were skipped."""
    kept = {clip.name for clip in features.dataset.clips}
    return Sides(*(tuple(c for c in side if c.name in kept) for side in (sides.training, sides.validation, sides.test)))


def _clips(config: RunConfig, features: Features, sides: Sides) -> tuple[Clips, Clips, Clips]:
    network, share = config.network, config.optimisation.distillation
    single = FrameAnswers.load(Path(config.backbone)) if share else None
    return (
        Clips(features, sides.training, network, frames=1, single=single, share=share),
        Clips(features, sides.validation, network, frames=VALIDATION_FRAMES),
        Clips(features, sides.test, network),
    )


def _fit(config: RunConfig, features: Features, sides: Sides, out: Path) -> tuple[TraitModule, pl.Trainer]:
    training, held_out, _ = _clips(config, features, sides)
    plan = config.optimisation
    ages = np.array([clip.age for clip in sides.training], np.float64)
    frames = config.ablation == "image_cnn"
    module = TraitModule(
        config.network,
        plan,
        config.seed,
        (float(ages.mean()), float(max(ages.std(), 1.0))),
        None if frames else standardise.statistics(features, sides.training, config.seed),
        training,
        held_out,
        config.workers,
    )
    if training.single is not None and config.ablation != "holistic":
        assert isinstance(module.network, InterpreterNetwork)
        shown = frame_directions.sample(features, sides.training, config.seed)
        frame_directions.begin(module.network, training.single.head, shown)
    trainer = _trainer(config, out)
    last = out / "checkpoints" / epochs.LAST
    trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=False)
    return module, trainer


def _trainer(config: RunConfig, out: Path) -> pl.Trainer:
    several = config.devices * config.nodes > 1
    plan = config.optimisation
    on_gpu = torch.cuda.is_available() and config.accelerator in ("auto", "gpu", "cuda")
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        strategy="ddp" if several else "auto",
        sync_batchnorm=several and on_gpu,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        precision=_precision(config, on_gpu),
        max_epochs=plan.epochs,
        gradient_clip_val=plan.clip,
        callbacks=[
            EarlyStopping(SELECTION, patience=plan.patience, check_on_train_epoch_end=True),
            epochs.keep_best(out / "checkpoints", SELECTION),
            epochs.keep_last(out / "checkpoints"),
        ],
        logger=TensorBoardLogger(out, name="curves", version=""),
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_progress_bar=parallel.on_terminal(),
        enable_model_summary=False,
    )


def _precision(config: RunConfig, on_gpu: bool) -> Any:
    if config.precision != "auto":
        return config.precision
    return "bf16-mixed" if precision.has_bfloat16("cuda" if on_gpu else "cpu") else "32-true"


def quiet() -> None:
    """Lightning's hints are for people at a prompt; its errors stay."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for message in (".*does not have many workers.*", ".*Checkpoint directory .* exists.*", ".*LeafSpec.*"):
        warnings.filterwarnings("ignore", message)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="YAML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY[.KEY]=VALUE", help="instead of the file's value"
    )
    parser.add_argument("--threads", type=int, help="of torch, in each process")
    options = parser.parse_args(arguments)
    quiet()
    if options.threads:
        torch.set_num_threads(options.threads)
    with in_one_line(*Failure):
        print(run(run_config.read(options.config, options.set)))


if __name__ == "__main__":
    main()
