import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.ops.dilated_convolution import dilate_kernel, dilated_convolution, stacked_fields
from intarsia.ops.receptive_field import receptive_field


def test_by_hand() -> None:
    row, kernel = torch.arange(1.0, 7.0)[None, None, None], torch.tensor([[[[100.0, 10.0, 1.0]]]])
    assert dilated_convolution(row, kernel, 2).flatten().tolist() == [13, 24, 135, 246, 350, 460]
    assert dilate_kernel(kernel, 3).flatten().tolist() == [100, 0, 0, 10, 0, 0, 1]


@pytest.mark.parametrize("rate", [1, 2, 3, 4])
def test_equals_a_plain_convolution_with_zeros_in_the_kernel_and_plain_ones_of_every_rate_th_pixel(rate: int) -> None:
    x, weight = torch.randn(2, 3, 12, 12), torch.randn(4, 3, 3, 5)
    made = dilated_convolution(x, weight, rate)
    assert made.shape == (2, 4, 12, 12)
    torch.testing.assert_close(made, F.conv2d(x, dilate_kernel(weight, rate), padding=(rate, 2 * rate)))
    for row in range(rate):
        for column in range(rate):
            phase = F.conv2d(x[..., row::rate, column::rate], weight, padding=(1, 2))
            torch.testing.assert_close(made[..., row::rate, column::rate], phase)


@pytest.mark.parametrize(("rates", "kernel"), [((1, 2, 4), 3), ((1, 1, 1, 1), 3), ((6, 12), 3), ((1, 3), 5)])
def test_fields_equal_those_of_the_layers(rates: tuple[int, ...], kernel: int) -> None:
    layers = [nn.Conv2d(1, 1, kernel, padding=rate * (kernel // 2), dilation=rate) for rate in rates]
    found = [receptive_field(nn.Sequential(*layers[: n + 1]), (1, 128, 128)).size_hw[0] for n in range(len(layers))]
    assert stacked_fields(rates, kernel) == found


def test_one_pixel_and_gradient() -> None:
    assert dilated_convolution(torch.ones(1, 1, 1, 1), torch.arange(9.0).reshape(1, 1, 3, 3), 4).item() == 4
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, weight: dilated_convolution(x, weight, 2), (x, weight))


@pytest.mark.parametrize(("kernel", "rate"), [(2, 1), (3, 0)])
def test_refusal(kernel: int, rate: int) -> None:
    with pytest.raises(SettingsError, match=rf"\(3, {kernel}\) at {rate} were given"):
        dilated_convolution(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, kernel), rate)
