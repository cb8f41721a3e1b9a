"""One trait network in training, as Lightning runs it: losses and metrics of P0 (SPEC A4), optimisation of SPEC C3."""

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from networks.config import NetworkConfig
from networks.image_cnn import ImageCNN
from networks.network import InterpreterNetwork, build
from networks.traits import AgeScale
from training import standardise
from training.batches import Batch, BucketedBatches, Clips, excerpts, loader
from training.optimisation import Optimisation, half_cosine

SELECTION = "selection"
"""The logged value by which an epoch is chosen; less is better."""
TIE_BREAK = 1e-3
"""Weight of the cross-entropy in what selects a gender network: accuracies of few clips are often equal."""

ENCODED_AT_ONCE = 1600
"""Instants, padding included, that are encoded at once: 16 clips of four seconds at 25 Hz. In a batch of more the
activations are computed again on the way back, so that memory does not grow with the length of clips."""


class LossNotFinite(Exception):
    """Training has to stop; the message holds the parts of the loss."""


class TraitModule(pl.LightningModule):
    """Trains one network. Batches come from training.batches.

    Args:
        age: mean and standard deviation of the training clips in years; the loss is on the standardised age.
        features: mean and standard deviation of the training features; `release` folds them into the first layer.
        training, held_out: what it learns from, and what selects an epoch.
        workers: processes that read batches ahead.
    """

    def __init__(
        self,
        network: NetworkConfig,
        optimisation: Optimisation,
        seed: int,
        age: tuple[float, float] = (0.0, 1.0),
        features: tuple[NDArray[np.float32], float] | None = None,
        training: Clips | None = None,
        held_out: Clips | None = None,
        workers: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.network = build(network)
        self.optimisation = optimisation
        self.seed = seed
        self.training_clips, self.held_out, self.workers = training, held_out, workers
        if features is not None and isinstance(self.network, InterpreterNetwork):
            standardise.standardise(self.network, *features)
        if isinstance(self.network.answer, AgeScale):
            self.network.answer.mean.fill_(age[0])
            self.network.answer.std.fill_(age[1])
        self._sums = torch.zeros(3, dtype=torch.float64)

    def forward(self, batch: Batch) -> Tensor:
        """Standardised age (B, 1) or logits (B, 2); (B * K, ...) for `image_cnn`, frame by frame."""
        if isinstance(self.network, ImageCNN):
            return self.network(batch.inputs.flatten(end_dim=1))
        return self.network.interpret(self._encoded(batch).unsqueeze(1)).output[:, 0]

    def _encoded(self, batch: Batch) -> Tensor:
        """d_i of the clips, (B, R, H)."""
        assert isinstance(self.network, InterpreterNetwork)
        clips, instants = batch.place.shape
        parts = (batch.inputs, batch.frame_count, batch.place)
        if clips * instants <= ENCODED_AT_ONCE:
            return self.network.encode(*parts)
        size = max(1, ENCODED_AT_ONCE // instants)
        split = zip(*(part.split(size) for part in parts), strict=True)
        return torch.cat([checkpoint(self._encoded_part, *part, use_reentrant=False) for part in split])

    def _encoded_part(self, *part: Tensor) -> Tensor:
        """Without cuDNN, whose LSTM draws dropout from a state of its own, which the way back would not meet again."""
        assert isinstance(self.network, InterpreterNetwork)
        with torch.backends.cudnn.flags(enabled=False):
            return self.network.encode(*part)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean squared error on the standardised age, or cross-entropy; a target may be probabilities (B, 2)."""
        target = target.repeat_interleave(len(output) // len(target), dim=0)
        answer = self.network.answer
        if isinstance(answer, AgeScale):
            return mse_loss(output.float(), answer.standardise(target))
        return cross_entropy(output.float(), target)

    def _steady(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss of excerpts of the clips, and their distance from the answers to the whole."""
        part = self(excerpts(batch))
        values = (output.float(), part.float())
        if not isinstance(self.network.answer, AgeScale):
            values = (values[0].softmax(dim=-1), values[1].softmax(dim=-1))
        return self.loss(part, batch.target), mse_loss(*values)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        output = self(batch)
        loss = self.loss(output, batch.target)
        if self.optimisation.steadiness:
            of_excerpts, distance = self._steady(output, batch)
            loss = (loss + of_excerpts) / 2 + self.optimisation.steadiness * distance
        if not torch.isfinite(loss):
            raise LossNotFinite(self._parts("loss", batch, output.detach().float(), loss.detach(), self.training_clips))
        count = len(batch.target)
        self.log("loss/training", loss.detach(), on_step=False, on_epoch=True, batch_size=count, sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        output = self(batch)
        loss = self.loss(output, batch.target)
        if not torch.isfinite(loss):  # else no epoch would be better than another, and the run would end as if well
            raise LossNotFinite(self._parts("validation loss", batch, output.float(), loss, self.held_out))
        answers = self.network.answer(output.float()).unflatten(0, (len(batch.target), -1)).mean(dim=1)
        if isinstance(self.network.answer, AgeScale):
            errors = (answers - batch.target).abs()
        else:
            errors = answers.argmax(dim=-1) != batch.target
        count = len(batch.target)
        self._sums += torch.tensor([float(errors.sum()), float(loss) * count, count], dtype=torch.float64)

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the validation clips of all processes: MAE in years, or error rate."""
        gathered = self.all_gather(self._sums.to(self.device, torch.float32))
        assert isinstance(gathered, Tensor)
        sums = gathered.reshape(-1, 3).sum(dim=0)
        self._sums = torch.zeros(3, dtype=torch.float64)
        error, loss = (sums[:2] / sums[2]).tolist()
        selection = error if isinstance(self.network.answer, AgeScale) else error + TIE_BREAK * loss
        if self.optimisation.schedule == "plateau":
            self.plateau.step(selection)
        values = {
            "error/validation": error,
            "loss/validation": loss,
            SELECTION: selection,
            "rate": self._groups[0]["lr"],
        }
        self.log_dict(values, sync_dist=True)

    def on_fit_start(self) -> None:
        """A run that was killed after its last epoch has nothing left to do: Lightning keeps how long nothing had
        helped, but not that the run ended for that."""
        stopping = self.trainer.early_stopping_callback
        self.trainer.should_stop = stopping is not None and 0 < stopping.wait_count >= stopping.patience

    def train_dataloader(self) -> DataLoader:
        """Asked for anew in each epoch. Batches and dropout depend on seed and epoch alone: a resumed run goes on as it
        would have, on a CPU bit for bit, on a GPU within its rounding noise."""
        assert self.training_clips is not None
        clips, epoch = self.training_clips, self.current_epoch
        clips.rng = np.random.default_rng([self.seed, epoch, self.global_rank])
        world = self.trainer.world_size
        batches = BucketedBatches(clips.lengths, self.optimisation.batch, self.seed, epoch, self.global_rank, world)
        return loader(clips, batches, self.workers)

    def val_dataloader(self) -> DataLoader:
        assert self.held_out is not None
        place = {"rank": self.global_rank, "world": self.trainer.world_size}
        return loader(self.held_out, BucketedBatches(self.held_out.lengths, self.optimisation.batch, **place))

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(hash((self.seed, self.current_epoch, self.global_rank)) % 2**63)
        plan = self.optimisation
        if plan.schedule == "cosine":
            for group in self._groups:
                group["lr"] = plan.rate * half_cosine(self.current_epoch / plan.epochs)
        if self.current_epoch >= plan.settled * plan.epochs:
            for layer in self.modules():
                if isinstance(layer, nn.BatchNorm1d | nn.SyncBatchNorm):
                    layer.eval()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        plan = self.optimisation
        optimiser = torch.optim.Adam(self.parameters(), plan.rate, weight_decay=plan.weight_decay)
        self.plateau = ReduceLROnPlateau(optimiser, factor=0.5, patience=plan.plateau - 1)
        return optimiser

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self.plateau.optimizer.param_groups

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self._plateau_state = checkpoint["plateau"]

    def on_train_start(self) -> None:
        if hasattr(self, "_plateau_state"):
            self.plateau.load_state_dict(self._plateau_state)

    def release(self) -> InterpreterNetwork | ImageCNN:
        """The network for features as the backbone gives them, in evaluation mode; the module is spent."""
        if isinstance(self.network, InterpreterNetwork):
            standardise.fold(self.network)
        self.network.cpu().eval()
        return self.network

    def _parts(self, what: str, batch: Batch, output: Tensor, loss: Tensor, read: Clips | None) -> str:
        gradients = [p.grad.norm() for p in self.parameters() if p.grad is not None]
        names = [read.clips[row].name for row in batch.rows.tolist()] if read else ()
        return (
            f"the {what} is {float(loss)} in epoch {self.current_epoch}, step {self.global_step}: "
            f"outputs {float(output.min()):.4g} to {float(output.max()):.4g}, "
            f"targets {float(batch.target.min())} to {float(batch.target.max())}, "
            f"inputs up to {float(batch.inputs.abs().max()):.4g}, "
            f"{sum(not p.isfinite().all() for p in self.parameters())} parameters not finite, "
            f"last gradients up to {float(max(gradients, default=torch.zeros(()))):.4g}, "
            f"rate {self._groups[0]['lr']:.3g}; clips {', '.join(names)}"
        )
