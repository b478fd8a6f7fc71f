import itertools

import pytest
import torch
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.ops.transposed_convolution import fractionally_strided, overlap_map, paste_kernels

WAYS = pytest.mark.parametrize("way", [paste_kernels, fractionally_strided])


@WAYS
def test_two_pixels_by_hand(way) -> None:
    x, weight = torch.tensor([[[[2.0, 10.0]]]]), torch.tensor([[[[1.0, 3.0, 5.0]]]])
    assert way(x, weight, stride=2).flatten().tolist() == [2, 6, 10 + 10, 30, 50]
    assert way(x, weight, stride=1).flatten().tolist() == [2, 6 + 10, 10 + 30, 50]


@WAYS
def test_equals_torch_for_every_stride_padding_dilation_and_output_padding(way) -> None:
    x, weight = torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.randn(3, 2, 3, 4, dtype=torch.float64)
    for stride, padding, dilation, output_padding in itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (0, 1, 2)):
        if output_padding < max(stride, dilation):
            options = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}
            torch.testing.assert_close(way(x, weight, **options), F.conv_transpose2d(x, weight, **options))


def test_equals_a_loop_that_pastes() -> None:
    x, weight = torch.randn(2, 3, 3, 4), torch.randn(3, 2, 4, 3)
    pasted = torch.zeros(2, 2, 2 * 2 + 4, 2 * 3 + 3)
    for n, c, row, column in itertools.product(range(2), range(3), range(3), range(4)):
        pasted[n, :, 2 * row : 2 * row + 4, 2 * column : 2 * column + 3] += x[n, c, row, column] * weight[c]
    torch.testing.assert_close(paste_kernels(x, weight, stride=2), pasted)


def test_overlap_by_hand_and_by_counting() -> None:
    assert overlap_map((2, 2), 3, stride=2)[0].tolist() == [1, 1, 2, 1, 1]
    assert overlap_map((2, 2), 3, stride=2)[2].tolist() == [2, 2, 4, 2, 2]
    taps = F.conv_transpose2d(torch.ones(1, 1, 5, 4), torch.ones(1, 1, 5, 5), stride=3, padding=1, output_padding=2)[0, 0]
    assert torch.equal(overlap_map((5, 4), 5, stride=3, padding=1, output_padding=2), taps.long())


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (9, 4), (8, 4)])
def test_there_is_a_checkerboard_unless_the_stride_divides_the_kernel(kernel: int, stride: int) -> None:
    inside = overlap_map((12, 12), kernel, stride=stride)[kernel:-kernel, kernel:-kernel]
    assert (inside.unique().numel() == 1) == (kernel % stride == 0)
    if kernel % stride:  # squares of the low and the high count, and their products on the edges between
        few, many = kernel // stride, -(-kernel // stride)
        assert set(inside.unique().tolist()) == {few * few, few * many, many * many}


@WAYS
def test_gradient(way) -> None:
    x = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, weight: way(x, weight, stride=2, padding=1, output_padding=1), (x, weight))


@WAYS
def test_refusal(way) -> None:
    with pytest.raises(SettingsError, match="Output padding of 3 for stride 2"):
        way(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3), stride=2, output_padding=3)
