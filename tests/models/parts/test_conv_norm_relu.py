import pytest
import torch
from torch import nn

from intarsia.models.parts.conv_norm_relu import conv_norm_relu, separable_conv_norm_relu


def parameters(block: nn.Module) -> int:
    return sum(p.numel() for p in block.parameters())


def test_parameters_by_hand() -> None:
    assert parameters(conv_norm_relu(8, 16, 3)) == 8 * 16 * 9 + 2 * 16
    assert parameters(separable_conv_norm_relu(8, 16, 3)) == 8 * 9 + 2 * 8 + 8 * 16 + 2 * 16


@pytest.mark.parametrize("make", [conv_norm_relu, separable_conv_norm_relu])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 6), (5, 2)])
def test_keeps_the_size_and_is_never_negative(make: type, kernel: int, dilation: int) -> None:
    x = make(4, 6, kernel, dilation=dilation)(torch.randn(2, 4, 7, 9))
    assert x.shape == (2, 6, 7, 9)
    assert x.min() == 0


def test_a_separable_convolution_sees_its_dilated_neighbours() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1
    block = separable_conv_norm_relu(1, 1, 3, dilation=3).eval()
    for parameter in block.parameters():
        nn.init.constant_(parameter, 1)
    seen = block(image) - block(torch.zeros_like(image))
    assert sorted({int(v) for v in seen[0, 0].nonzero().flatten()}) == [1, 4, 7]
