"""SIAM: sizes as the paper gives them, attention that is what it says, answers that do not depend on padding."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn

from networks import checkpoint
from networks.appearance import MAP_SIDES, ResponseNorm
from networks.siam import Siam, SiamFrames, SiamSequence
from networks.siam_config import MECHANISMS, SiamConfig, siam_config
from networks.spatial_attention import SpatialAttention
from networks.temporal_attention import TemporalAttention
from smile.frontal_shape import SIDE_PX
from smile.tensors import SIAM_FEATURES, SPATIAL_CELLS

TINY = SiamConfig(channels=(4, 6, 8), hidden=16, features=12, attention_width=5)


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


def faces(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (*shape, SIDE_PX, SIDE_PX), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def tiny() -> Siam:
    torch.manual_seed(0)
    return Siam(TINY).eval()


@pytest.mark.parametrize(("features", "total"), [(128, 75_715_331), (256, 76_486_147), (512, 78_519_299)])
def test_parameters_of_the_paper(features: int, total: int) -> None:
    """SPEC B1's totals for the three widths that the paper tries."""
    with torch.device("meta"):
        assert count(Siam(SiamConfig(features=features))) == total


@pytest.mark.parametrize(
    ("mechanism", "total"),
    [("agnostic", 66_049), ("indexed", 6_579_457), ("mediate", 91_393), ("fully_indexed", 6_604_801)],
)
def test_parameters_of_each_mechanism(mechanism: str, total: int) -> None:
    """SPEC B4's totals on the 10x10 map."""
    with torch.device("meta"):
        assert count(SpatialAttention(mechanism, 256, SPATIAL_CELLS, 256)) == total


def test_parameters_of_the_compact_width() -> None:
    """Small enough to ship: two bytes each stay below 3 MB."""
    compact = Siam(siam_config("compact"))
    assert count(compact) < 1.5e6 and compact.config.features == SIAM_FEATURES


def test_map_sizes(tiny: Siam) -> None:
    """54, 26, 22, 10, 8 cells."""
    maps, sides = torch.zeros(1, 1, SIDE_PX, SIDE_PX), []
    for convolution in (tiny.appearance.conv1, tiny.appearance.conv2, tiny.appearance.conv3):
        for layer in convolution:
            maps = layer(maps)
            sides.append(maps.shape[-1])
    assert list(dict.fromkeys(sides)) == [54, 26, 22, 10, 8]
    assert MAP_SIDES == (26, 10, 8) and MAP_SIDES[1] == SPATIAL_CELLS


def test_response_norm_is_that_of_torch() -> None:
    """The cheap form equals nn.LocalResponseNorm with AlexNet's constants."""
    x = 40 * torch.randn(2, 7, 3, 3)
    torch.testing.assert_close(ResponseNorm()(x), nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)(x))


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_spatial_attention_follows_its_equation(mechanism: str) -> None:
    """Cell by cell: sigmoid(u . tanh(W F + b) + c), with the cell's own weights or the shared ones."""
    torch.manual_seed(1)
    attention = SpatialAttention(mechanism, 6, 3, 4)
    nn.init.normal_(attention.b)
    maps = torch.randn(2, 6, 3, 3)
    attended, weights = attention(maps)
    for frame, row, column in product(range(2), range(3), range(3)):
        cell = 3 * row + column
        w, b = attention.w[cell % len(attention.w)], attention.b[cell % len(attention.b)]
        u = attention.u[cell % len(attention.u)]
        expected = torch.sigmoid(u @ torch.tanh(w @ maps[frame, :, row, column] + b) + attention.c)
        torch.testing.assert_close(weights[frame, row, column], expected)
        torch.testing.assert_close(attended[frame, :, row, column], expected * maps[frame, :, row, column])


