"""The worked examples of docs/operators.md, computed by the operators; a test compares them with numbers worked out by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.encoders import create_encoder
from intarsia.ops.convolution_matrix import convolution_matrix, transposed_convolution_matrix
from intarsia.ops.dilated_convolution import stacked_fields
from intarsia.ops.effective_field import effective_field
from intarsia.ops.max_unpool import max_pool, max_unpool
from intarsia.ops.receptive_field import receptive_field
from intarsia.ops.resize import resize_bicubic, resize_bilinear
from intarsia.ops.resize_convolution import resize_convolution
from intarsia.ops.transposed_bilinear import interpolate_transposed
from intarsia.ops.transposed_convolution import fractionally_strided, overlap_map, paste_kernels
from intarsia.ops.unpool import bed_of_nails, nearest_unpool

TWO = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
THREE = torch.arange(1.0, 10.0).reshape(3, 3)
POOLED = torch.tensor([[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])
KERNEL = torch.tensor([[1.0, 4, 1], [1, 4, 3], [3, 3, 1]])
SIGNAL = ("0", "a", "b", "c", "d", "0")
TAPS = ("x", "y", "z")


def batch(x: Tensor) -> Tensor:
    return x[None, None]


def unpooling() -> dict[str, Tensor]:
    return {"map": TWO, "nearest": nearest_unpool(batch(TWO))[0, 0], "bed of nails": bed_of_nails(batch(TWO))[0, 0]}


def max_unpooling() -> dict[str, Tensor]:
    pooled, places = max_pool(batch(POOLED))
    return {"map": POOLED, "pooled": pooled[0, 0], "values": TWO, "unpooled": max_unpool(batch(TWO), places)[0, 0]}


def bilinear() -> dict[str, Tensor]:
    """Each twice: by interpolation, and by a transposed convolution with a bilinear kernel."""
    return {
        "half-pixel": resize_bilinear(batch(TWO), (4, 4))[0, 0],
        "half-pixel, transposed": interpolate_transposed(batch(TWO), 2)[0, 0],
        "aligned": resize_bilinear(batch(THREE), (5, 5), align_corners=True)[0, 0],
        "aligned, transposed": interpolate_transposed(batch(THREE), 2, align_corners=True)[0, 0],
    }


def bicubic() -> dict[str, Tensor]:
    """A map of random numbers at eight times its size."""
    x = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(3))
    return {
        "nearest": nearest_unpool(x, 16)[0, 0],
        "bilinear": resize_bilinear(x, (80, 80))[0, 0],
        "bicubic": resize_bicubic(x, (80, 80))[0, 0],
    }


def symbols(matrix: Tensor, vector: tuple[str, ...]) -> list[str]:
    """The product with a vector of letters, in letters; entries 1, 2, 3 of the matrix stand for the taps."""
    rows = []
    for row in matrix.int().tolist():
        terms = [f"{letter}{TAPS[tap - 1]}" for tap, letter in zip(row, vector, strict=True) if tap and letter != "0"]
        rows.append(" + ".join(terms) or "0")
    return rows


def signal_matrix(stride: int) -> Tensor:
    """Of the kernel (x, y, z) on a signal of six; the padding is part of the signal."""
    return convolution_matrix(torch.tensor([[[1.0, 2.0, 3.0]]]), [6], stride=stride)


def convolved(stride: int) -> list[str]:
    return symbols(signal_matrix(stride), SIGNAL)


def transposed(stride: int) -> list[str]:
    matrix = signal_matrix(stride).T
    return symbols(matrix, ("a", "b", "c", "d")[: matrix.shape[1]])


def map_matrices() -> dict[str, Tensor]:
    weight = batch(KERNEL)
    return {
        "4 x 16": convolution_matrix(weight, [4, 4]),
        "16 x 4": transposed_convolution_matrix(weight, [2, 2]),
        "9 x 25": convolution_matrix(weight, [5, 5], stride=2, padding=1),
    }


def pasting() -> list[Tensor]:
    """The result after each pasted kernel: 2 x 2 to 5 x 5 at stride 2."""
    steps = []
    for count in range(5):
        some = TWO.flatten().clone()
        some[count:] = 0
        steps.append(paste_kernels(batch(some.reshape(2, 2)), batch(KERNEL), stride=2)[0, 0])
    return steps


def fractional() -> dict[str, Tensor]:
    """The same as a convolution at stride 1, of the map with zeros between its values and around."""
    spread = F.pad(bed_of_nails(batch(TWO))[..., :-1, :-1], (2, 2, 2, 2))
    turned = batch(KERNEL).flip(2, 3)
    return {
        "zeros between and around": spread[0, 0],
        "kernel, turned": turned[0, 0],
        "result": F.conv2d(spread, turned)[0, 0],
        "by the operator": fractionally_strided(batch(TWO), batch(KERNEL), stride=2)[0, 0],
    }


def overlaps() -> dict[str, Tensor]:
    return {
        "3 x 3, stride 2": overlap_map((5, 5), 3, stride=2),
        "4 x 4, stride 2": overlap_map((5, 5), 4, stride=2),
        "resized, then 3 x 3": resize_convolution(torch.ones(1, 1, 5, 5), torch.ones(1, 1, 3, 3))[0, 0].long(),
    }


def dilated() -> list[Tensor]:
    """In how many ways each pixel of 15 x 15 reaches the middle one, after convolutions at rates 1, 2 and 4."""
    ways, ones = F.pad(torch.ones(1, 1, 1, 1), (7,) * 4), torch.ones(1, 1, 3, 3)
    steps = []
    for rate in (1, 2, 4):
        ways = F.conv_transpose2d(ways, ones, padding=rate, dilation=rate)
        steps.append(ways[0, 0])
    return steps


def fields() -> dict[str, list[int]]:
    """Sides by depth, by formula and as followed through the layers."""
    found = {}
    for name, rates in (("plain", [1, 1, 1, 1, 1]), ("dilated", [1, 2, 4, 8, 16])):
        layers = [nn.Conv2d(1, 1, 3, padding=rate, dilation=rate) for rate in rates]
        walked = [receptive_field(nn.Sequential(*layers[: n + 1]), (1, 64, 64)).size_hw[0] for n in range(5)]
        found[name], found[f"{name}, followed"] = stacked_fields(rates), [int(side) for side in walked]
    return found


def effective() -> Tensor:
    """Of ten 3x3 convolutions with random weights and ReLUs, mean over 20 networks: 31 x 31, of which theory sees 21 x 21."""
    torch.manual_seed(0)
    total = torch.zeros(31, 31)
    for _ in range(20):
        layers = [nn.Sequential(nn.Conv2d(1 if n == 0 else 8, 8, 3, padding=1), nn.ReLU()) for n in range(10)]
        for layer in layers:
            nn.init.kaiming_normal_(layer[0].weight)
        total += effective_field(nn.Sequential(*layers), torch.randn(8, 1, 31, 31))
    return total / 20


def backbone(output_stride: int) -> list[list[tuple[int, int]]]:
    """Stride and rate of the 3x3 convolution of every block in the last three stages of ResNet-50."""
    with torch.device("meta"):
        trunk = create_encoder("resnet50", output_stride=output_stride)
    stages = [
        [module for name, module in trunk.named_modules() if f"layer{n}." in name and name.endswith("conv2")] for n in (2, 3, 4)
    ]
    return [[(conv.stride[0], conv.dilation[0]) for conv in stage] for stage in stages]
