from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import nn

from networks.config import ABLATIONS, NetworkConfig, network_config
from networks.image_cnn import ImageCNN
from networks.interpreter import Interpreter, PerItemScore
from networks.network import InterpreterNetwork, Relations, build
from networks.traits import AgeScale, GenderTemperature
from smile.regions import PAIRS, REGIONS
from smile.tensors import REGION_FEATURES


def parameters(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def compact(trait: str = "age", ablation: str = "full") -> InterpreterNetwork:
    """An evaluating network whose pair scores are drawn, so that importance is not uniform."""
    torch.manual_seed(0)
    network = build(network_config(trait, "compact", ablation)).eval()
    assert isinstance(network, InterpreterNetwork)
    for module in network.modules():
        if isinstance(module, PerItemScore):
            nn.init.normal_(module.weight, std=0.1)
    return network


def clips(count: int = 2, frames: int = 6) -> torch.Tensor:
    shape = (count, frames, len(REGIONS), REGION_FEATURES)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("trait", "ablation", "expected"),
    [
        ("age", "full", 54_725_669),
        ("gender", "full", 54_726_694),
        ("age", "no_ri", 54_725_669 - 36 * 4097),
        ("age", "regional", 23_105_546),
        ("age", "holistic", 39_873_537),
    ],
)
def test_the_paper_width_has_the_papers_parameters(trait: str, ablation: str, expected: int) -> None:
    """Totals of SPEC A2 and A7, counted on the meta device."""
    with torch.device("meta"):
        network = InterpreterNetwork(NetworkConfig(trait, ablation))
    assert parameters(network) == expected


def test_without_positions_g_is_narrower() -> None:
    """SPEC A7: g of no_lf_no_ri has 25,174,016 parameters, 25,190,400 with positions."""
    with torch.device("meta"):
        without, full = (Interpreter(NetworkConfig("age", ablation)) for ablation in ("no_lf_no_ri", "full"))
    assert (parameters(without.g), parameters(full.g)) == (25_174_016, 25_190_400)


def test_both_compact_traits_fit_in_six_megabytes() -> None:
    """What a git repository can carry, in float32."""
    assert 4 * (parameters(compact("age")) + parameters(compact("gender"))) < 6e6


@torch.no_grad()
@pytest.mark.parametrize("ablation", [name for name in ABLATIONS if name != "image_cnn"])
def test_importance_is_a_distribution_and_starts_uniform(ablation: str) -> None:
    """Scores start at zero, so lambda starts at 1/n; drawn scores still sum to 1."""
    fresh = build(network_config("gender", "compact", ablation)).eval()
    estimate = fresh(clips(), torch.tensor([6, 4]))
    items = {"regional": len(REGIONS), "holistic": 1}.get(ablation, len(PAIRS))
    torch.testing.assert_close(estimate.importance, torch.full((2, 1, items), 1 / items))
    assert estimate.output.shape == (2, 1, 2)
    drawn = compact("gender", ablation)(clips(), torch.tensor([6, 4])).importance
    torch.testing.assert_close(drawn.sum(-1), torch.ones(2, 1))
    assert bool((drawn.amax(-1) > drawn.amin(-1)).all()) == (ablation in ("full", "regional"))


@torch.no_grad()
def test_padding_and_company_do_not_change_an_answer() -> None:
    """A clip alone and unpadded answers as it does padded with garbage beside a longer one."""
    network, features = compact(), clips()
    features[1, 4:] = 1e3
    together = network(features, torch.tensor([6, 4]))
    alone = network(features[1:, :4], torch.tensor([4]))
    torch.testing.assert_close(together.output[1:], alone.output)
    torch.testing.assert_close(together.importance[1:], alone.importance)


@torch.no_grad()
def test_the_last_valid_step_is_what_a_plain_lstm_ends_with() -> None:
    """d_i is the second LSTM layer's final hidden state for each region on its own."""
    dynamics, features = compact().dynamics, clips(1, 5)
    encoded = dynamics(features, torch.tensor([3]))
    for region in range(len(REGIONS)):
        _, (hidden, _) = dynamics.lstm(torch.relu(dynamics.fc1(features[0, :3, region])))
        torch.testing.assert_close(encoded[0, region], hidden[-1])


@torch.no_grad()
@pytest.mark.parametrize("ablation", ["full", "holistic"])
def test_instants_that_repeat_count_as_often_as_they_are_shown(ablation: str) -> None:
    """Given once, with the places where they are shown, they are encoded as when written out."""
    network, features = compact(ablation=ablation), clips(2, 3)
    place, counts = torch.tensor([[0, 2, 2, 1, 0], [1, 1, 0, 0, 0]]), torch.tensor([5, 3])
    written = torch.stack([rows[places] for rows, places in zip(features, place, strict=True)])
    torch.testing.assert_close(network.encode(features, counts, place), network.encode(written, counts))


@torch.no_grad()
def test_a_mask_zeroes_the_dynamics_of_its_region_and_nothing_else() -> None:
    """One pass with M masks equals M passes with d_i zeroed by hand."""
    network, features, counts = compact(), clips(), torch.tensor([6, 4])
    masks = torch.ones(2, 3, len(REGIONS))
    masks[:, 1, 4] = 0
    masks[:, 2, [0, 8]] = 0
    masked = network(features, counts, masks)
    for variant, zeroed in enumerate([[], [4], [0, 8]]):
        dynamics = network.encode(features, counts)
        dynamics[:, zeroed] = 0
        single = network.interpret(dynamics.unsqueeze(1))
        torch.testing.assert_close(masked.output[:, [variant]], single.output)
        torch.testing.assert_close(masked.importance[:, [variant]], single.importance)


