"""SIAM's released weights, from the same stills and the same simulated smiles as the first network's.

    stills, smiles -> warped faces -> training -> release -> exported graphs
                   -> calibration and evaluation on the test part, in the shipped precision -> the model card's section

Run it after training.weights, with the same options; it may be interrupted and run again. In <run>/siam:

    checkpoints/        training.siam_module, to go on from
    network/            networks.checkpoint: what training selected
    release/            what `python -m export --network siam` takes, with the interval
    calibration/        answers of the calibration part as shipped
    model_repository/   siam_frames and siam_sequence, with the evaluation in their card
    evaluation.json     errors, coverage, what int8 costs, against the first network on the same smiles

    python -m training.siam_weights [the options of training.weights; --shipped judges SIAM as it is shipped]
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader

from export import siam as siam_release
from export.calibration import dealt
from export.recard import recard
from export.release import CARD
from export.steps import GATE_FRAMES
from networks import checkpoint
from networks.siam import Siam
from networks.siam_config import SiamConfig, siam_config
from smile.card import Card
from smile.tensors import SIAM_GRAPHS
from training import epochs, model_card, precision, run_record, siam_stills, still_split, train, weights, weights_plan
from training.ending import in_one_line
from training.module import LossNotFinite
from training.release_parts import (
    CALIBRATION_CLIPS,
    LICENCE,
    TRAINED_ON,
    Failure,
    evenly,
    provenance_of,
    size_of,
)
from training.run_config import ConfigError, commit
from training.siam_batches import FaceBatch, FaceBatches, Faces, smile_faces
from training.siam_evaluation import Report, answer, of_age, scores
from training.siam_module import SiamModule, SiamOptimisation
from training.simulated_clips import PARTS, order
from training.weights_evaluation import drawn_stills
from training.weights_shipped import DRAFT, VERSION, Shipped, is_published, take_shipped_siam
from training.whole import whole, write_text

NAME = "siam-compact-utkface"
FOLDER = "siam"
OPTIMISATION = SiamOptimisation(rate=3e-4, epochs=16, patience=16, schedule="cosine")
SAMPLE = 512
"""Training stills by which pixels are standardised."""


class MixedModule(SiamModule):
    """SIAM learning from batches of stills and of smiles (training.siam_batches)."""

    def __init__(
        self,
        network: SiamConfig,
        optimisation: SiamOptimisation,
        seed: int,
        age: tuple[float, float],
        pixels: tuple[float, float],
        training: Faces,
        held_out: Faces,
    ) -> None:
        super().__init__(network, optimisation, seed, age, pixels)
        self.training_faces, self.held_out = training, held_out

    def training_step(self, batch: FaceBatch, _: int) -> Tensor:  # type: ignore[override]
        with precision.autocast(self.device.type):
            appearance = self.network.look(batch.faces)[0]
        estimate = self.network.remember(appearance.float()[batch.frame_of], batch.frame_count)
        loss = self.loss(estimate, batch.age)
        if not torch.isfinite(loss):
            raise LossNotFinite(f"the loss is {float(loss)} in epoch {self.current_epoch}")
        self.log("loss/training", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.age))
        return loss

    def validation_step(self, batch: FaceBatch, _: int) -> None:  # type: ignore[override]
        appearance = self.network.look(batch.faces)[0]
        estimate = self.network.remember(appearance[batch.frame_of], batch.frame_count)
        self._errors.append((self.network.answer(estimate.output) - batch.age).abs())

    def train_dataloader(self) -> DataLoader[FaceBatch]:
        """Asked for anew in each epoch."""
        return _loader(FaceBatches(self.training_faces, self.seed, self.current_epoch))

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        return _loader(FaceBatches(self.held_out, self.seed, None))


def _loader(batches: FaceBatches) -> DataLoader[FaceBatch]:
    return DataLoader(batches, batch_size=None, generator=torch.Generator())


class SiamWeights:
    """The run beside that of the first network; `first` holds plan, folder and material."""

    def __init__(self, first: weights.Weights, optimisation: SiamOptimisation) -> None:
        for found in (first.out / "evaluation.json", first.out / "evaluation" / "test.npz"):
            if not found.exists():
                raise ConfigError(f"there is no {found}: run training.weights with the same options first")
        self.first, self.material, self.optimisation = first, first.material, optimisation
        self.out = first.out / FOLDER
        self.out.mkdir(parents=True, exist_ok=True)

    def run(self) -> Report:
        """Everything that is not finished; the report."""
        release = self.release(self.train())
        draft = self.export(release)
        graphs = Shipped(draft, self.material, "siam")
        release = self.calibrate(release, graphs)
        report = self.evaluate(release, graphs)
        write_text(self.out / "evaluation.json", model_card.as_json(report))
        release = replace(release, card=replace(release.card, report=report))
        siam_release.save(release, self.out / "release", report["provenance"])
        model_card.write(self.first.out)
        repository = self.out / "model_repository"
        shutil.rmtree(repository, ignore_errors=True)
        recard(draft, repository, SIAM_GRAPHS, release.card, version=VERSION)
        return report

    def train(self) -> Siam:
        path = self.out / "network"
        if not (path / checkpoint.CONFIG).exists():
            stills = min(self.first.plan.stills, len(self.material.parts["train"]))
            provenance = self._provenance(PARTS[:2]) | {"stills": stills, "optimisation": asdict(self.optimisation)}
            checkpoint.save(self._fitted(siam_config("compact")).release(), path, provenance)
            shutil.rmtree(self.out / "checkpoints")
        return checkpoint.load_siam(path)

    def _fitted(self, config: SiamConfig) -> MixedModule:
        plan, material = self.first.plan, self.material
        warped = siam_stills.prepare(material.archive, material.data, processes=material.processes)
        rows = order(material.data, material.parts["train"], "train", material.settings)[: plan.stills]
        training = Faces(warped, material.data.age, rows, self._smiles("train"))
        held_out = Faces(warped, material.data.age, material.parts["validation"], self._smiles("validation"))
        ages = material.data.age[rows]
        sample = np.stack([warped.plain(row) for row in rows[:SAMPLE]]) / 255
        module = MixedModule(
            config,
            self.optimisation,
            plan.seed,
            (float(ages.mean()), float(ages.std())),
            (float(sample.mean()), float(sample.std())),
            training,
            held_out,
        )
        checkpoints = self.out / "checkpoints"
        trainer = pl.Trainer(
            devices=1,
            max_epochs=self.optimisation.epochs,
            gradient_clip_val=self.optimisation.clip,
            gradient_clip_algorithm="value",
            reload_dataloaders_every_n_epochs=1,
            callbacks=[epochs.keep_last(checkpoints)],
            logger=CSVLogger(self.out, name="curves"),
            num_sanity_val_steps=0,
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
        )
        last = checkpoints / epochs.LAST
        trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=False)
        return module

    def _smiles(self, part: str) -> list[tuple[Path, float]]:
        ages = self.material.data.age
        return [(path, float(ages[row])) for row, path in sorted(self.material.clips(part).items())]

    def release(self, network: Siam) -> siam_release.SiamRelease:
        """The network with a card, without an interval at first."""
        directory = self.out / "release"
        if not (directory / CARD).exists():
            card = Card(NAME, TRAINED_ON, LICENCE, self.material.settings.frame_rate_hz)
            siam_release.save(siam_release.SiamRelease(network, card), directory, self._provenance(PARTS[2:]))
        return siam_release.load(directory)

    def calibrate(self, release: siam_release.SiamRelease, graphs: Shipped) -> siam_release.SiamRelease:
        """The release with the interval of the age in its card."""
        answers = self.out / "calibration"
        if release.card.age_interval is None or not (answers / "stills.npz").exists():  # before: smiles alone
            interval = graphs.age_interval(self.material.clips("calibration"), answers)
            release = replace(release, card=replace(release.card, age_interval=interval))
            siam_release.save(release, self.out / "release", self._provenance(PARTS[2:]))
        return release

    def export(self, release: siam_release.SiamRelease) -> Path:
        """The graphs with the card as it is before calibration."""
        repository = self.out / DRAFT
        if not is_published(repository, SIAM_GRAPHS):
            shutil.rmtree(repository, ignore_errors=True)
            clips = self._smiles("train")[: 2 * CALIBRATION_CLIPS]
            faces = np.concatenate([evenly(smile_faces(path), GATE_FRAMES) for path, _ in clips])
            with whole(self.out / "calibration.npz") as file:
                np.savez_compressed(file, frames=faces)
            siam_release.export(release, repository, *dealt(faces), version=VERSION)
        return repository

    def evaluate(self, release: siam_release.SiamRelease, graphs: Shipped) -> Report:
        """Test smiles in float32 and as shipped, against the first network's answers to the same; and the test stills
        that the first network answered as clips."""
        clips = self.material.clips("test")
        rows = np.array(sorted(clips))
        exact = of_age(answer(release.network, (clips[row] for row in rows)), rows)
        shipped, still_clips = self.out / "shipped.npz", self.out / "still_clips.npz"
        graphs.answer_smiles(clips, shipped)
        drawn = drawn_stills(self.material.parts["test"], self.first.plan.seed)
        graphs.answer_stills(drawn, still_clips)
        with np.load(shipped) as found:
            as_shipped = of_age(found["age"], rows)
        with np.load(self.first.out / "evaluation" / "test.npz") as found:
            other = of_age(found["age"], found["rows"])
        assert np.array_equal(other.rows, rows)
        with np.load(still_clips) as found:
            stills = of_age(found["age"], drawn).picked(found["refused"] == "")
        found = scores(exact, as_shipped, other, stills, self.material.data, release.card.age_interval)
        return {
            "provenance": self._provenance(PARTS[2:]) | {"network": provenance_of(self.out / "network")},
            **found,
            "repository_bytes": size_of(graphs.repository),
        }

    def _provenance(self, parts: Sequence[str]) -> Report:
        return {
            "commit": commit(),
            "split": still_split.split_id(),
            "smiles": {part: len(self.material.clips(part)) for part in parts},
        }


def main(arguments: Sequence[str] | None = None) -> None:
    options = weights_plan.parser("python -m training.siam_weights", (__doc__ or "").splitlines()[0]).parse_args(
        arguments
    )
    train.quiet()
    with in_one_line(*Failure):
        first = weights.of_options(options)
        if options.shipped:
            take_shipped_siam(options.shipped, first.out / FOLDER)
        with run_record.held(first.out):
            report = SiamWeights(first, OPTIMISATION).run()
    print(model_card.as_json({name: report[name] for name in ("shipped", "minus_first_network")}))
    print(f"to release:  put the folders of {options.out / FOLDER}/model_repository beside those in model_repository/")


if __name__ == "__main__":
    main()
