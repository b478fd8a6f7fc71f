import math

import pytest
import torch
from torch import nn

from intarsia.core import Output, SettingsError
from intarsia.ops.effective_field import effective_field, effective_side


def ones(layers: int, kernel: int = 3) -> nn.Sequential:
    convs = [nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for _ in range(layers)]
    for conv in convs:
        nn.init.constant_(conv.weight, 1 / kernel**2)
    return nn.Sequential(*convs)


def test_two_averages_by_hand() -> None:
    field = effective_field(ones(2), torch.zeros(1, 1, 7, 7))
    line = torch.tensor([0, 1, 2, 3, 2, 1, 0]) / 9
    torch.testing.assert_close(field, torch.outer(line, line))
    assert effective_side(field) == 5
    assert effective_side(field, 0.5) == pytest.approx(math.sqrt(5))  # 9, and four times 6 of 9


def test_of_a_stack_of_averages_it_is_a_gaussian_that_grows_with_the_root_of_the_depth() -> None:
    fields = [effective_field(ones(depth).double(), torch.zeros(1, 1, 101, 101, dtype=torch.float64)) for depth in (5, 20)]
    place = torch.arange(101, dtype=torch.float64) - 50
    variances = [float(field.sum(1) @ place**2) for field in fields]
    assert variances == pytest.approx([5 * 2 / 3, 20 * 2 / 3])  # of a box of three, as often as there are layers
    assert effective_side(fields[1]) / effective_side(fields[0]) == pytest.approx(2, abs=0.1)
    gauss = torch.exp(-(place**2) / (2 * variances[1]))
    torch.testing.assert_close(fields[1][50] / fields[1].max(), gauss, atol=0.01, rtol=0)


def test_equals_a_loop_over_images_and_channels() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2), nn.Tanh(), nn.Conv2d(3, 4, 2))
    image = torch.randn(3, 2, 12, 9)
    expected = torch.zeros(12, 9)
    for one in image:
        one = one[None].clone().requires_grad_()
        module(one)[0, :, 1, 2].sum().backward()
        assert one.grad is not None
        expected += one.grad[0].abs().sum(0)
    field = effective_field(module, image, at_yx=(1, 2))
    torch.testing.assert_close(field, expected / expected.sum())
    assert field.count_nonzero() == 5 * 5
    assert field[2:7, 4:9].count_nonzero() == 25  # 3 + 2 (2 - 1), from 2 x (1, 2) on


def test_outputs_of_networks_and_what_is_not_one() -> None:
    class Named(nn.Module):
        def forward(self, x: torch.Tensor) -> Output:
            return Output(2 * x)

    image = torch.zeros(1, 1, 3, 3)
    assert effective_field(Named(), image).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert effective_field(nn.Flatten(2), image, output=lambda made: made.unflatten(2, (3, 3)))[1, 1] == 1
    with pytest.raises(SettingsError, match="returned a tuple"):
        effective_field(Listed(), image)


class Listed(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[()]:
        return ()


def test_no_say_at_all_and_no_traces() -> None:
    module = nn.Conv2d(1, 1, 3, padding=1)
    nn.init.zeros_(module.weight)
    with torch.no_grad():
        assert effective_field(module, torch.randn(1, 1, 5, 5)).sum() == 0
    assert module.weight.grad is None
