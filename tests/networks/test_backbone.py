import pytest
import torch

from networks.backbone import MEAN_RGB, Backbone, tile
from smile.regions import GRID, REGIONS
from smile.tensors import MAP_CELLS, MAP_CHANNELS, REGION_FEATURES


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone().eval()


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_it_has_the_parameters_of_vgg_face_up_to_conv4_3(backbone: Backbone) -> None:
    """SPEC A2: 7,635,264."""
    assert sum(weight.numel() for weight in backbone.parameters()) == 7_635_264


@torch.no_grad()
def test_features_are_the_scaled_blocks_of_the_map(backbone: Backbone, frames: torch.Tensor) -> None:
    """Region k = 3r + c holds map rows 2r..2r+1 and columns 2c..2c+1, channel first, divided by the feature scale."""
    maps = backbone.map(frames)
    assert maps.shape == (2, MAP_CHANNELS, MAP_CELLS, MAP_CELLS)
    backbone.feature_scale.fill_(4.0)
    regions = backbone(frames)
    backbone.feature_scale.fill_(1.0)
    assert regions.shape == (2, len(REGIONS), REGION_FEATURES) and regions.dtype == torch.float16
    for region in REGIONS:
        rows, columns = (slice(2 * place, 2 * place + 2) for place in (region.row, region.column))
        block = maps[:, :, rows, columns].reshape(2, REGION_FEATURES)
        assert torch.equal(regions[:, region.id], (block / 4).half())


def test_every_cell_of_the_map_belongs_to_one_region() -> None:
    """The nine blocks tile the map: nothing is lost and nothing is there twice."""
    cells = torch.arange(MAP_CHANNELS * MAP_CELLS**2).reshape(1, MAP_CHANNELS, MAP_CELLS, MAP_CELLS)
    assert torch.equal(tile(cells).flatten().sort().values, cells.flatten())
    assert tile(cells).shape[1] == GRID**2


@torch.no_grad()
def test_the_mean_colour_is_subtracted_in_rgb_order(backbone: Backbone) -> None:
    """A crop of the mean colour differs from zero input by rounding alone; the same colour as BGR does not."""
    mean = torch.tensor(MEAN_RGB).round().to(torch.uint8)
    rgb, bgr = (colour.expand(1, 96, 96, 3) for colour in (mean, mean.flip(0)))
    assert backbone.map(rgb).abs().max() < 0.05 * backbone.map(bgr).abs().max()


@torch.no_grad()
def test_activations_keep_their_size_through_ten_convolutions(backbone: Backbone, frames: torch.Tensor) -> None:
    """Untrained features neither vanish nor explode: within a factor of ten of the pixels' own size."""
    pixels = (frames.float() - torch.tensor(MEAN_RGB)).square().mean().sqrt()
    assert 0.1 < backbone.map(frames).square().mean().sqrt() / pixels < 10


@torch.no_grad()
def test_features_beyond_float16_are_clamped(frames: torch.Tensor) -> None:
    """Huge activations become the largest float16, not infinity."""
    backbone = Backbone().eval()
    backbone.feature_scale.fill_(1e-6)
    regions = backbone(frames)
    assert torch.isfinite(regions).all() and regions.max() == torch.finfo(torch.float16).max
