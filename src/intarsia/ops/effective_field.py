"""Effective receptive field: how much each pixel of an image has a say in a pixel of what a network makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core import SettingsError

__all__ = ["effective_field", "effective_side", "map_of"]


def effective_field(
    module: nn.Module,
    image: Tensor,
    *,
    at_yx: tuple[int, int] | None = None,
    output: Callable[[Any], Tensor] | None = None,
) -> Tensor:
    """The share of each pixel of an image in the gradient of one pixel of a map, summed over the map's channels.

    Shares are absolute values, summed over images and channels; random images (`torch.randn`) show the network itself.

    Args:
        module: takes images (N, C, H, W); it runs in its present mode, and no gradient stays in its parameters.
        image: (N, C, H, W).
        at_yx: row and column of the pixel in the map; the one in the middle by default.
        output: picks the map (N, K, h, w), as in `receptive_field`.

    Returns:
        (H, W) in the image's dtype; sums to one, or is zero where no pixel has a say.

    Source: Luo, Li, Urtasun, Zemel: Understanding the Effective Receptive Field in Deep Convolutional Neural Networks, 2016,
    section 3, with absolute values, so that images do not cancel out.
    """
    image = image.detach().requires_grad_()
    with torch.enable_grad():
        made = (output or map_of)(module(image))
        row, column = at_yx or (made.shape[-2] // 2, made.shape[-1] // 2)
        (gradient,) = torch.autograd.grad(made[..., row, column].sum(), image)
    share = gradient.abs().sum((0, 1))
    return share / share.sum().clamp_min(torch.finfo(share.dtype).tiny)


def effective_side(field: Tensor, threshold: float = 0.0455) -> float:
    """Side in pixels of the square as large as the part of a field (H, W) above `threshold` of its maximum.

    The default is where a Gaussian's two standard deviations end, as the paper measures it.
    """
    return math.sqrt(int((field > threshold * field.max()).sum()))


def map_of(returned: Any) -> Tensor:
    """The map in what a network returned: the tensor itself, its `logits`, or the last entry of a sequence (coarsest feature).

    Raises:
        SettingsError: there is no tensor.
    """
    found = getattr(returned, "logits", returned)
    if isinstance(found, list | tuple) and found:
        found = found[-1]
    if not isinstance(found, Tensor):
        raise SettingsError(
            f"The network returned a {type(found).__name__}, not a tensor; say by `output` where the map is in it."
        )
    return found
