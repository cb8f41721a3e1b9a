"""From a zip of labelled stills to released weights, unattended.

    stills -> backbone -> simulated smiles -> features -> heads for age and gender -> release -> exported repository
           -> calibration and evaluation on the test part, in the shipped precision -> model card

May be interrupted at any point and run again: what is finished is recognised by its files. In the folder of the run:

    plan.json            what was asked for, and of which backbone
    heads/<trait>/       training.train
    release/             networks.checkpoint: backbone/, age/, gender/, card.json
    calibration/         answers of the calibration part as shipped
    evaluation/          answers of every test clip, in float32 and as shipped; videos.json
    evaluation.json      all numbers
    MODEL_CARD.md        written from evaluation.json
    model_repository/    ready to serve

    python -m training.weights [--clips-per-part TRAIN VALIDATION CALIBRATION TEST]
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from export.recard import recard
from export.release import CARD
from networks import checkpoint
from networks.config import TRAITS
from networks.network import InterpreterNetwork
from networks.traits import GenderTemperature
from smile.card import Card
from smile.tensors import GRAPHS
from training import (
    ROOT,
    calibrate,
    model_card,
    parallel,
    run_record,
    simulated_features,
    still_split,
    stills,
    train,
    weights_plan,
)
from training.ending import in_one_line
from training.feature_store import recipe_of
from training.release_parts import TRAINED_ON, Failure, licence_of, provenance_of, python, size_of
from training.run_config import ConfigError, RunConfig, commit
from training.simulated_clips import PARTS
from training.simulated_features import EXACT, SmileFeatures
from training.still_network import HEAD, FrameAnswers
from training.weights_backbone import BACKBONE, finish_backbone, judge_backbone, still_report
from training.weights_evaluation import Evaluation, drawn_stills
from training.weights_material import Material
from training.weights_plan import Plan
from training.weights_shipped import DRAFT, VERSION, Shipped, is_published, take_shipped
from training.whole import whole, write_text

VIDEOS = ROOT / "../shared/data/videos"
NAME = "fdin-compact-utkface"


class Weights:
    """One run in its folder.

    Args:
        backbone: checkpoint directory with head.safetensors beside the weights, and calibration.npz beside the folder.
        processes: one for each core where absent.

    Raises:
        ConfigError: the backbone has no head, or the folder holds a run of another plan or backbone.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        backbone: Path = BACKBONE,
        archive: Path = stills.ARCHIVE,
        videos: Path = VIDEOS,
        processes: int | None = None,
    ) -> None:
        if not (backbone / HEAD).exists():
            raise ConfigError(f"{backbone} holds no {HEAD}, whose answers heads learn: python -m training.still_head")
        self.plan, self.out, self.videos = plan, out, videos
        self.material = Material(plan, backbone, archive, processes)
        self._claim()

    def _claim(self) -> None:
        """Raises ConfigError where the folder holds a run of another plan or backbone."""
        record = json.loads(json.dumps(asdict(self.plan))) | {
            "backbone": recipe_of(self.material.backbone, self.material.settings.frame_rate_hz).backbone,
            "clips_key": self.material.settings.key,
        }
        path = self.out / "plan.json"
        if path.exists() and json.loads(path.read_text()) != record:
            raise ConfigError(f"{self.out} holds a run of another plan or backbone: choose another --out")
        self.out.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(record, indent=1) + "\n")

    def run(self) -> Path:
        """Everything that is not finished; the repository."""
        if not self._card.exists():
            features = self.material.features(PARTS[:3])
            self.train(features)
            self.release(features)
        draft = self.out / DRAFT
        self.export(draft)
        graphs = Shipped(draft, self.material)
        self.calibrate(graphs)
        evaluation = Evaluation(self.out / "evaluation", self.material.data, Card.from_json(self._card.read_text()))
        self.answer_exactly(evaluation)
        self.answer_as_shipped(evaluation, graphs)
        report = evaluation.report(still_report(self.material.backbone), size_of(draft), self._provenance())
        write_text(self.out / "evaluation.json", model_card.as_json(report))
        card = replace(evaluation.card, report=model_card.key_numbers(report))
        write_text(self._card, card.to_json() + "\n")
        model_card.write(self.out)
        repository = self.out / "model_repository"
        shutil.rmtree(repository, ignore_errors=True)
        recard(draft, repository, GRAPHS, card, version=VERSION)
        return repository

    def train(self, features: SmileFeatures) -> None:
        split = simulated_features.one_fold(features, self.material.settings)
        configs = [
            RunConfig(
                data=features.whole.name,
                split=split.hash,
                backbone=str(self.material.backbone),
                out=str(self.out / "heads" / trait),
                trait=trait,
                width="compact",
                layers=self.plan.layers[trait],
                optimisation=self.plan.optimisation,
                precision="auto",
                seed=self.plan.seed,
            )
            for trait in TRAITS
        ]
        waiting = [config for config in configs if not train.is_finished(config)]
        done = len(configs) - len(waiting)
        for _ in parallel.run_all(_train, waiting, "heads", self.material.processes, _start, (features, split), done):
            pass

    @staticmethod
    def network(directory: Path) -> InterpreterNetwork:
        found = checkpoint.load_network(directory)
        assert isinstance(found, InterpreterNetwork)
        return found

    def release(self, features: SmileFeatures) -> None:
        """The networks, with the temperature of the gender from the calibration smiles, and a card without interval."""
        clips = features.part("calibration")
        gender = self.network(self.out / "heads" / "gender" / "network")
        assert isinstance(gender.answer, GenderTemperature)
        gender.answer.temperature.fill_(1.0)
        labels = np.array([clip.gender == "female" for clip in clips])
        female = simulated_features.answer(gender, map(features.regions, clips))
        gender.answer.temperature.fill_(calibrate.temperature(female, labels))
        age = self.network(self.out / "heads" / "age" / "network")
        for trait, network in (("age", age), ("gender", gender)):
            checkpoint.save(network, self.out / "release" / trait, provenance_of(self.out / "heads" / trait))
        shutil.copytree(self.material.backbone, self.out / "release" / "backbone", dirs_exist_ok=True)
        backbone = provenance_of(self.material.backbone)
        trained_on = f"{TRAINED_ON}; backbone {model_card.begun(backbone)}"
        card = Card(NAME, trained_on, licence_of(backbone), self.material.settings.frame_rate_hz)
        write_text(self._card, card.to_json() + "\n")

    def calibrate(self, graphs: Shipped) -> None:
        """Put the interval of the age into the card."""
        card = Card.from_json(self._card.read_text())
        if card.age_interval is None:
            interval = graphs.age_interval(self.material.clips("calibration"), self.out / "calibration")
            write_text(self._card, replace(card, age_interval=interval).to_json() + "\n")

    def answer_exactly(self, evaluation: Evaluation) -> None:
        """Answers to the test part in float32, by the relations and by the mean of single frames."""
        if evaluation.has_exact:
            return
        features = self.material.features((EXACT,))
        networks = {trait: self.network(self.out / "release" / trait) for trait in TRAITS}
        single = FrameAnswers.load(self.material.backbone)
        evaluation.answer_exactly(features, networks["age"], networks["gender"], single)

    def answer_as_shipped(self, evaluation: Evaluation, graphs: Shipped) -> None:
        """Answers of the exported graphs to the test part and to real videos."""
        graphs.answer_smiles(self.material.clips(EXACT), evaluation.shipped)
        drawn = drawn_stills(self.material.parts[EXACT], self.plan.seed)
        graphs.answer_stills(drawn, evaluation.still_clips)
        if self.videos.is_dir():
            graphs.answer_videos(self.videos, evaluation.videos)
        evaluation.wobble(FrameAnswers.load(self.material.backbone))

    def export(self, repository: Path) -> None:
        """The graphs with the card as it is before calibration."""
        if is_published(repository):
            return
        shutil.rmtree(repository, ignore_errors=True)
        crops = self.out / "calibration.npz"
        if not crops.exists():
            with whole(crops) as file:
                np.savez_compressed(file, frames=self.material.calibration_crops())
        release = ["--checkpoint", str(self.out / "release"), "--repository", str(repository)]
        python("export", *release, "--calibration", str(crops), "--version", str(VERSION))

    @property
    def _card(self) -> Path:
        return self.out / "release" / CARD

    def _provenance(self) -> dict[str, Any]:
        kept = ("epochs", "best_epoch", "selection", "seconds", "features")
        found = {trait: provenance_of(self.out / "release" / trait) for trait in TRAITS}
        heads = {trait: {key: of[key] for key in kept if key in of} for trait, of in found.items()}
        parts = PARTS if all(heads.values()) else PARTS[2:]  # what is shipped learns from none
        return {
            "commit": commit(),
            "split": still_split.split_id(),
            "stills": {part: len(rows) for part, rows in self.material.parts.items()},
            "plan": json.loads((self.out / "plan.json").read_text()),
            "smiles": {part: len(self.material.clips(part)) for part in parts},
            "backbone": provenance_of(self.material.backbone),
            "heads": heads,
        }


_loaded: tuple[SmileFeatures, Any]


def _start(features: SmileFeatures, split: Any) -> None:
    global _loaded
    train.quiet()
    _loaded = features, split


def _train(config: RunConfig) -> None:
    train.run(config, *_loaded)


def of_options(options: argparse.Namespace) -> Weights:
    """The run that they mean. Raises ConfigError where its folder holds another."""
    plan = weights_plan.plan(options)
    if options.shipped:
        backbone = take_shipped(options.shipped, options.out)
    else:
        backbone = options.backbone or BACKBONE
    judge_backbone(backbone)
    return Weights(plan, options.out, backbone, processes=options.processes)


def main(arguments: Sequence[str] | None = None) -> None:
    options = weights_plan.parser("python -m training.weights", (__doc__ or "").splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(1)
    with in_one_line(*Failure):
        if not (options.backbone or options.shipped):
            finish_backbone(BACKBONE)
        run = of_options(options)
        with run_record.held(run.out):
            repository = run.run()
    print((options.out / "MODEL_CARD.md").read_text())
    print(f"to try them: SMILE_MODEL_REPOSITORY={repository} make serve")
    print("to release:  put its folders in the place of those in model_repository/")


if __name__ == "__main__":
    main()
