import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.models import create_model
from intarsia.ops.max_unpool import max_pool, max_unpool
from intarsia.ops.receptive_field import pixel_windows, receptive_field
from intarsia.ops.reflect import reflect_border


class Layer(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def conv(kernel: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(1, 1, kernel, bias=False, **options)


@pytest.mark.parametrize("layers", [1, 2, 5, 8])
def test_a_stack_of_plain_convolutions_sees_1_plus_2l(layers: int) -> None:
    field = receptive_field(nn.Sequential(*(conv(3, padding=1) for _ in range(layers))), (1, 32, 32))
    assert field.size_hw == field.smallest_hw == (1 + 2 * layers, 1 + 2 * layers)
    assert (field.stride_hw, field.offset_yx) == ((1, 1), (0, 0))


def test_dilated_convolutions_see_3_7_15_and_one_of_rate_2_covers_5x5_with_9_weights() -> None:
    layers = [conv(3, dilation=rate, padding=rate) for rate in (1, 2, 4)]
    fields = [receptive_field(nn.Sequential(*layers[:depth]), (1, 64, 64)).size_hw[0] for depth in (1, 2, 3)]
    assert fields == [3, 7, 15]
    assert receptive_field(layers[1], (1, 32, 32)).size_hw == (5, 5)
    assert layers[1].weight.numel() == 9


def test_strides_and_offsets_by_hand() -> None:
    field = receptive_field(nn.Sequential(conv(7, stride=2, padding=3), nn.MaxPool2d((2, 3), (2, 1))), (1, 64, 64))
    assert field.size_hw == (9, 11)  # 7 + 2 (2 - 1), 7 + 2 (3 - 1)
    assert field.stride_hw == (4, 2)
    assert field.offset_yx == (1, 2)  # rows -3..5, columns -3..7


def test_windows_of_all_pixels_with_borders_cut_off() -> None:
    rows, columns = pixel_windows(conv(3, stride=2, padding=1), (1, 5, 4))
    assert rows.tolist() == [[0, 1], [1, 3], [3, 4]]
    assert columns.tolist() == [[0, 1], [1, 3]]


def test_pixels_behind_upsampling_differ() -> None:
    field = receptive_field(nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2), conv(2)), (1, 32, 32))
    assert (field.smallest_hw, field.size_hw, field.stride_hw) == ((2, 2), (4, 4), (1, 1))


FIGURES: list[tuple[str, dict[str, Any], tuple[int, int]]] = [
    ("segnet", {}, (372, 404)),
    ("segnet_basic", {}, (186, 202)),
    ("unet", {}, (188, 204)),
    ("unet_128", {}, (204, 220)),
    ("frrn", {"variant": "A"}, (440, 456)),
    ("frrn", {"variant": "B"}, (840, 872)),
    ("fc_densenet", {"layers": 56}, (794, 826)),
    ("fc_densenet", {"layers": 67}, (984, 1016)),
    ("dilation", {"context": "none"}, (380, 388)),
    ("dilation", {}, (908, 916)),
    ("full_resolution_stack", {}, (17, 17)),
    ("recurrent_cnn", {}, (155, 155)),
]
"""Smallest and largest side. Known from papers or by count: both of SegNet and U-Net, the largest of FRRN, and of FC-DenseNet and
Dilation the smallest, which formulas over layers give."""


@pytest.mark.parametrize(("name", "options", "sides"), FIGURES)
def test_whole_networks_have_the_fields_that_are_known(name: str, options: dict[str, Any], sides: tuple[int, int]) -> None:
    with torch.device("meta"):
        field = receptive_field(create_model(name, num_classes=3, **options))
    assert (field.smallest_hw[0], field.size_hw[0]) == sides
    assert field.size_hw[0] == field.size_hw[1]
    assert field.stride_hw == (1, 1)


@pytest.mark.parametrize(("trunk", "side"), [("vgg16", 404), ("alexnet", 355)])
def test_fc7_of_fcn(trunk: str, side: int) -> None:
    with torch.device("meta"):
        fcn = create_model("fcn", num_classes=2, trunk=trunk)
    field = receptive_field(nn.Sequential(fcn.trunk, Layer(lambda features: features[-1]), fcn.fc6, fcn.fc7))
    assert field.size_hw == field.smallest_hw == (side, side)
    assert field.stride_hw == (32, 32)


def test_the_encoder_of_segnet_basic_and_the_context_module() -> None:
    with torch.device("meta"):
        segnet, dilation = create_model("segnet_basic", num_classes=2), create_model("dilation", num_classes=2)
    pools = [stage for conv in segnet.encoder for stage in (conv, nn.MaxPool2d(2))]
    assert receptive_field(nn.Sequential(*pools)).size_hw == (106, 106)
    convs = list(dilation.context.convs)
    fields = [receptive_field(nn.Sequential(*convs[:depth]), (2, 256, 256)).size_hw[0] for depth in range(1, 9)]
    assert fields == [3, 5, 9, 17, 33, 65, 67, 67]


