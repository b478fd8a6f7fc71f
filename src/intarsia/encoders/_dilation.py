"""Dilated trunks: strides replaced by dilation, so that a network's coarse features are computed at more places.

Holschneider et al.: A real-time algorithm for signal analysis with the help of the wavelet transform. 1989 (algorithme à trous);
Chen et al.: DeepLab. ICLR 2015; Yu, Koltun: Multi-Scale Context Aggregation by Dilated Convolutions. ICLR 2016.

A map of the strided network has a pixel at every s-th pixel of the image. Where it is to have one at every t-th, r = s / t > 1,
whatever reads it must step over r - 1 pixels: kernel taps lie r apart, and paddings are r times as wide. So a layer's rate
follows from its *input*: the 3x3 convolution that carries a removed stride keeps the rate of before, all later double it.
A stride in a block's first 1x1 convolution, in a pooled shortcut or behind a blur needs no rule of its own. Pixel (r i, r j) of
the result is pixel (i, j) of the strided network's, for images whose sides are multiples of its output stride: exactly, unless a
layer looks at the whole map, as squeeze and excitation does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from timm.layers.blur_pool import BlurPool2d
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders._encoder import Encoder

__all__ = ["DilatedAvgPool2d", "dilate", "dilate_first_units", "set_multi_grid"]

REMOVED = "removed_stride"
"""Attribute of a convolution whose stride `dilate` made less: how many times less."""


def dilate(network: nn.Module, image: Tensor, output_stride: int) -> bool:
    """Replace strides by dilation; in place, with the same state dict.

    Args:
        network: a trunk whose strides are all in convolutions and pooling layers.
        image: (N, C, S, S) of any content, S a multiple of the network's strides; it is passed through to see at which stride
            each layer works.
        output_stride: the largest stride that is left.

    Returns:
        Whether that was possible. If not, nothing is changed: a layer that would have to be dilated is of another kind or is not
        padded evenly, or the network does not take this image.
    """
    try:
        made = _sizes(network, image)
    except Exception:  # a network that takes one size only says so with errors of many kinds
        return False
    changes = []
    for name, sizes in made.items():
        strides = [image.shape[-1] / size for size in sizes]
        if max(strides) <= output_stride or max(sizes) == 1:  # fine enough, or beside the map, as in squeeze and excitation
            continue
        layer = network.get_submodule(name)
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d | BlurPool2d):
            left_in, left_out = (min(stride, output_stride) for stride in strides)
            rate, step = strides[0] / left_in, left_out / left_in
            if not (rate.is_integer() and step.is_integer() and _can_change(layer, int(rate))):
                return False
            changes.append((name, int(rate), int(step)))
        elif sizes[0] != sizes[1] != 1:  # neither pixel by pixel nor a mean over the whole map
            return False
    for name, rate, step in changes:
        _change(network, name, rate, step)
    return True


def dilate_first_units(encoder: Encoder) -> None:
    """Give each convolution whose stride was removed the rate of those behind it; in place, with the same state dict.

    So do several other implementations, whose weights expect it. The features are then no longer the strided network's.

    Raises:
        SettingsError: the encoder was dilated in another way than by `dilate`.
    """
    firsts: list[Any] = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d) and hasattr(layer, REMOVED)]
    if encoder.strides[-1] < 32 and not firsts:
        raise SettingsError(
            f"Where this {type(encoder).__name__} had strides is not known, so the rates there cannot be doubled. Choose an "
            "encoder such as resnet50, or leave `dilate_first` out."
        )
    for conv in firsts:
        conv.dilation = tuple(conv.removed_stride * entry for entry in _pair(conv.dilation))
        conv.padding = tuple(conv.removed_stride * entry for entry in _pair(conv.padding))
        del conv.removed_stride


def set_multi_grid(encoder: Encoder, factors: Sequence[int]) -> None:
    """Give the units of an encoder's last stage rates of their own; in place, with the same state dict.

    Unit i has the stage's rate (2 at output stride 16, 4 at 8) times factors[i], over and over, in each of its convolutions that
    look at more than one pixel; the first unit too. The features are then no longer the strided network's.

    Source: Chen et al.: Rethinking Atrous Convolution for Semantic Image Segmentation. 2017, section 3.2.1.

    Raises:
        SettingsError: the encoder does not end in a stage of such units, or a factor is less than 1.
    """
    rate = max(1, 32 // encoder.strides[-1])
    *_, stage = getattr(encoder, "body", encoder).children()
    found = [[m for m in unit.modules() if isinstance(m, nn.Conv2d) and m.kernel_size > (1, 1)] for unit in stage.children()]
    units = [unit for unit in found if unit]
    regular = all(conv.dilation == (rate, rate) for unit in units[1:] for conv in unit)
    if not (factors and min(factors) >= 1 and units and regular and isinstance(stage, nn.Sequential)):
        raise SettingsError(
            f"The last stage of this {type(encoder).__name__} cannot be given the multi-grid {tuple(factors)}. Factors are whole "
            "numbers from 1 up, for encoders such as resnet50 whose last stage is a sequence of units; () goes without."
        )
    for index, unit in enumerate(units):
        spread = rate * factors[index % len(factors)]
        for conv in unit:
            conv.dilation = (spread, spread)
            conv.padding = tuple(spread * (size // 2) for size in conv.kernel_size)


@torch.no_grad()
def _sizes(network: nn.Module, image: Tensor) -> dict[str, tuple[int, int]]:
    """Rows of the map that each layer without children reads, and of the one that it makes."""
    sizes: dict[str, tuple[int, int]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(_layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            maps = (*inputs[:1], output)
            if all(isinstance(x, Tensor) and x.ndim == 4 for x in maps):
                sizes[name] = (maps[0].shape[-2], maps[1].shape[-2])

        return hook

    leaves = [(name, layer) for name, layer in network.named_modules() if not any(layer.children())]
    handles = [layer.register_forward_hook(note(name)) for name, layer in leaves]
    try:
        network(image)
    finally:
        for handle in handles:
            handle.remove()
    return sizes


def _can_change(layer: nn.Module, rate: int) -> bool:
    """Whether the layer is padded by the same width on all sides, so that at stride 1 its map keeps its size."""
    if isinstance(layer, nn.AvgPool2d):
        return type(layer) is nn.AvgPool2d  # its successor can be padded unevenly
    if isinstance(layer, BlurPool2d):
        return bool(layer.filt_size % 2)
    if isinstance(layer, nn.MaxPool2d) and rate > 1:
        return False  # torch pads them by at most half a kernel
    pairs = zip(_pair(layer.kernel_size), _pair(layer.padding), _pair(layer.dilation), strict=True)
    return all(2 * padding == dilation * (kernel - 1) for kernel, padding, dilation in pairs)


def _change(network: nn.Module, name: str, rate: int, step: int) -> None:
    """Spread the kernel of a layer by `rate`, and give it the stride `step`."""
    layer: Any = network.get_submodule(name)
    if isinstance(layer, nn.AvgPool2d):
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, DilatedAvgPool2d(layer, rate, step))
    elif isinstance(layer, BlurPool2d):
        _spread_blur(layer, rate, step)
    else:
        if layer.stride != (step, step):
            setattr(layer, REMOVED, _pair(layer.stride)[0] // step)
        layer.stride = (step, step)
        layer.dilation = tuple(rate * entry for entry in _pair(layer.dilation))
        layer.padding = tuple(rate * entry for entry in _pair(layer.padding))


def _spread_blur(layer: Any, rate: int, step: int) -> None:
    """Put zeros between the taps of a blur, which has no dilation."""
    size = rate * (layer.filt_size - 1) + 1
    spread = layer.filt.new_zeros(*layer.filt.shape[:2], size, size)
    spread[..., ::rate, ::rate] = layer.filt
    layer.filt, layer.filt_size, layer.stride, layer.padding = spread, size, step, [size // 2] * 4


def _pair(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) else (value, value)


class DilatedAvgPool2d(nn.Module):
    """Average pooling whose pixels lie `rate` apart; a map of height h has ceil(h / step) rows afterwards.

    Args:
        pool: the pooling whose kernel, padding and way to count the pixels of the border are taken.
        rate: dilation.
        step: stride.
    """

    def __init__(self, pool: nn.AvgPool2d, rate: int, step: int) -> None:
        super().__init__()
        self.kernel, self.rate, self.step = _pair(pool.kernel_size), rate, step
        before = [rate * padding for padding in _pair(pool.padding)]
        after = [rate * (size - 1) - padding for size, padding in zip(self.kernel, before, strict=True)]
        self.border = (before[1], after[1], before[0], after[0])
        self.count_border = pool.count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        ones = torch.ones_like(x[:1, :1])
        counted = F.pad(ones, self.border, value=float(self.count_border))
        return self._sum(F.pad(x, self.border)) / self._sum(counted)

    def _sum(self, x: Tensor) -> Tensor:
        window = x.new_ones(x.shape[1], 1, *self.kernel)
        return F.conv2d(x, window, stride=self.step, dilation=self.rate, groups=x.shape[1])
