import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.models.parts import pyramid_pooling
from intarsia.models.parts.pyramid_pooling import _AverageCells
from intarsia.ops.cell_averages import cell_shares, corner_shares


def test_the_mean_of_two_cells_of_three_places():
    shares = cell_shares(torch.tensor([0, 1]), torch.tensor([2, 3]), 3)
    assert shares.tolist() == [[0.5, 0.5, 0], [0, 0.5, 0.5]]


@pytest.mark.parametrize("cells", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(7, 13), (6, 4), (2, 1)])
def test_what_is_exported_is_adaptive_pooling(cells, size, monkeypatch):
    maps = torch.rand(2, 3, *size, dtype=torch.float64)
    monkeypatch.setattr(pyramid_pooling, "is_exporting", lambda: True)
    torch.testing.assert_close(_AverageCells(cells)(maps), F.adaptive_avg_pool2d(maps, cells), rtol=1e-6, atol=1e-7)


def test_otherwise_it_is_the_layer_itself():
    maps = torch.rand(1, 2, 9, 8)
    assert torch.equal(_AverageCells(3)(maps), nn.AdaptiveAvgPool2d(3)(maps))


@pytest.mark.parametrize(("count", "side"), [(1, 5), (2, 5), (3, 3), (6, 11), (4, 1)])
def test_enlarging_with_aligned_corners(count, side):
    row = torch.rand(1, 1, count)
    found = row @ corner_shares(torch.tensor(count), 6, side).T[:count]
    torch.testing.assert_close(found, F.interpolate(row, side, mode="linear", align_corners=True))
