import pytest
import torch
from torch.nn import functional as F

from intarsia.ops.resize_convolution import Mode, ResizeConvolution, resize_convolution


def test_by_hand() -> None:
    row, mean = torch.tensor([[[[0.0, 3.0]]]]), torch.full((1, 1, 1, 3), 1 / 3)
    assert resize_convolution(row, mean)[0, 0, 0].tolist() == pytest.approx([0, 1, 2, 3])  # of 0 | 0 0 3 3 | 3


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_equals_resizing_then_convolving(mode: Mode) -> None:
    x, layer = torch.randn(2, 3, 4, 5), ResizeConvolution(3, 2, 5, factor=3, mode=mode)
    large = F.interpolate(x, scale_factor=3, mode=mode)
    assert layer(x).shape == (2, 2, 12, 15)
    torch.testing.assert_close(layer(x)[..., 2:-2, 2:-2], F.conv2d(large, layer.weight, layer.bias))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_constant_map_stays_constant_where_a_transposed_convolution_makes_a_checkerboard(mode: Mode) -> None:
    x, weight = torch.ones(1, 2, 6, 6), torch.rand(2, 2, 3, 3)
    made = resize_convolution(x, weight, mode=mode)
    assert float((made - made.mean((2, 3), keepdim=True)).abs().max()) < 1e-5
    board = F.conv_transpose2d(x, weight, stride=2)[..., 2:-2, 2:-2]
    assert float((board - board.mean((2, 3), keepdim=True)).abs().max()) > 0.1


def test_one_pixel_and_no_bias() -> None:
    layer = ResizeConvolution(1, 1, bias=False)
    assert layer.bias is None
    assert layer(torch.ones(1, 1, 1, 1)).shape == (1, 1, 2, 2)


def test_gradient() -> None:
    x = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(resize_convolution, (x, weight))