def test_what_sees_all_of_any_image_is_infinite() -> None:
    field = receptive_field(nn.Sequential(conv(3, padding=1), Layer(lambda x: x + x.mean((2, 3), keepdim=True))), (1, 64, 64))
    assert field.size_hw == field.smallest_hw == (math.inf, math.inf)
    assert field.stride_hw == (1, 1)
    rows_only = receptive_field(Layer(lambda x: x - x.mean(2, keepdim=True)), (1, 64, 64))
    assert rows_only.size_hw == (math.inf, 1)


def unpooled(x: Tensor) -> Tensor:
    pooled, places = max_pool(x)
    return max_unpool(F.conv2d(pooled, torch.ones(1, 1, 3, 3, dtype=x.dtype, device=x.device), padding=1), places)


def averaged_unpooled(x: Tensor) -> Tensor:
    """What `unpooled` can reach: each value may stand at any place of its window."""
    pooled = F.avg_pool2d(x, 2, ceil_mode=True)
    pooled = F.conv2d(pooled, torch.ones(1, 1, 3, 3, dtype=x.dtype), padding=1)
    return F.interpolate(pooled, scale_factor=2, mode="nearest")[..., : x.shape[-2], : x.shape[-1]]


def written(x: Tensor) -> Tensor:
    spread = x.new_zeros(1, 1, 2 * x.shape[-2], 2 * x.shape[-1])
    spread[..., ::2, ::2] = x
    return spread


def attended(x: Tensor) -> Tensor:
    cells = F.avg_pool2d(x, 5).flatten(2).mT  # (1, Q, 1)
    return x + F.scaled_dot_product_attention(cells, cells, cells).mean(1)[..., None, None]


def windowed(x: Tensor) -> Tensor:
    """Matrix products within windows of 4 x 4."""
    cells = x[..., :16, :12].unflatten(3, (3, 4)).unflatten(2, (4, 4)).permute(0, 1, 2, 4, 3, 5).flatten(4).flatten(0, 3)
    return (
        (cells @ torch.ones(16, 16, dtype=x.dtype, device=x.device))
        .reshape(1, 1, 4, 3, 4, 4)
        .transpose(3, 4)
        .reshape(1, 1, 16, 12)
    )


up = nn.Upsample
CASES: dict[str, Callable[[], nn.Module]] = {
    "stride and dilation": lambda: nn.Sequential(conv(3, stride=2), conv((3, 2), dilation=(2, 3), padding=(1, 2))),
    "transposed": lambda: nn.Sequential(conv(3, stride=3), nn.ConvTranspose2d(1, 1, 5, 3, 1, 1, bias=False, dilation=2)),
    "average pooling": lambda: nn.Sequential(nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, ceil_mode=True)),
    "nearest": lambda: nn.Sequential(conv(3, stride=2), up((20, 13), mode="nearest"), conv(3)),
    "nearest-exact": lambda: nn.Sequential(conv(3, stride=2), up((20, 13), mode="nearest-exact"), conv(3)),
    "bilinear": lambda: nn.Sequential(conv(3, stride=2), up(scale_factor=2, mode="bilinear"), conv(2)),
    "bilinear by a factor of 1.7": lambda: nn.Sequential(conv(3, stride=2), up(scale_factor=1.7, mode="bilinear")),
    "bilinear down": lambda: nn.Sequential(up((9, 7), mode="bilinear"), conv(2)),
    "corners aligned": lambda: nn.Sequential(conv(3, stride=3, padding=1), up((13, 11), mode="bilinear", align_corners=True)),
    "bicubic": lambda: nn.Sequential(conv(3, stride=4), up(scale_factor=3, mode="bicubic")),
    "adaptive": lambda: nn.Sequential(nn.AdaptiveAvgPool2d((5, 3)), conv(2)),
    "reflection": lambda: nn.Sequential(nn.ReflectionPad2d((2, 1, 3, 0)), conv(4)),
    "our reflection": lambda: nn.Sequential(Layer(lambda x: reflect_border(x, top=2, bottom=9, left=1, right=3)), conv(3)),
    "replication": lambda: nn.Sequential(nn.ReplicationPad2d((2, 1, 3, 0)), conv(4)),
    "circular": lambda: conv(5, padding=2, padding_mode="circular"),
    "pixel shuffle": lambda: nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, bias=False), nn.PixelShuffle(2), conv(2)),
    "pixel unshuffle": lambda: nn.Sequential(
        Layer(lambda x: x[..., :16, 1:13]), nn.PixelUnshuffle(4), nn.Conv2d(16, 1, 2, bias=False)
    ),
    "skip and stack": lambda: Layer(lambda x: torch.cat([x, F.avg_pool2d(x, 5, 1, 2)], 1)[:, :, 1:-2, ::3].sum(1, keepdim=True)),
    "side by side": lambda: nn.Sequential(Layer(lambda x: torch.cat([x[..., 3:], x[..., 5:9]], 3)), conv(2)),
    "rows alone": lambda: Layer(lambda x: x.mean(3, keepdim=True) + x.amin(1, keepdim=True)),
    "written in part": lambda: nn.Sequential(Layer(written), conv(3, padding=1)),
    "unbound": lambda: Layer(lambda x: torch.stack(x.unbind(2)[2:6], 2) + x.split([7, 4, 6], 2)[1]),
    "attention": lambda: Layer(attended),
    "windows": lambda: Layer(windowed),
    "group norm": lambda: nn.Sequential(nn.GroupNorm(1, 1, affine=False), conv(3)),
    "normalised by stored statistics": lambda: nn.Sequential(nn.BatchNorm2d(1), nn.ReLU(inplace=True), nn.Dropout(0.5), conv(3)),
}


