import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.ops.linear_convolution import convolution_of, linear_of, linear_per_position


def test_by_hand() -> None:
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of a row of two
    made = linear_per_position(x, torch.tensor([[1.0, 10.0]]), torch.tensor([0.5]))
    assert made.tolist() == [[[[31.5, 42.5]]]]


def test_equals_the_linear_layer_at_each_position() -> None:
    x, linear = torch.randn(2, 5, 4, 3), nn.Linear(5, 7)
    made = linear_per_position(x, linear.weight, linear.bias)
    for row in range(4):
        for column in range(3):
            torch.testing.assert_close(made[:, :, row, column], linear(x[:, :, row, column]))


@pytest.mark.parametrize("bias", [True, False])
def test_a_classifier_becomes_convolutional_and_slides(bias: bool) -> None:
    linear, x = nn.Linear(3 * 4 * 2, 6, bias=bias).double(), torch.randn(2, 3, 6, 5, dtype=torch.float64)
    conv = convolution_of(linear, (4, 2))
    made = conv(x)
    assert made.shape == (2, 6, 3, 4)
    for row in range(3):
        for column in range(4):
            window = x[:, :, row : row + 4, column : column + 2].flatten(1)
            torch.testing.assert_close(made[:, :, row, column], linear(window))
    torch.testing.assert_close(linear_of(conv).state_dict(), linear.state_dict())


def test_gradient() -> None:
    x = torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: linear_per_position(x, F.one_hot(torch.arange(2)).double()), x)


def test_refusal() -> None:
    with pytest.raises(SettingsError, match="10 inputs does not read maps of 2 x 2 pixels"):
        convolution_of(nn.Linear(10, 2), (2, 2))
