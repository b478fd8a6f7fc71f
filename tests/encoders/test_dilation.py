"""Dilation must give the strided network's own numbers; wrong rates must not."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders._dilation import DilatedAvgPool2d, dilate, dilate_first_units
from intarsia.encoders.timm import TimmEncoder

IMAGE = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def randomise(network: nn.Module) -> None:
    """timm starts the last normalisation of each block at zero, so that every block is the identity and any rate would pass."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.5)
            module.running_mean.normal_(std=0.5)
            module.running_var.uniform_(0.5, 1.5)


@torch.no_grad()
def distance(dilated: nn.Module, strided: nn.Module, step: int) -> float:
    """How far the dilated network's last feature, taken every `step` pixels, is from the strided one's, relatively."""
    expected = strided(IMAGE)[-1]
    return ((dilated(IMAGE)[-1][..., ::step, ::step] - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(
    "name",
    [
        "resnet18",  # two 3x3 to a block, the first strides
        "resnet26",  # bottlenecks, the 3x3 strides
        "resnet26d",  # the shortcut is average pooled
        "resnetblur18",  # strides behind a blur
        "res2net50_26w_4s",  # 3x3 average pooling among groups of channels
        "nf_resnet26",  # standardised weights instead of normalisation
        "mobilenetv2_100",
        "densenet121",  # average pooling between stages
    ],
)
def test_dilation_computes_what_the_strides_computed(name: str, output_stride: int) -> None:
    strided = TimmEncoder(name).double().eval()
    dilated = TimmEncoder(name, output_stride=output_stride).double().eval()
    randomise(strided)
    dilated.load_state_dict(strided.state_dict())
    assert distance(dilated, strided, 32 // output_stride) < 1e-10


@pytest.mark.parametrize("output_stride", [16, 8])
def test_the_new_rate_in_the_first_block_too_is_another_function(output_stride: int) -> None:
    strided, dilated = (
        TimmEncoder("resnet26").double().eval(),
        TimmEncoder("resnet26", output_stride=output_stride).double().eval(),
    )
    randomise(strided)
    dilated.load_state_dict(strided.state_dict())
    rate = 32 // output_stride
    convs = [m for n, m in dilated.named_modules() if "layer4" in n and isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert [conv.dilation[0] for conv in convs] == [rate // 2, rate]
    convs[0].dilation = convs[0].padding = (rate, rate)
    assert distance(dilated, strided, rate) > 0.1


def test_timms_own_rule_is_another_function_where_shortcuts_are_pooled() -> None:
    """Why there is a rule of ours; if this fails, timm has mended it."""
    strided = timm.create_model("resnet26d", features_only=True).double().eval()
    dilated = timm.create_model("resnet26d", features_only=True, output_stride=8).double().eval()
    randomise(strided)
    dilated.load_state_dict(strided.state_dict())
    assert distance(dilated, strided, 4) > 0.1


class Caffe(nn.Module):
    """Two bottlenecks of the first ResNets, whose stride is in the first 1x1 convolution and in the shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = nn.ModuleList([nn.Conv2d(3, 3, 1, stride=2), nn.Conv2d(3, 3, 1, stride=2)])
        self.spatial = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)])
        self.shortcut = nn.ModuleList([nn.Conv2d(3, 3, 1, stride=2), nn.Conv2d(3, 3, 1, stride=2)])

    def forward(self, x: Tensor) -> list[Tensor]:
        for reduce, spatial, shortcut in zip(self.reduce, self.spatial, self.shortcut, strict=True):
            x = F.relu(shortcut(x) + spatial(F.relu(reduce(x))))
        return [x]


def test_a_stride_in_the_first_1x1_gives_the_block_the_new_rate() -> None:
    torch.manual_seed(0)
    strided = Caffe().double()
    dilated = copy.deepcopy(strided)
    assert dilate(dilated, torch.zeros(1, 3, 8, 8, dtype=torch.float64), 1)
    assert [conv.dilation for conv in dilated.spatial] == [(2, 2), (4, 4)]
    assert distance(dilated, strided, 4) < 1e-10
    for conv in dilated.spatial:
        conv.dilation = conv.padding = (conv.dilation[0] // 2,) * 2  # as if the 3x3 had carried it
    assert distance(dilated, strided, 4) > 0.1


def test_the_state_dict_stays() -> None:
    with torch.device("meta"):
        strided, dilated = TimmEncoder("resnetblur18"), TimmEncoder("resnetblur18", output_stride=8)
    assert {k: v.shape for k, v in strided.state_dict().items()} == {k: v.shape for k, v in dilated.state_dict().items()}


@pytest.mark.parametrize("count_border", [True, False])
@pytest.mark.parametrize(
    ("kernel", "padding", "rate", "step"), [(2, 0, 1, 1), (2, 0, 2, 1), (3, 1, 2, 1), (3, 1, 1, 2), (2, 0, 4, 1)]
)
def test_dilated_average_by_loops(kernel: int, padding: int, rate: int, step: int, count_border: bool) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 5, 4, dtype=torch.float64)
    pool = nn.AvgPool2d(kernel, 2, padding, count_include_pad=count_border)
    pooled = DilatedAvgPool2d(pool, rate, step)(x)
    assert pooled.shape == (2, 3, -(-5 // step), -(-4 // step))
    for row in range(pooled.shape[-2]):
        for column in range(pooled.shape[-1]):
            rows = [row * step + rate * (tap - padding) for tap in range(kernel)]
            columns = [column * step + rate * (tap - padding) for tap in range(kernel)]
            inside = [x[..., r, c] for r in rows for c in columns if 0 <= r < 5 and 0 <= c < 4]
            expected = sum(inside) / (kernel**2 if count_border else len(inside))
            torch.testing.assert_close(pooled[..., row, column], expected)


class Uneven(nn.Sequential):
    """A 2x2 convolution has no even padding."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 3, 3, stride=2, padding=1), nn.Conv2d(3, 3, 2, stride=2))


@pytest.mark.parametrize(
    "network",
    [Uneven(), nn.Sequential(nn.PixelUnshuffle(2)), nn.Sequential(nn.Flatten(), nn.Linear(3, 3))],
    ids=["2x2", "fold", "flat"],
)
def test_what_cannot_be_dilated_stays_as_it_is(network: nn.Sequential) -> None:
    before = repr(network)
    assert not dilate(network, torch.zeros(1, 3, 16, 16), 1)
    assert repr(network) == before


def test_a_network_that_cannot_falls_back_to_timms_rule() -> None:
    encoder = TimmEncoder("test_convnext", output_stride=16)
    assert encoder.strides[-1] == 16
    assert encoder(torch.zeros(1, 3, 64, 64))[-1].shape[-1] == 4


def test_rates_of_all_units_of_a_stage_can_be_made_equal() -> None:
    """As in segmentation_models_pytorch, whose rule is to give every convolution of a stage the same one."""
    encoder = TimmEncoder("resnet18", output_stride=8)
    convs = {name: conv for name, conv in encoder.named_modules() if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3)}
    first = [name for name in convs if "layer3.0.conv1" in name or "layer4.0.conv1" in name]
    assert [convs[name].dilation for name in first] == [(1, 1), (2, 2)]
    dilate_first_units(encoder)
    for name, conv in convs.items():
        rate = 2 if "layer3" in name else 4 if "layer4" in name else 1
        assert conv.dilation == conv.padding == (rate, rate), name
    assert encoder(torch.rand(1, 3, 33, 47))[-1].shape[-2:] == (5, 6)
    with pytest.raises(SettingsError, match="Where this TimmEncoder had strides is not known"):
        dilate_first_units(encoder)  # once is enough
    dilate_first_units(TimmEncoder("resnet18"))  # no stride was removed
