import pytest
import timm
import torch
from torch import nn

from intarsia.core import SettingsError
from intarsia.encoders.xception_aligned import XceptionAligned
from intarsia.models import create_model


def randomise(network: nn.Module) -> None:
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.5)
            module.running_mean.normal_(std=0.5)
            module.running_var.uniform_(0.5, 1.5)


def small(output_stride: int = 32, *, in_channels: int = 3) -> XceptionAligned:
    torch.manual_seed(0)
    return XceptionAligned(width=4, middle=2, output_stride=output_stride, in_channels=in_channels).eval()


def test_parameters() -> None:
    """Trunk, and DeepLab v3+ on it in the release's separable and in the plain form."""
    with torch.device("meta"):
        counts = [sum(p.numel() for p in XceptionAligned(output_stride=s).parameters()) for s in (8, 16, 32)]
        assert counts == [37_867_312] * 3
        for classes, separable, expected in ((21, True, 41_055_413), (19, True, 41_054_899), (21, False, 54_711_461)):
            network = create_model("deeplab_v3plus", num_classes=classes, encoder="xception_aligned", separable=separable)
            assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_features_equal_timms_with_its_weights(output_stride: int) -> None:
    """timm taps the first four features behind their ReLU."""
    theirs = timm.create_model("xception65", features_only=True, output_stride=output_stride).double().eval()
    randomise(theirs)
    encoder = XceptionAligned(output_stride=output_stride).double().eval()
    encoder.load_imagenet(theirs.state_dict())
    image = torch.randn(1, 3, 33, 65, dtype=torch.float64)
    with torch.no_grad():
        features, expected = encoder(image), theirs(image)
    assert [f.min() < 0 for f in features] == [True] * 4 + [False]
    for feature, other in zip(features, expected, strict=True):
        torch.testing.assert_close(feature.relu(), other, rtol=1e-9, atol=1e-9)
    assert encoder.strides[-1] == output_stride


@pytest.mark.parametrize("output_stride", [16, 8])
def test_dilation_computes_what_the_strides_computed(output_stride: int) -> None:
    strided, dilated = small().double(), small(output_stride).double()
    randomise(strided)
    dilated.load_state_dict(strided.state_dict())
    image, step = torch.randn(1, 3, 64, 64, dtype=torch.float64), 32 // output_stride
    with torch.no_grad():
        expected = strided(image)[-1]
        assert ((dilated(image)[-1][..., ::step, ::step] - expected).abs().max() / expected.abs().max()) < 1e-10
        strided_conv = next(m for m in dilated.exit.convs[2] if isinstance(m, nn.Conv2d))
        strided_conv.dilation = strided_conv.padding = (step, step)  # twice what it is: wrong
        assert ((dilated(image)[-1][..., ::step, ::step] - expected).abs().max() / expected.abs().max()) > 0.1


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("size", [(1, 1), (33, 47)])
def test_features_have_the_announced_shapes(output_stride: int, size: tuple[int, int]) -> None:
    encoder = small(output_stride)
    for feature, channels, stride in zip(encoder(torch.rand(1, 3, *size)), encoder.channels, encoder.strides, strict=True):
        assert feature.shape == (1, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"output stride 8, 16 or 32; 4 was asked for"):
        XceptionAligned(output_stride=4)
    state = small().state_dict()
    with pytest.raises(SettingsError, match=r"aligned Xception trunk: it has \d+ tensors, and \d+ were given"):
        small().load_imagenet({name: value for name, value in state.items() if "last" not in name})
    with pytest.raises(
        SettingsError, match=r"do not fit the aligned Xception trunk: .*stem\.0\.weight is \(4, 3, 3, 3\) instead of"
    ):
        XceptionAligned(width=8, middle=2).load_imagenet(state)


def test_first_convolution_is_fitted_to_the_image() -> None:
    state = small().state_dict()
    encoder = small(in_channels=1)
    encoder.load_imagenet(state)
    torch.testing.assert_close(encoder.state_dict()["stem.0.weight"], state["stem.0.weight"].sum(1, keepdim=True))
