import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.encoders.vgg16 import VGG16
from intarsia.models.parts.vgg16_norm import VGG16Norm, norm_stage
from intarsia.ops.max_unpool import max_pool


def test_parameters() -> None:
    with torch.device("meta"):
        trunk = VGG16Norm(3, 64)
    assert sum(p.numel() for p in trunk.parameters()) == 14_723_136
    assert trunk.imagenet == "vgg16.tv_in1k"
    assert VGG16Norm(3, 2).imagenet is None


def classifier_state(trunk: VGG16) -> dict[str, torch.Tensor]:
    """The trunk's weights under torchvision's names."""
    convs = [module for module in trunk.modules() if isinstance(module, nn.Conv2d)]
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    return {
        f"features.{index}.{part}": value
        for index, conv in zip(places, convs, strict=True)
        for part, value in conv.state_dict().items()
    }


@pytest.mark.parametrize("channels", [3, 1])
def test_without_normalisation_it_is_vgg16(channels: int) -> None:
    """The classifier's weights arrive in their places, fitted to the image's channels."""
    torch.manual_seed(0)
    reference, trunk = VGG16(width=2), VGG16Norm(channels, 2)
    for conv in reference.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.normal_(conv.bias, std=0.1)
    trunk.load_imagenet(classifier_state(reference))
    for module in trunk.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    image = torch.rand(2, channels, 37, 50)
    answer, places = trunk(image)
    torch.testing.assert_close(answer, reference(image.expand(-1, 3, -1, -1))[-1])
    assert [place.size_hw for place in places] == [(37, 50), (19, 25), (10, 13), (5, 7), (3, 4)]
    convs = trunk.stages[0](image)
    assert torch.equal(places[0].indices, max_pool(convs)[1].indices)


def test_a_stage_by_hand() -> None:
    torch.manual_seed(0)
    stage = norm_stage(3, 4, 2, conv=nn.ConvTranspose2d).eval()
    first, second = stage[0], stage[3]
    assert isinstance(first, nn.ConvTranspose2d)
    assert isinstance(second, nn.ConvTranspose2d)
    x = torch.randn(1, 3, 5, 6)
    expected = x
    for conv in (first, second):
        weight = conv.weight.flip(2, 3).transpose(0, 1)  # of stride 1, it is a convolution by the mirrored kernel
        expected = F.relu(F.conv2d(expected, weight, conv.bias, padding=1) / (1 + 1e-5) ** 0.5 + 0.001)
    torch.testing.assert_close(stage(x), expected)
