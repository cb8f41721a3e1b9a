"""Relations between regions and how much each counts (P0 eq. 2-6; SPEC A2 rows 15-22, A4), and the head k."""

import torch
from torch import Tensor, nn

from networks.config import NetworkConfig
from networks.initialise import initialise_relu
from smile.regions import PAIRS, REGIONS


class Interpreter(nn.Module):
    """Pairs of dynamics -> relational features r_ij = g([o_i; o_j]) -> importance lambda -> f_agg.

    `no_ri` replaces the importance by 1/36, `no_lf_no_ri` also leaves the positions out of o_i.
    """

    positions: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        centres = torch.tensor([region.centre for region in REGIONS])
        centres = 2 * centres - 1 if config.signed_positions else centres
        self.register_buffer("positions", centres[:, :0] if config.ablation == "no_lf_no_ri" else centres, False)
        first, second = torch.tensor(PAIRS).T
        self.register_buffer("first", first.clone(), persistent=False)
        self.register_buffer("second", second.clone(), persistent=False)
        object_width = config.lstm + self.positions.shape[1]
        self.g = nn.Sequential(
            nn.Linear(2 * object_width, config.relation[0]),
            nn.ReLU(),
            nn.Dropout(config.relation_dropout),
            nn.Linear(config.relation[0], config.relation[1]),
            nn.ReLU(),
            nn.Dropout(config.relation_dropout),
        )
        self.h = PerItemScore(len(PAIRS), config.relation[1]) if config.ablation == "full" else None
        initialise_relu(self.g)

    def relations(self, dynamics: Tensor) -> Tensor:
        """(..., 9, H) d_i -> (..., 36, G) r_ij in the order of PAIRS (P0 eq. 2, 3)."""
        positions = self.positions.expand(*dynamics.shape[:-1], self.positions.shape[1])
        objects = torch.cat([dynamics, positions], dim=-1)
        pairs = torch.cat([objects.index_select(-2, self.first), objects.index_select(-2, self.second)], dim=-1)
        return self.g(pairs)

    def importance(self, relations: Tensor) -> Tensor:
        """(..., 36, G) r_ij -> (..., 36) lambda_ij, positive, sum 1 (P0 eq. 4, 5); uniform for `no_ri`."""
        scores = torch.zeros_like(relations[..., 0]) if self.h is None else self.h(relations)
        return scores.softmax(dim=-1)

    def forward(self, dynamics: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 9, H) d_i -> f_agg (..., G) (P0 eq. 6) and importance (..., 36)."""
        relations = self.relations(dynamics)
        importance = self.importance(relations)
        return weighted_sum(importance, relations), importance


class RegionalAttention(nn.Module):
    """The `regional` ablation: no pairs, f = sum alpha_i d_i with alpha = softmax(w_i . d_i + c_i) over the regions."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.h = PerItemScore(len(REGIONS), config.lstm)

    def forward(self, dynamics: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 9, H) d_i -> f (..., H) and alpha (..., 9)."""
        importance = self.h(dynamics).softmax(dim=-1)
        return weighted_sum(importance, dynamics), importance


class WholeFace(nn.Module):
    """The `holistic` ablation: the one region is the whole face, so there is nothing to weigh."""

    def forward(self, dynamics: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 1, H) -> (..., H) and ones (..., 1)."""
        return dynamics[..., 0, :], torch.ones_like(dynamics[..., 0])


class PerItemScore(nn.Module):
    """One linear score with its own weights for each item: e_n = W_n . x_n + b_n. Zero at first: uniform softmax."""

    def __init__(self, items: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(items, features))
        self.bias = nn.Parameter(torch.zeros(items))

    def forward(self, x: Tensor) -> Tensor:
        """(..., items, features) -> (..., items)."""
        return (x * self.weight).sum(dim=-1) + self.bias


class Estimator(nn.Module):
    """The head k: two hidden layers (Linear, batch norm, ReLU, dropout) and a linear output."""

    def __init__(self, features: int, config: NetworkConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in config.estimator:
            layers += [
                nn.Linear(features, width),
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Dropout(config.estimator_dropout),
            ]
            features = width
        self.k = nn.Sequential(*layers, nn.Linear(features, config.outputs))
        initialise_relu(self.k)

    def forward(self, aggregated: Tensor) -> Tensor:
        """(B, M, features) -> (B, M, outputs)."""
        batch, variants, features = aggregated.shape
        flat = self.k(aggregated.reshape(-1, features))
        return flat.reshape(batch, variants, self.k[-1].out_features)


def weighted_sum(weights: Tensor, items: Tensor) -> Tensor:
    """sum_n weights[..., n] items[..., n, :]."""
    return torch.matmul(weights.unsqueeze(-2), items)[..., 0, :]
