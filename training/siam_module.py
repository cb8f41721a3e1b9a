"""SIAM in training, as Lightning runs it: loss and settings of Pei et al. (SPEC B1, B2)."""

import copy
import math
import re
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from networks.siam import Siam, SiamEstimate
from networks.siam_config import SiamConfig
from training.module import LossNotFinite
from training.optimisation import Schedule, check_above_zero, check_at_least, check_schedule, half_cosine

BIAS = re.compile(r"bias.*|b|c")
"""Last part of the name of a parameter that L2 leaves alone: torch's biases, and b and c of the attentions."""
SELECTION = "selection"
"""The logged validation error in years, by which an epoch is chosen."""


@dataclass(frozen=True)
class SiamOptimisation:
    """The paper's RMSprop, clipping and L2; the rest follows the same authors' earlier code (SPEC B2).

    The loss is on the standardised age: beside an error in years, l2 is as strong as l2 times the standard deviation of
    the training ages, and a gradient is clipped at as many times `clip`.

    Attributes:
        rate, decay: of RMSprop.
        l2: factor of the sum of the squared weights (biases excluded); the paper chooses among 0, 1e-4 ... 5e-3.
        clip: largest absolute value of any element of the mean gradient of a batch.
        batch: clips over which a step takes the mean of the gradients, one by one; the last of an epoch may have fewer.
        plateau: evaluations without a gain after which the rate is halved and the best weights are taken up again.
        patience: evaluations without a gain after which training ends.
        schedule: "cosine" (our choice) lets the rate fall from epoch to epoch along half a cosine that ends with
            `epochs`, and does without `plateau`.
    """

    rate: float = 1e-4
    decay: float = 0.95
    l2: float = 1e-4
    clip: float = 5.0
    batch: int = 32
    epochs: int = 200
    plateau: int = 6
    patience: int = 24
    schedule: Schedule = "plateau"

    def __post_init__(self) -> None:
        check_schedule(self.schedule)
        check_at_least(self, l2=0, batch=1, epochs=1, plateau=1, patience=0)
        check_above_zero(self, "rate", "clip")


class SiamModule(pl.LightningModule):
    """Trains one network on single clips of any length: faces (1, T, 114, 114) uint8 and age (1,) in years.

    Args:
        age: mean and standard deviation of the training clips in years; the loss is on the standardised age.
        pixels: mean and standard deviation of the training faces on the scale 0-1.
    """

    def __init__(
        self,
        network: SiamConfig,
        optimisation: SiamOptimisation,
        seed: int,
        age: tuple[float, float] = (0.0, 1.0),
        pixels: tuple[float, float] = (0.5, 0.25),
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.seed = seed
        self.network = Siam(network)
        self.optimisation = optimisation
        for scale, (mean, std) in (
            ((self.network.answer.mean, self.network.answer.std), age),
            ((self.network.appearance.pixel_mean, self.network.appearance.pixel_std), pixels),
        ):
            scale[0].fill_(mean)
            scale[1].fill_(std)
        self.best = float("inf")
        self.best_weights = copy.deepcopy(self.network.state_dict())
        self.waited = 0
        self._errors: list[Tensor] = []

    def forward(self, faces: Tensor) -> SiamEstimate:
        count = torch.full((len(faces),), faces.shape[1], dtype=torch.int64, device=faces.device)
        estimate: SiamEstimate = self.network(faces, count)[0]
        return estimate

    def loss(self, estimate: SiamEstimate, age: Tensor) -> Tensor:
        """Mean absolute error of the standardised age; of every frame's, where nothing looks across frames (Fig. 6)."""
        config = self.network.config
        alone = not (config.recurrent or config.temporal)
        target = self.network.answer.standardise(age)
        return ((estimate.frames if alone else estimate.output) - target).abs().mean()

    def on_fit_start(self) -> None:
        """A run that was killed after its last evaluation has nothing left to do."""
        self.trainer.should_stop = 0 < self.waited >= self.optimisation.patience

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(hash((self.seed, self.current_epoch)) % 2**63)
        plan = self.optimisation
        if plan.schedule == "cosine":
            for group in self.optimiser.param_groups:
                group["lr"] = plan.rate * half_cosine(self.current_epoch / plan.epochs)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        faces, age = batch
        loss = self.loss(self(faces), age)
        if not torch.isfinite(loss):
            raise LossNotFinite(f"the loss is {float(loss)} in epoch {self.current_epoch}")
        self.log("loss/training", loss.detach(), on_step=False, on_epoch=True, batch_size=1)
        return loss * self._weight(number)

    def _weight(self, number: int) -> float:
        """Of the loss of a clip, by its place in the epoch: Lightning divides each by as many clips as a step usually
        has, and the last step of an epoch may have fewer."""
        usual = int(self.trainer.accumulate_grad_batches)
        left = int(self.trainer.num_training_batches) - number // usual * usual
        return usual / min(usual, left)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        faces, age = batch
        self._errors.append((self.network.answer(self(faces).output) - age).abs())

    def on_validation_epoch_end(self) -> None:
        """Keep the best weights; halve the rate and go back to them on a plateau; stop when nothing helps."""
        error = float(torch.cat(self._errors).mean())
        if not math.isfinite(error):
            raise LossNotFinite(f"the validation error is {error} years in epoch {self.current_epoch}")
        self._errors.clear()
        self.log_dict({SELECTION: error, "rate": self.rates[0]})
        if error < self.best:
            self.best, self.waited = error, 0
            self.best_weights = copy.deepcopy(self.network.state_dict())
            return
        self.waited += 1
        self.trainer.should_stop = self.waited >= self.optimisation.patience
        if self.optimisation.schedule == "plateau" and self.waited % self.optimisation.plateau == 0:
            self.network.load_state_dict(self.best_weights)
            for group in self.optimiser.param_groups:
                group["lr"] /= 2

    @property
    def rates(self) -> list[float]:
        return [group["lr"] for group in self.optimiser.param_groups]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        plan = self.optimisation
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                (biases if BIAS.fullmatch(name.split(".")[-1]) else weights).append(parameter)
        decayed: dict[str, Any] = {"params": weights, "weight_decay": 2 * plan.l2}  # d(l2 * w^2)/dw = 2 * l2 * w
        self.optimiser = torch.optim.RMSprop([decayed, {"params": biases}], plan.rate, alpha=plan.decay)
        return self.optimiser

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["selection"] = {"best": self.best, "best_weights": self.best_weights, "waited": self.waited}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name, value in checkpoint["selection"].items():
            setattr(self, name, value)

    def release(self) -> Siam:
        """The network with its best weights, in evaluation mode."""
        self.network.load_state_dict(self.best_weights)
        return self.network.cpu().eval()