def support(module: nn.Module, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First and last row and column with a gradient, by one backward pass for each pixel."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.double().eval().parameters():
        nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
    image = torch.rand(1, 1, *size, dtype=torch.float64, generator=generator, requires_grad=True)
    made = module(image)
    one = torch.eye(made.numel(), dtype=made.dtype).reshape(-1, *made.shape)
    (gradient,) = torch.autograd.grad(made, image, one, is_grads_batched=True)
    seen = (gradient.abs() > 1e-12).flatten(1, 3).reshape(*made.shape, *size).amax((0, 1))  # (h, w, H, W)
    found = []
    for own, other in ((0, 1), (1, 0)):
        line = seen.amax(other).amax(2 - own).numpy()  # (h, H), then (w, W)
        bounds = np.stack([line.argmax(1), line.shape[1] - 1 - line[:, ::-1].argmax(1)], 1)
        found.append(np.where(line.any(1, keepdims=True), bounds, (0, -1)))
    return found[0], found[1]


@pytest.mark.parametrize("case", CASES)
def test_equals_the_support_of_the_gradient(case: str) -> None:
    module, size = CASES[case](), (17, 14)
    for found, expected in zip(pixel_windows(module, (1, *size)), support(module, size), strict=True):
        assert found.tolist() == expected.tolist()


def test_pooling_and_unpooling_by_maxima_see_what_averages_do() -> None:
    for module, average in (
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 2, 1, ceil_mode=True)),
        (nn.AdaptiveMaxPool2d((4, 5)), nn.AdaptiveAvgPool2d((4, 5))),
        (Layer(unpooled), Layer(averaged_unpooled)),
    ):
        for found, expected in zip(pixel_windows(module, (1, 17, 14)), support(average, (17, 14)), strict=True):
            assert found.tolist() == expected.tolist()


def test_torchs_own_unpooling_and_dilated_pooling() -> None:
    own = pixel_windows(Layer(lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)), (1, 8, 6))
    assert own[0].tolist() == [[row // 2 * 2, row // 2 * 2 + 1] for row in range(8)]
    assert receptive_field(nn.MaxPool2d(2, 1, dilation=4), (1, 32, 32)).size_hw == (5, 5)


def test_the_network_stays_as_it_is() -> None:
    module = nn.Sequential(conv(3), nn.BatchNorm2d(1), nn.Dropout(0.5))
    module[2].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    receptive_field(module, (1, 16, 16))
    assert [part.training for part in module] == [True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_map_without_the_image_sees_nothing() -> None:
    rows, _ = pixel_windows(Layer(torch.zeros_like), (1, 4, 4))
    assert rows.tolist() == [[0, -1]] * 4


def test_one_pixel() -> None:
    assert pixel_windows(conv(1), (1, 1, 1))[0].tolist() == [[0, 0]]
    assert receptive_field(conv(3, padding=1), (1, 1, 1)).size_hw == (3, 3)


def test_refusals() -> None:
    with pytest.raises(SettingsError, match=r"aten::_linalg_det"):
        receptive_field(Layer(torch.linalg.det), (1, 4, 4))
    with pytest.raises(SettingsError, match="returned a dict"):
        receptive_field(Layer(lambda x: {"out": x}), (1, 4, 4))
    assert receptive_field(Layer(lambda x: {"out": x}), (1, 4, 4), output=lambda made: made["out"]).size_hw == (1, 1)
    with pytest.raises(SettingsError, match=r"it returned \(1, 1\)"):
        receptive_field(Layer(lambda x: x.mean((2, 3))), (1, 4, 4))
    with pytest.raises(SettingsError, match="written through aten::transpose"):
        receptive_field(Layer(lambda x: x.new_zeros(1, 1, 4, 4).mT.copy_(x)), (1, 4, 4))
