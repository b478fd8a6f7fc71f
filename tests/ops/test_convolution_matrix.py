import itertools

import pytest
import torch
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.ops.convolution_matrix import convolution_matrix, convolved_size, transposed_convolution_matrix, transposed_size

KERNEL = torch.tensor([[1.0, 4.0, 1.0], [1.0, 4.0, 3.0], [3.0, 3.0, 1.0]])


def test_a_signal_by_hand() -> None:
    x, y, z = 2.0, 3.0, 5.0
    matrix = convolution_matrix(torch.tensor([[[x, y, z]]]), [4], padding=1)
    assert matrix.tolist() == [[y, z, 0, 0], [x, y, z, 0], [0, x, y, z], [0, 0, x, y]]
    matrix = convolution_matrix(torch.tensor([[[x, y, z]]]), [4], padding=1, stride=2)
    assert matrix.tolist() == [[y, z, 0, 0], [0, x, y, z]]


def test_maps_by_hand() -> None:
    matrix = convolution_matrix(KERNEL[None, None], [4, 4])
    first = [1, 4, 1, 0, 1, 4, 3, 0, 3, 3, 1, 0, 0, 0, 0, 0]
    assert matrix.tolist() == [[*[0] * shift, *first[: 16 - shift]] for shift in (0, 1, 4, 5)]
    assert transposed_convolution_matrix(KERNEL[None, None], [2, 2]).tolist() == matrix.T.tolist()


def settings(dims: int) -> list[tuple[int, ...]]:
    every = itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (0, 1, 2))
    return [one for one in every if one[3] < max(one[0], one[2])][:: 1 if dims == 1 else 2]


@pytest.mark.parametrize("dims", [1, 2])
def test_equal_torch_for_every_stride_padding_dilation_and_output_padding(dims: int) -> None:
    size, conv, transposed = [7, 6][:dims], [F.conv1d, F.conv2d][dims - 1], [F.conv_transpose1d, F.conv_transpose2d][dims - 1]
    weight = torch.randn(3, 2, *(3, 2)[:dims], dtype=torch.float64)
    for stride, padding, dilation, output_padding in settings(dims):
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        x = torch.randn(2, 2, *size, dtype=torch.float64)
        expected = conv(x, weight, **options)
        matrix = convolution_matrix(weight, size, **options)
        torch.testing.assert_close((x.flatten(1) @ matrix.T).reshape(expected.shape), expected)
        y = torch.randn(2, 3, *size, dtype=torch.float64)
        expected = transposed(y, weight, output_padding=output_padding, **options)
        matrix = transposed_convolution_matrix(weight, size, output_padding=output_padding, **options)
        torch.testing.assert_close((y.flatten(1) @ matrix.T).reshape(expected.shape), expected)


def test_the_transpose_is_the_gradient() -> None:
    weight, x = torch.randn(2, 3, 3, 3, dtype=torch.float64), torch.randn(1, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    y = F.conv2d(x, weight, stride=2, padding=1)
    above = torch.randn_like(y)
    y.backward(above)
    assert x.grad is not None
    matrix = convolution_matrix(weight, [6, 5], stride=2, padding=1)
    torch.testing.assert_close(matrix.T @ above.flatten(), x.grad.flatten())


def test_a_kernel_of_three_axes_and_one_pixel() -> None:
    weight, x = torch.randn(1, 1, 2, 1, 2), torch.randn(1, 1, 3, 2, 4)
    torch.testing.assert_close(convolution_matrix(weight, [3, 2, 4]) @ x.flatten(), F.conv3d(x, weight).flatten())
    assert convolution_matrix(torch.full((1, 1, 1, 1), 3.0), [1, 1]).tolist() == [[3.0]]


def test_gradient() -> None:
    weight = torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda weight: convolution_matrix(weight, [3, 3], padding=1), weight)


def test_refusals() -> None:
    with pytest.raises(SettingsError, match=r"\(1, 1, 3, 3\) slides over 2 axes; 1 sizes were given"):
        convolution_matrix(KERNEL[None, None], [4])
    with pytest.raises(SettingsError, match="3 taps at dilation 3 spans 7 pixels and does not fit into 4 with a padding of 1"):
        convolved_size(4, 3, padding=1, dilation=3)
    with pytest.raises(SettingsError, match="Output padding of 2 for stride 2"):
        transposed_size(4, 3, stride=2, output_padding=2)
    with pytest.raises(SettingsError, match="padding of 2 cuts off all of the 3 pixels"):
        transposed_size(1, 3, padding=2)
