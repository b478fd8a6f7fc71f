import torch
from torch.nn import functional as F

from intarsia.models.parts.pyramid_pooling import PyramidPooling


def test_parameters_by_hand() -> None:
    with torch.device("meta"):
        pooling = PyramidPooling(2048)
    assert sum(p.numel() for p in pooling.parameters()) == 4 * (2048 * 512 + 2 * 512) == 4_198_400
    assert pooling.out_channels == 4096


def test_a_slow_loop_says_the_same() -> None:
    """6 x 12 pixels, which all grids divide: means of blocks, a matrix product, and interpolation written out."""
    torch.manual_seed(0)
    pooling = PyramidPooling(4, bins=(1, 2, 3, 6)).eval()
    feature = torch.randn(1, 4, 6, 12)
    answer = pooling(feature)
    assert torch.equal(answer[:, :4], feature)
    for index, cells in enumerate((1, 2, 3, 6)):
        conv = pooling.grids[index][1]
        means = torch.zeros(cells, cells)
        for row in range(cells):
            for column in range(cells):
                h, w = 6 // cells, 12 // cells
                block = feature[0, :, row * h : (row + 1) * h, column * w : (column + 1) * w]
                means[row, column] = (conv.weight[0, :, 0, 0] * block.mean((1, 2))).sum().clamp(min=0) / (1 + 1e-5) ** 0.5
        for y in range(6):
            for x in range(12):
                v, u = y * (cells - 1) / 5, x * (cells - 1) / 11  # corners aligned
                top, left = min(int(v), max(cells - 2, 0)), min(int(u), max(cells - 2, 0))
                bottom, right = min(top + 1, cells - 1), min(left + 1, cells - 1)
                dv, du = v - top, u - left
                upper = means[top, left] * (1 - du) + means[top, right] * du
                lower = means[bottom, left] * (1 - du) + means[bottom, right] * du
                torch.testing.assert_close(answer[0, 4 + index, y, x], upper * (1 - dv) + lower * dv)


def test_any_size_even_smaller_than_the_grid() -> None:
    pooling = PyramidPooling(8).eval()
    for size in ((1, 1), (3, 2), (7, 13)):
        assert pooling(torch.randn(2, 8, *size)).shape == (2, 16, *size)


def test_one_image_trains_with_the_running_statistics_of_the_single_cell() -> None:
    torch.manual_seed(0)
    pooling = PyramidPooling(8, bins=(1, 2)).train()
    pooling(torch.randn(2, 8, 4, 4))
    single, four = pooling.grids[0][2], pooling.grids[1][2]
    before, before_four = single.running_mean.clone(), four.running_mean.clone()
    feature = torch.randn(1, 8, 4, 4)
    trained = pooling(feature)
    assert torch.equal(single.running_mean, before)
    assert not torch.equal(four.running_mean, before_four)
    mean = F.conv2d(feature.mean((2, 3), keepdim=True), pooling.grids[0][1].weight)
    expected = F.relu((mean - before[:, None, None]) / (single.running_var[:, None, None] + 1e-5).sqrt())
    torch.testing.assert_close(trained[:, 8:12], expected.expand(-1, -1, 4, 4))
