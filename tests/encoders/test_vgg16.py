import pytest
import torch
from torch import Tensor, nn
from torchvision.models.vgg import make_layers

from intarsia.core import SettingsError
from intarsia.encoders.vgg16 import VGG16, fully_connected_state

WIDTHS = (4, 8, 16, 32, 32)


def torchvision_trunk() -> nn.Module:
    """torchvision's layers of configuration D at a sixteenth of their width, under the names of its classifier."""
    layout: list[str | int] = []
    for width, depth in zip(WIDTHS, (2, 2, 3, 3, 3), strict=True):
        layout += [*[width] * depth, "M"]
    return nn.ModuleDict({"features": make_layers(layout)})


def test_parameters_at_full_width() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in VGG16().parameters()) == 14_714_688


def test_features_equal_torchvision_with_its_weights() -> None:
    torch.manual_seed(0)
    reference = torchvision_trunk()
    encoder = VGG16(width=4)
    encoder.load_imagenet(reference.state_dict())
    image = torch.rand(2, 3, 64, 96)
    features = encoder(image)
    x, pooled = image, []
    for layer in reference["features"]:
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            pooled.append(x)
    assert encoder.channels == WIDTHS
    for feature, expected in zip(features, pooled, strict=True):
        torch.testing.assert_close(feature, expected)


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (64, 32)])
def test_pools_round_up(size: tuple[int, int]) -> None:
    encoder = VGG16(width=1)
    for feature, stride in zip(encoder(torch.rand(1, 3, *size)), encoder.strides, strict=True):
        assert feature.shape[-2:] == (-(-size[0] // stride), -(-size[1] // stride))


def test_border_of_the_reference() -> None:
    with torch.device("meta"):
        sizes = [feature.shape[-1] for feature in VGG16(first_padding=100)(torch.empty(1, 3, 500, 500))]
    assert sizes == [349, 175, 88, 44, 22]


@pytest.mark.parametrize("channels", [1, 5])
def test_first_convolution_is_fitted_to_the_image(channels: int) -> None:
    state = torchvision_trunk().state_dict()
    encoder = VGG16(in_channels=channels, width=4)
    encoder.load_imagenet(state)
    weight, given = encoder.state_dict()["stages.0.0.weight"], state["features.0.weight"]
    if channels == 1:
        torch.testing.assert_close(weight, given.sum(1, keepdim=True))
    else:
        torch.testing.assert_close(weight, given[:, [0, 1, 2, 0, 1]] * 3 / 5)


def test_fully_connected_layers_become_convolutions() -> None:
    torch.manual_seed(0)
    fc6, fc7 = nn.Linear(8 * 49, 6), nn.Linear(6, 6)
    linear = {"classifier.0.weight": fc6.weight, "classifier.0.bias": fc6.bias, "classifier.3.weight": fc7.weight}
    state = fully_connected_state({**linear, "classifier.3.bias": fc7.bias, "classifier.6.weight": torch.zeros(1000, 6)})
    pooled = torch.rand(2, 8, 7, 7)
    x = torch.conv2d(pooled, state["fc6.weight"], state["fc6.bias"])
    x = torch.conv2d(x, state["fc7.weight"], state["fc7.bias"])
    torch.testing.assert_close(x.flatten(1), fc7(fc6(pooled.flatten(1))))
    timm_names = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2"}
    convolutional: dict[str, Tensor] = {
        f"{theirs}.{part}": state[f"{own}.{part}"]
        for own, theirs in zip(("fc6", "fc7"), timm_names.values(), strict=True)
        for part in ("weight", "bias")
    }
    again = fully_connected_state(convolutional)
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert again.keys() == state.keys()


def test_errors_say_what_does_not_fit() -> None:
    with pytest.raises(SettingsError, match=r"vgg16 has output stride 32 and no other; 16 was asked for"):
        VGG16(output_stride=16)
    state = torchvision_trunk().state_dict()
    with pytest.raises(
        SettingsError, match=r"do not fit the VGG-16 trunk: .*stages\.0\.0\.weight is \(4, 3, 3, 3\) instead of \(8, 3"
    ):
        VGG16(width=8).load_imagenet(state)
    del state["features.28.bias"]
    with pytest.raises(SettingsError, match=r"of its 26 tensors 1 missing \(stages\.4\.4\.bias\)"):
        VGG16(width=4).load_imagenet(state)
