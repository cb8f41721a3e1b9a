"""The networks of a finished study -> a release that can be exported and served.

    python -m training.study_release runs/study-paper --name fdin-uva-nemo --licence "research only" --out runs/release
    python -m export --checkpoint runs/release --calibration runs/release/calibration.npz

A release has the full networks of one fold, for age and for gender, and the backbone behind their features. The pooled
answers of all folds, each to somebody whom its network had not seen, calibrate it: the interval of the age
(cross-conformal) and the temperature of the gender. Quantiles and temperature count the clips of one person as if they
were several people's: they are less certain than so many clips suggest.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.release import BACKBONE, CARD, measured_scale
from networks import checkpoint
from networks.config import TRAITS
from networks.network import InterpreterNetwork
from networks.traits import GenderTemperature
from smile.card import AgeInterval, Card
from training import calibrate, datasets, feature_store, predictions, protocol, run_config, run_record, train
from training.ending import in_one_line
from training.predictions import Header, Prediction
from training.release_parts import CALIBRATION_CLIPS, licence_of, provenance_of
from training.run_config import RunConfig
from training.whole import write_text

ABLATION = "full"
SCALE_CROPS = 64
"""Crops on which the size of the features is measured."""


class CannotRelease(ValueError):
    """A study without the runs that a release needs, or whose runs do not go together."""


@dataclass(frozen=True)
class Answers:
    """What all folds answered about one trait."""

    header: Header
    items: list[Prediction]

    @property
    def predictions(self) -> NDArray[np.float64]:
        return np.array([item.prediction for item in self.items])

    def age_interval(self) -> AgeInterval | None:
        """None where the clips are too few."""
        try:
            return calibrate.age_interval(self.predictions, np.array([item.age for item in self.items], np.float64))
        except ValueError as error:
            print(f"no interval of the age: {error}", file=sys.stderr)
            return None

    def temperature(self) -> float:
        """By which the logits of the answers, each at the temperature of its network, are still to be divided."""
        return calibrate.temperature(self.predictions, np.array([item.gender == "female" for item in self.items]))


def write(study: Path, fold: int, name: str, licence: str, out: Path) -> Card:
    """The release and calibration.npz, aligned crops, in `out`, whose card is written last.

    Args:
        licence: that of the data.

    Raises CannotRelease, train.Failure, OSError.
    """
    configs = {trait: _config(study, trait, fold) for trait in TRAITS}
    answers: dict[str, Answers] = {trait: _answers(study, trait) for trait in TRAITS}
    config = configs["age"]
    crops = _crops(config)
    (out / CARD).unlink(missing_ok=True)  # what an interruption leaves of two releases is none
    gain = _scaled_backbone(Path(config.backbone), crops, out / BACKBONE)
    for trait, run in configs.items():
        network = checkpoint.load_network(Path(run.out) / "network")
        assert isinstance(network, InterpreterNetwork)
        with torch.no_grad():
            network.dynamics.fc1.weight.mul_(gain)
        if isinstance(network.answer, GenderTemperature):
            network.answer.temperature.mul_(answers[trait].temperature())  # the answers are at the fold's own already
        checkpoint.save(network, out / trait, provenance_of(Path(run.out)))
    header = answers["age"].header
    seen = f"all folds of {header.data_set} but fold {fold}" + (
        " (simulated: no recorded smile was seen)" if header.simulated else ""
    )
    licence = licence_of(provenance_of(Path(config.backbone)), licence)
    card = Card(name, seen, licence, config.frame_rate_hz, answers["age"].age_interval(), _report(answers))
    np.savez_compressed(out / "calibration.npz", frames=crops)
    write_text(out / CARD, card.to_json() + "\n")
    return card


def _scaled_backbone(directory: Path, crops: NDArray[np.uint8], out: Path) -> float:
    """Write the backbone with features of unit RMS, which half precision and int8 are checked for; how many times
    smaller they are. VGG-Face as published has features of hundreds."""
    backbone = checkpoint.load_backbone(directory)
    before = float(backbone.feature_scale)
    backbone.feature_scale.fill_(measured_scale(backbone, crops[:: len(crops) // SCALE_CROPS or 1]))
    checkpoint.save(backbone, out, provenance_of(directory))
    return float(backbone.feature_scale) / before


def _config(study: Path, trait: str, fold: int) -> RunConfig:
    path = study / "runs" / trait / ABLATION / str(fold) / run_record.FILE
    if not (path.parent / train.PREDICTIONS).exists():
        raise CannotRelease(f"{path.parent} is not a finished run: finish the study, or choose another --fold")
    return run_config.from_dict(json.loads(path.read_text(encoding="utf-8"))["config"], str(path))


def _answers(study: Path, trait: str) -> Answers:
    files = sorted((study / "runs" / trait / ABLATION).glob(f"*/{train.PREDICTIONS}"))
    header, items = predictions.read(files)
    if len(items) < header.clips:
        print(f"{trait}: calibrated on {len(items):,} of {header.clips:,} clips", file=sys.stderr)
    return Answers(header, items)


def _crops(config: RunConfig) -> NDArray[np.uint8]:
    """(n, 96, 96, 3) uint8 RGB of clips that the networks learned from, for int8 ranges and for comparing precisions.

    Raises CannotRelease where the clips, the folds or the backbone are not those that the run was trained with.
    """
    dataset = datasets.read(Path(config.data))
    split = protocol.load(Path(config.split))
    features = feature_store.load(dataset, Path(config.backbone), Path(config.cache), config.frame_rate_hz)
    record = json.loads((Path(config.out) / run_record.FILE).read_text(encoding="utf-8"))
    if changed := run_record.changed(record, features, split):
        raise CannotRelease(f"{', '.join(changed)} changed since {config.out} was trained")
    clips = train.readable(split.sides(dataset, config.fold), features).training
    chosen = np.unique(np.linspace(0, len(clips) - 1, 2 * CALIBRATION_CLIPS).round().astype(int))
    return np.concatenate([features.crops(clips[place]) for place in chosen])


def _report(answers: dict[str, Answers]) -> dict[str, Any]:
    """What GET /model shows: the pooled scores of the protocol (SPEC A8), which are not those of the released networks
    alone."""
    header, items = answers["age"].header, answers["age"].items
    folds = len({item.fold for item in items})
    return {
        "scores_of": f"{folds} networks for each trait in float32, one for each fold, on clips that it had not seen",
        "data_set": header.data_set,
        "clips": len(items),
        "split": header.split,
        "folds": folds,
        "age_mae_years": float(np.mean([item.error() for item in items])),
        "gender_accuracy": float(np.mean([item.correct for item in answers["gender"].items])),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.study_release", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("study", type=Path, help="folder of a study")
    parser.add_argument("--fold", type=int, default=0, help="whose networks (default 0)")
    parser.add_argument("--name", required=True, help="of the weights, as every answer shows it")
    parser.add_argument("--licence", required=True, help="of the weights: what the data allow; the backbone's joins it")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    with in_one_line(*train.Failure):
        card = write(options.study, options.fold, options.name, options.licence, options.out)
    print(json.dumps(card.report, indent=1))
    print(f"next: python -m export --checkpoint {options.out} --calibration {options.out / 'calibration.npz'}")


if __name__ == "__main__":
    main()
