import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder
from intarsia.encoders.wider_resnet38 import WiderResNet38


def small() -> WiderResNet38:
    torch.manual_seed(0)
    return WiderResNet38(width=2, depths=(1, 2, 1, 2))


def test_parameters_of_each_stage_by_hand() -> None:
    with torch.device("meta"):
        encoder = WiderResNet38()

    def block(before: int, inner: int, after: int) -> int:
        return 2 * before + 9 * before * inner + 2 * inner + 9 * inner * after + (before * after if before != after else 0)

    expected = [
        block(64, 128, 128) + 2 * block(128, 128, 128),
        block(128, 256, 256) + 2 * block(256, 256, 256),
        block(256, 512, 512) + 5 * block(512, 512, 512),
        block(512, 512, 1024) + 2 * block(1024, 512, 1024),
    ]
    assert [sum(p.numel() for p in stage.parameters()) for stage in encoder.stages] == expected
    assert sum(p.numel() for p in encoder.conv.parameters()) == 27 * 64


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1)])
def test_features_have_their_channels_and_strides(size: tuple[int, int]) -> None:
    encoder = small().eval()
    features = encoder(torch.rand(2, 3, *size))
    for feature, channels, stride in zip(features, encoder.channels, encoder.strides, strict=True):
        assert feature.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_a_stage_is_its_blocks_written_out() -> None:
    encoder = small().eval()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.bias)
    x = torch.randn(1, 2, 8, 8)
    first = encoder.stages[0][0]

    def active(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
        y = (x - norm.running_mean.view(-1, 1, 1)) / (norm.running_var.view(-1, 1, 1) + 1e-5).sqrt()
        y = y * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
        return y.maximum(0.01 * y)

    before = active(first.activate[0], x)
    inside = active(first.convs[1][0], F.conv2d(before, first.convs[0].weight, padding=1))
    expected = F.conv2d(inside, first.convs[2].weight, padding=1) + F.conv2d(before, first.project.weight)
    torch.testing.assert_close(first(x), expected)
    same = encoder.stages[1][1]  # keeps its channels: the input itself is added, neither normalised nor activated
    y = torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(same(y) - same.convs(same.activate(y)), y)
    assert same.project is None


def test_errors() -> None:
    assert create_encoder("wider_resnet38").strides[-1] == 16
    with pytest.raises(SettingsError, match="output stride 16 and no other; 8 was asked for"):
        WiderResNet38(output_stride=8)
    with pytest.raises(SettingsError, match=r"depths of wider_resnet38 are \(3, 3\); four"):
        WiderResNet38(depths=(3, 3))
