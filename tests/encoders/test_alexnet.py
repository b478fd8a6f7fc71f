from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders.alexnet import AlexNet, fully_connected_state


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def torchvision_layers() -> nn.Module:
    """torchvision's layers at a sixteenth of their width, under the names of its classifier."""
    c1, c2, c3, c4, c5 = 4, 12, 24, 16, 16
    pool, relu = nn.MaxPool2d(3, 2), nn.ReLU()
    convs = [nn.Conv2d(c2, c3, 3, padding=1), nn.Conv2d(c3, c4, 3, padding=1), nn.Conv2d(c4, c5, 3, padding=1)]
    layers = [nn.Conv2d(3, c1, 11, 4, 2), relu, pool, nn.Conv2d(c1, c2, 5, padding=2), relu, pool]
    for conv in convs:
        layers += [conv, relu]
    return nn.ModuleDict({"features": nn.Sequential(*layers, pool)})


@pytest.mark.parametrize(("form", "trunk"), [("caffenet", 2_334_080), ("torchvision", 2_469_696)])
def test_parameters_at_full_width(form: Any, trunk: int) -> None:
    """With fc6 and fc7, CaffeNet has 56,868,224; torchvision's own class is the reference of the other form."""
    from torchvision.models import alexnet

    with torch.device("meta"):
        encoder = AlexNet(form=form)
        assert count(encoder) == trunk
        if form == "torchvision":
            assert trunk == count(alexnet().features)
        else:
            assert trunk + count(nn.Conv2d(256, 4096, 6)) + count(nn.Conv2d(4096, 4096, 1)) == 56_868_224


def test_local_response_normalisation_is_caffes() -> None:
    """b = a / (1 + alpha / 5 sum a^2)^0.75 over five neighbouring channels, after pooling and before conv2 and conv3."""
    torch.manual_seed(0)
    encoder = AlexNet(width=6)
    image = 255 * torch.rand(1, 3, 67, 67)
    _, pool1, pool2, _, _ = encoder(image)
    squares = F.pad(pool1.square(), (0, 0, 0, 0, 2, 2))
    summed = torch.stack([squares[:, c : c + 5].sum(1) for c in range(6)], dim=1)
    normed = pool1 / (1 + 1e-4 / 5 * summed) ** 0.75
    assert (normed - pool1).abs().max() > 1e-2 * pool1.abs().max(), "a test that could not see the normalisation"
    conv2 = encoder.stages[2][1]
    halves = [  # two groups: each half of the channels sees its own half
        F.conv2d(x, weight, bias, padding=2)
        for x, weight, bias in zip(normed.chunk(2, 1), conv2.weight.chunk(2), conv2.bias.chunk(2), strict=True)
    ]
    torch.testing.assert_close(pool2, F.max_pool2d(F.relu(torch.cat(halves, dim=1)), 3, 2, 1))


def test_features_equal_torchvision_with_its_weights() -> None:
    torch.manual_seed(0)
    reference = torchvision_layers()
    encoder = AlexNet(form="torchvision", width=4, first_padding=2, pool_padding=0)
    encoder.load_imagenet(reference.state_dict())
    image = torch.rand(2, 3, 224, 224)
    x, seen = image, {}
    for index, layer in enumerate(reference["features"]):
        x = seen[index] = layer(x)
    for feature, index in zip(encoder(image), (1, 2, 5, 9, 12), strict=True):
        torch.testing.assert_close(feature, seen[index])


@pytest.mark.parametrize("form", ["caffenet", "torchvision"])
@pytest.mark.parametrize("size", [(1, 1), (33, 47), (64, 32)])
def test_features_have_the_announced_shapes(form: Any, size: tuple[int, int]) -> None:
    encoder = AlexNet(form=form, width=12)
    for feature, channels, stride in zip(encoder(torch.rand(1, 3, *size)), encoder.channels, encoder.strides, strict=True):
        assert feature.shape == (1, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_pixels_of_features_lie_on_multiples_of_their_stride() -> None:
    """Positive weights and no pooling: what a feature's pixel i sees is centred on pixel s i of the image."""
    encoder = AlexNet(form="torchvision", width=2).double()
    for parameter in encoder.parameters():
        nn.init.constant_(parameter, 1e-2)
    image = torch.rand(1, 3, 400, 400, dtype=torch.float64, requires_grad=True)
    feature = encoder(image)[0]
    (gradient,) = torch.autograd.grad(feature[0, 0, 50, 40], image)
    rows, columns = gradient[0, 0].nonzero().unbind(1)
    assert (rows.min() + rows.max(), columns.min() + columns.max()) == (400, 320)
    for index, radius in ((1, 1), (2, 1), (4, 1)):  # a 3x3 pool at padding 1 takes s i - 1 to s i + 1
        pool = next(m for m in encoder.stages[index].modules() if isinstance(m, nn.MaxPool2d))
        assert (pool.kernel_size, pool.stride, pool.padding) == (2 * radius + 1, 2, radius)


@pytest.mark.parametrize(
    ("padding", "size", "expected"),
    [(100, 500, [173, 86, 43, 43, 21]), (0, 227, [55, 27, 13, 13, 6]), (2, 224, [55, 27, 13, 13, 6])],
)
def test_sizes_of_the_references(padding: int, size: int, expected: list[int]) -> None:
    with torch.device("meta"):
        encoder = AlexNet(width=6, first_padding=padding, pool_padding=0)
        assert [feature.shape[-1] for feature in encoder(torch.empty(1, 3, size, size))] == expected


@pytest.mark.parametrize("channels", [1, 5])
def test_first_convolution_is_fitted_to_the_image(channels: int) -> None:
    state = torchvision_layers().state_dict()
    encoder = AlexNet(form="torchvision", in_channels=channels, width=4)
    encoder.load_imagenet(state)
    weight, given = encoder.state_dict()["stages.0.0.weight"], state["features.0.weight"]
    expected = given.sum(1, keepdim=True) if channels == 1 else given[:, [0, 1, 2, 0, 1]] * 3 / 5
    torch.testing.assert_close(weight, expected)


def test_fully_connected_layers_become_convolutions() -> None:
    torch.manual_seed(0)
    fc6, fc7 = nn.Linear(8 * 36, 6), nn.Linear(6, 6)
    linear: dict[str, Tensor] = {f"classifier.1.{name}": value for name, value in fc6.state_dict().items()}
    linear |= {f"classifier.4.{name}": value for name, value in fc7.state_dict().items()}
    state = fully_connected_state({**linear, "classifier.6.weight": torch.zeros(1000, 6)})
    assert state.keys() == {"fc6.weight", "fc6.bias", "fc7.weight", "fc7.bias"}
    pooled = torch.rand(2, 8, 6, 6)
    x = torch.conv2d(pooled, state["fc6.weight"], state["fc6.bias"])
    x = torch.conv2d(x, state["fc7.weight"], state["fc7.bias"])
    torch.testing.assert_close(x.flatten(1), fc7(fc6(pooled.flatten(1))))


def test_errors_say_what_does_not_fit() -> None:
    with pytest.raises(SettingsError, match=r"alexnet has output stride 32 and no other; 8 was asked for"):
        AlexNet(output_stride=8)
    with pytest.raises(SettingsError, match=r"do not fit the AlexNet trunk: .*is \(4, 3, 11, 11\) instead of \(6, 3, 11, 11\)"):
        AlexNet(width=6).load_imagenet(torchvision_layers().state_dict())
