import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders.vgg16 import VGG16
from intarsia.encoders.vgg16_atrous import VGG16Atrous


def test_layers_of_the_released_network() -> None:
    """The table of the network, applied to the weights of a plain VGG-16 one layer after the other."""
    torch.manual_seed(0)
    plain, encoder = VGG16(width=4), VGG16Atrous(width=4)
    encoder.load_state_dict(plain.state_dict())
    convs = iter([m for m in plain.modules() if isinstance(m, nn.Conv2d)])
    image = torch.rand(2, 3, 41, 57)
    x, features = image, []
    for depth, rate, stride in ((2, 1, 2), (2, 1, 2), (3, 1, 2), (3, 1, 1), (3, 2, 1)):
        for _ in range(depth):
            conv = next(convs)
            x = F.relu(F.conv2d(x, conv.weight, conv.bias, padding=rate, dilation=rate))
        x = F.max_pool2d(x, 3, stride, padding=1)
        features.append(x)
    for feature, expected in zip(encoder(image), features, strict=True):
        torch.testing.assert_close(feature, expected)
    assert features[-1].shape == (2, 32, 6, 8)


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (321, 8)])
def test_features_have_the_announced_shapes(size: tuple[int, int]) -> None:
    encoder = VGG16Atrous(width=1)
    for feature, channels, stride in zip(encoder(torch.rand(1, 3, *size)), encoder.channels, encoder.strides, strict=True):
        assert feature.shape == (1, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_weights_of_vgg16_fit() -> None:
    with torch.device("meta"):
        assert {k: v.shape for k, v in VGG16Atrous().state_dict().items()} == {
            k: v.shape for k, v in VGG16().state_dict().items()
        }
        assert VGG16Atrous().imagenet == "vgg16.tv_in1k"


def test_other_output_strides_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"vgg16_atrous has output stride 8 and no other; 16 was asked for"):
        VGG16Atrous(output_stride=16)
