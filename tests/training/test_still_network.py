import numpy as np
import pytest
import torch
from torch import nn

from training.still_network import AGES, FrameHead, StillNetwork, expected_age, fold, load_head, save_head, unfold


@pytest.fixture(scope="module")
def network() -> StillNetwork:
    """A network whose normalisations have statistics and gains as training would leave them."""
    torch.manual_seed(0)
    network = StillNetwork()
    for layer in network.layers:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
            layer.momentum = None
    with torch.no_grad():
        network(torch.randint(0, 256, (8, 48, 48, 3), dtype=torch.uint8))
    return network.eval()


def test_the_folded_backbone_computes_the_same(network: StillNetwork) -> None:
    """Folding the normalisation changes nothing but rounding, and leaves the paper's 7,635,264 parameters."""
    frames = torch.randint(0, 256, (3, 96, 96, 3), dtype=torch.uint8)
    backbone = fold(network, "test")
    with torch.inference_mode():
        expected, folded = network.map(frames), backbone.map(frames)
    assert folded.shape == (3, 512, 6, 6) and expected.std() > 0.1
    torch.testing.assert_close(folded, expected, rtol=1e-3, atol=1e-3)
    assert sum(parameter.numel() for parameter in backbone.layers.parameters()) == 7_635_264


def test_a_released_backbone_is_taken_up_where_it_was(network: StillNetwork) -> None:
    """Unfolded, it computes the same as before, in training mode as well, from kernels of the size of fresh ones."""
    frames = torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8)
    released = fold(network, "test")
    again = unfold(released, frames)
    with torch.no_grad():
        expected = released.map(frames)
        for training in (False, True):
            torch.testing.assert_close(again.train(training).map(frames), expected, rtol=1e-3, atol=1e-3)
    fresh = StillNetwork()
    for ours, theirs in zip(again.layers, fresh.layers, strict=True):
        if isinstance(ours, nn.Conv2d) and isinstance(theirs, nn.Conv2d):
            assert float((ours.weight.std() / theirs.weight.std()).detach()) == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("size", [48, 80])
def test_crops_of_other_sizes_are_read(network: StillNetwork, size: int) -> None:
    """The head takes the map of any size that training uses."""
    age_logits, gender_logits = network(torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8))
    assert age_logits.shape == (2, AGES) and gender_logits.shape == (2, 2)


def test_the_expected_age_is_the_mean_of_the_distribution() -> None:
    """All mass on one year gives that year, equal mass on two their middle."""
    logits = torch.full((2, AGES), -1e4)
    logits[0, 33] = 0
    logits[1, [20, 30]] = 0
    np.testing.assert_allclose(expected_age(logits).numpy(), [33, 25], rtol=1e-6)


def test_a_head_comes_back_from_its_file(network: StillNetwork, tmp_path) -> None:
    """The stored head answers as the one that was stored."""
    save_head(network.head, tmp_path / "head.safetensors")
    maps = torch.rand(2, 512, 6, 6)
    loaded: FrameHead = load_head(tmp_path / "head.safetensors")
    with torch.inference_mode():
        for ours, theirs in zip(network.head(maps), loaded(maps), strict=True):
            assert torch.equal(ours, theirs)
