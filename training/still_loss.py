"""What the backbone is trained to say of a still, and what it costs to say something else."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, one_hot

from smile.tensors import GENDERS
from training.backbone_plan import Plan
from training.still_network import AGES, expected_age


def label_distribution(age: Tensor, plan: Plan) -> Tensor:
    """Gaussian over the years around each label, wider for the old: (N,) -> (N, 117), rows sum to 1."""
    years = torch.arange(AGES, dtype=torch.float32, device=age.device)
    spread = plan.age_spread[0] + plan.age_spread[1] * age[:, None]
    return (-0.5 * ((years - age[:, None]) / spread) ** 2).softmax(dim=1)


class Labels(NamedTuple):
    """What n images show.

    Attributes:
        years: (n, 117) probability of each year. age: (n,) years. gender: (n, 2) probability of (male, female).
    """

    years: Tensor
    age: Tensor
    gender: Tensor

    @classmethod
    def of(cls, age: Tensor, gender: Tensor, plan: Plan) -> "Labels":
        """Of single faces: age (n,) in years, gender (n,) int64."""
        return cls(label_distribution(age, plan), age, one_hot(gender, len(GENDERS)).float())


def mix(frames: Tensor, labels: Labels, plan: Plan) -> tuple[Tensor, Labels]:
    """Lay other images of the batch over `plan.mixed` of them, and their labels likewise (mixup: Zhang et al. 2018).

    Single faces cannot be learned by heart where no two views of them are alike.

    Args:
        frames: (n, S, S, 3) uint8 RGB; float32 afterwards.
    """
    count = len(frames)
    share = torch.distributions.Beta(plan.beta, plan.beta).sample((count,))
    share = (share.minimum(1 - share) * (torch.rand(count) < plan.mixed)).to(frames.device)
    other = torch.randperm(count, device=frames.device)

    def laid_over(values: Tensor) -> Tensor:
        return torch.lerp(values.float(), values[other].float(), share.reshape(-1, *(1,) * (values.ndim - 1)))

    return laid_over(frames), Labels(*map(laid_over, labels))


def loss(age_logits: Tensor, gender_logits: Tensor, labels: Labels, plan: Plan) -> Tensor:
    """Divergence from the label distribution + error of the expectation + cross-entropy of the gender."""
    distribution = kl_div(log_softmax(age_logits.float(), dim=1), labels.years, reduction="batchmean")
    error = (expected_age(age_logits) - labels.age).abs().mean()
    who = cross_entropy(gender_logits.float(), labels.gender, label_smoothing=plan.gender_smoothing)
    return distribution + plan.age_error_weight * error + plan.gender_weight * who