def test_temporal_attention_is_a_plain_normalisation() -> None:
    """e / sum e with e = sigmoid(v . tanh(M z + b) + c), over the valid instants alone."""
    torch.manual_seed(2)
    attention = TemporalAttention(5)
    states = torch.randn(2, 4, 5)
    weights = attention(states, torch.tensor([4, 2]))
    e = torch.sigmoid(attention.v(torch.tanh(attention.m(states))))[..., 0]
    torch.testing.assert_close(weights[0], e[0] / e[0].sum())
    torch.testing.assert_close(weights[1], torch.tensor([1.0, 1.0, 0.0, 0.0]) * e[1] / e[1, :2].sum())


@pytest.mark.parametrize(("spatial", "recurrent", "temporal"), list(product((True, False), repeat=3)))
def test_any_module_can_be_left_out(spatial: bool, recurrent: bool, temporal: bool) -> None:
    """Each combination answers; weights over time add up to 1, padding has none, and what it holds has no influence."""
    torch.manual_seed(3)
    network = Siam(replace(TINY, spatial=spatial, recurrent=recurrent, temporal=temporal)).eval()
    clips, lengths = faces(2, 5), torch.tensor([5, 3])
    with torch.no_grad():
        estimate, attention = network(clips, lengths)
        alone, _ = network(clips[1:, :3], lengths[1:])
    torch.testing.assert_close(estimate.temporal.sum(dim=1), torch.ones(2))
    assert not estimate.temporal[1, 3:].any()
    torch.testing.assert_close(estimate.output[1:], alone.output)
    assert (attention == 1).all() != spatial
    if not temporal:
        expected = [0, 0, 1, 0, 0] if recurrent else [1 / 3, 1 / 3, 1 / 3, 0, 0]
        torch.testing.assert_close(estimate.temporal[1], torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("after", [1, 2, 3])
def test_attention_after_each_convolution(after: int) -> None:
    """The map that is attended to has the cells of its layer."""
    network = Siam(replace(TINY, attention_after=after)).eval()
    features, attention = network.look(faces(2))
    assert attention.shape == (2, MAP_SIDES[after - 1], MAP_SIDES[after - 1])
    assert features.shape == (2, TINY.features)


def test_every_weight_learns(tiny: Siam) -> None:
    """A loss reaches every parameter but the second bias vectors that torch adds to the recurrence."""
    network = Siam(TINY)
    estimate, _ = network(faces(2, 3), torch.tensor([3, 3]))
    estimate.output.sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert idle == [f"recurrent.bias_hh_l{layer}" for layer in (0, 1)]


def test_the_halves_are_the_whole() -> None:
    """What the two exported graphs do one after the other is the network, but for float16 between them."""
    torch.manual_seed(4)
    network = Siam(siam_config("compact")).eval()
    clip = faces(1, 4)
    with torch.no_grad():
        whole, spatial = network(clip, torch.tensor([4]))
        appearance, attention = SiamFrames(network)(clip[0])
        age, temporal = SiamSequence(network)(appearance[None], torch.tensor([4]))
    torch.testing.assert_close(age, network.answer(whole.output).unsqueeze(-1), atol=1e-3, rtol=0)
    torch.testing.assert_close(temporal, whole.temporal, atol=1e-4, rtol=0)
    torch.testing.assert_close(attention, spatial[0])


def test_a_network_that_the_graphs_cannot_carry_is_refused(tiny: Siam) -> None:
    """Another number of features, and no spatial attention."""
    for config in (TINY, replace(siam_config("compact"), spatial=False)):
        with pytest.raises(ValueError, match="the graph has spatial attention"):
            SiamFrames(Siam(config))


def test_a_checkpoint_brings_it_back(tiny: Siam, tmp_path: Path) -> None:
    """Weights and configuration come back as they were; another kind is refused."""
    checkpoint.save(tiny, tmp_path)
    again = checkpoint.load_siam(tmp_path)
    assert again.config == tiny.config
    with torch.no_grad():
        assert torch.equal(
            again(faces(1, 3), torch.tensor([3]))[0].output, tiny(faces(1, 3), torch.tensor([3]))[0].output
        )
    with pytest.raises(checkpoint.CheckpointError, match="holds a siam"):
        checkpoint.load_backbone(tmp_path)