@torch.no_grad()
def test_the_interpreter_computes_the_papers_equations() -> None:
    """r_ij = g([o_i; o_j]), lambda = softmax(W_ij . r_ij + b_ij), f_agg = sum lambda r, pair by pair."""
    interpreter = compact().interpreter
    dynamics = torch.randn(len(REGIONS), 128, generator=torch.Generator().manual_seed(2))
    objects = [torch.cat([d, torch.tensor(region.centre)]) for d, region in zip(dynamics, REGIONS, strict=True)]
    relations = torch.stack([interpreter.g(torch.cat(pair)) for pair in combinations(objects, 2)])
    scores = torch.stack([w @ r for w, r in zip(interpreter.h.weight, relations, strict=True)]) + interpreter.h.bias
    aggregated, importance = interpreter(dynamics)
    torch.testing.assert_close(importance, scores.softmax(0))
    torch.testing.assert_close(aggregated, (scores.softmax(0)[:, None] * relations).sum(0))


def test_lstm_starts_with_orthogonal_gates_and_an_open_forget_gate() -> None:
    """SPEC C3."""
    lstm = compact().dynamics.lstm
    for gate in lstm.weight_hh_l1.split(lstm.hidden_size):
        torch.testing.assert_close(gate @ gate.T, torch.eye(lstm.hidden_size), atol=1e-5, rtol=0)
    bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).split(lstm.hidden_size)
    assert [gate.unique().tolist() for gate in bias] == [[0.0], [1.0], [0.0], [0.0]]


@pytest.mark.parametrize("memory", [3, 96])
def test_units_of_a_memory_forget_over_as_many_instants(memory: int) -> None:
    """Chrono initialisation: time constants, 1 / (1 - forget gate), 2 to the memory; the input gate complements it."""
    torch.manual_seed(0)
    network = build(replace(network_config("age", "compact"), memory=memory))
    assert isinstance(network, InterpreterNetwork)
    lstm = network.dynamics.lstm
    for layer in range(lstm.num_layers):
        bias = getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")
        inputs, forget, cell, output = bias.split(lstm.hidden_size)
        instants = 1 / (1 - forget.sigmoid())
        assert instants.min() >= 2 - 1e-4 and 0.9 * memory < instants.max() <= memory + 1e-3
        assert torch.equal(inputs, -forget) and not cell.any() and not output.any()


@pytest.mark.parametrize("memory", [-1, 2])
def test_a_memory_is_of_three_instants_at_least(memory: int) -> None:
    with pytest.raises(ValueError, match="memory"):
        replace(network_config("age", "compact"), memory=memory)


def test_dropout_rates_are_the_papers() -> None:
    """P1: Fc1 50 %, each LSTM layer 20 %, g and k 30 %."""
    network = build(NetworkConfig("age", fc1=8, lstm=8, relation=(8, 8), estimator=(8, 8)))
    rates = {name: module.p for name, module in network.named_modules() if isinstance(module, nn.Dropout)}
    assert rates["dynamics.fc1_dropout"] == 0.5
    assert rates["dynamics.lstm_dropout"] == network.dynamics.lstm.dropout == 0.2
    assert [rate for name, rate in rates.items() if ".g." in name or ".k." in name] == [0.3] * 4


def test_every_parameter_learns() -> None:
    """A loss reaches each parameter of the full network with a finite gradient that is not all zero."""
    network = compact().train()
    estimate = network(clips(4), torch.tensor([6, 4, 5, 3]))
    (estimate.output - 1).square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all() and weight.grad.any(), name


@torch.no_grad()
def test_answers_are_years_and_probabilities() -> None:
    """Target scaling and temperature are undone inside the joined graph."""
    age, gender = compact("age"), compact("gender")
    assert isinstance(age.answer, AgeScale) and isinstance(gender.answer, GenderTemperature)
    age.answer.mean.fill_(30.0)
    age.answer.std.fill_(10.0)
    gender.answer.temperature.fill_(2.0)
    inputs = clips(), torch.tensor([6, 4]), torch.ones(2, 1, len(REGIONS))
    years, probability, _, _ = Relations(age, gender)(*inputs)
    torch.testing.assert_close(years, age(*inputs).output[..., 0] * 10 + 30)
    torch.testing.assert_close(age.answer.standardise(years), age(*inputs).output)
    torch.testing.assert_close(probability, (gender(*inputs).output / 2).softmax(-1))


def test_networks_in_the_wrong_place_are_refused() -> None:
    """Swapped traits, or an ablation without pairs, cannot be joined."""
    with pytest.raises(ValueError, match="made for gender"):
        Relations(compact("gender"), compact("age"))
    with pytest.raises(ValueError, match="holistic"):
        Relations(compact("age", "holistic"), compact("gender"))
    with pytest.raises(ValueError, match="no regions to mask"):
        compact("age", "holistic")(clips(), torch.tensor([6, 4]), torch.ones(2, 1, 9))
    with pytest.raises(ValueError, match="not one of"):
        NetworkConfig("mood")


@torch.no_grad()
def test_the_image_network_answers_each_frame() -> None:
    """`image_cnn` takes crops and gives one output for each."""
    network = build(network_config("gender", ablation="image_cnn")).eval()
    frames = torch.randint(0, 256, (3, 96, 96, 3), dtype=torch.uint8)
    assert isinstance(network, ImageCNN) and network(frames).shape == (3, 2)
    torch.testing.assert_close(network.answer(network(frames)).sum(-1), torch.ones(3))
