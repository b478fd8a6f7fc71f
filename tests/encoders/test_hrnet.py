import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder
from intarsia.encoders.hrnet import HRNet


def randomised(network: nn.Module) -> nn.Module:
    """Weights at which every branch matters; the initial ones are of 0.001."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 0.7)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.mark.parametrize(("width", "count"), [(18, 9_562_260), (32, 29_305_536), (48, 65_325_120)])
def test_parameters(width: int, count: int) -> None:
    with torch.device("meta"):
        encoder = HRNet(width=width)
    assert sum(p.numel() for p in encoder.parameters()) == count


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (1, 31)])
def test_four_strides_at_any_size(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        features = HRNet(width=4)(torch.empty(2, 3, *size))
    assert [tuple(f.shape) for f in features] == [
        (2, 4 << level, *(-(-side // stride) for side in size)) for level, stride in enumerate((4, 8, 16, 32))
    ]


def test_timms_classifier_gives_its_weights_and_the_same_features() -> None:
    """timm enlarges by the nearest neighbour; made bilinear, it is the same network, layer for layer."""
    theirs = randomised(timm.create_model("hrnet_w18", features_only=True, feature_location="", out_indices=(1, 2, 3, 4)))
    for module in theirs.modules():
        if isinstance(module, nn.Upsample):
            module.mode, module.align_corners = "bilinear", False
    own = HRNet(width=18)
    own.load_imagenet(theirs.state_dict())
    image = torch.randn(1, 3, 32, 64)
    with torch.no_grad():
        for mine, other in zip(own.eval()(image), theirs(image), strict=True):
            assert mine.std() > 0.1
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_weights_of_another_width_are_refused() -> None:
    with torch.device("meta"):
        state = timm.create_model("hrnet_w18").state_dict()
        other = HRNet(width=32)
    with pytest.raises(SettingsError, match="do not fit the HRNet trunk of width 32"):
        other.load_imagenet(state)


def test_other_channels_take_the_same_weights() -> None:
    state = HRNet(width=2, modules=(1, 1, 1)).state_dict()
    grey = HRNet(width=2, modules=(1, 1, 1), in_channels=1)
    grey.load_imagenet(state)
    torch.testing.assert_close(grey.conv1.weight, state["conv1.weight"].sum(1, keepdim=True))


def test_every_branch_hears_of_all_others() -> None:
    """One exchange, written out: each target is the sum of what every source becomes at its size."""
    exchange = randomised(HRNet(width=2, modules=(1, 1, 1)).stage4[0])
    maps = [torch.randn(1, 2 << level, size, size) for level, size in enumerate((9, 5, 3, 2))]
    found = exchange(maps)
    through = [blocks(x) for blocks, x in zip(exchange.branches, maps, strict=True)]
    for target in range(4):
        total = torch.zeros_like(maps[target])
        for source, x in enumerate(through):
            brought: Tensor = exchange.fuse_layers[target][source](x)
            total += F.interpolate(brought, total.shape[-2:], mode="bilinear") if source > target else brought
        torch.testing.assert_close(found[target], total.clamp(min=0))


def test_initial_weights() -> None:
    torch.manual_seed(0)
    encoder = HRNet(width=8, modules=(1, 1, 1))
    convs = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
    assert torch.cat([conv.weight.flatten() for conv in convs]).std().item() == pytest.approx(0.001, rel=0.01)
    assert all(conv.bias is None for conv in convs)


def test_an_encoder_by_name_has_one_output_stride() -> None:
    with torch.device("meta"):
        assert create_encoder("hrnet").channels == (48, 96, 192, 384)
        with pytest.raises(SettingsError, match="output stride 32 and no other; 8 was asked for"):
            create_encoder("hrnet", output_stride=8)
    assert HRNet(width=18).imagenet == "hrnet_w18"
    assert HRNet(width=20).imagenet is None
