import pytest
import torch
from torch import nn

from intarsia.ops.he_normal import he_normal_


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (nn.Conv2d(64, 128, 3), 64 * 9),
        (nn.Conv2d(64, 512, 3, groups=4), 16 * 9),
        (nn.ConvTranspose2d(128, 64, 2, stride=2), 128),  # each output pixel sees one input pixel
        (nn.ConvTranspose2d(64, 64, 4, stride=2), 64 * 4),
    ],
)
def test_variance_is_two_over_the_inputs_of_a_pixel(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: int) -> None:
    torch.manual_seed(0)
    he_normal_(nn.Sequential(nn.ReLU(), layer))
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.01 * inputs**-0.5 * 4)
    assert layer.weight.var().item() == pytest.approx(2 / inputs, rel=0.03)
    assert layer.bias is not None
    assert not layer.bias.any()


def test_a_deep_stack_keeps_the_size_of_its_signal() -> None:
    torch.manual_seed(0)
    stack = nn.Sequential(
        *[nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular"), nn.ReLU()) for _ in range(12)]
    )
    he_normal_(stack)
    with torch.no_grad():
        x = torch.randn(1, 64, 16, 16)
        assert 0.3 < stack(x).square().mean() / x.square().mean() < 3
