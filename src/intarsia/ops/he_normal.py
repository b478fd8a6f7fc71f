"""He's initialisation, for networks whose every layer is followed by a ReLU."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["he_normal_"]


@torch.no_grad()
def he_normal_(network: nn.Module) -> None:
    """Draw every convolution's weights from N(0, sqrt(2 / n)), n the inputs of one output pixel, and zero its biases; in place.

    A transposed convolution of kernel k and stride s gives k / s inputs per side to an output pixel, so n = C_in (k / s)^2.

    Source: He, Zhang, Ren, Sun: Delving Deep into Rectifiers, 2015, equation 10.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            inputs = float(module.weight[0].numel())
        elif isinstance(module, nn.ConvTranspose2d):
            area, stride_area = module.weight[0, 0].numel(), module.stride[0] * module.stride[1]
            inputs = module.in_channels / module.groups * area / stride_area
        else:
            continue
        nn.init.normal_(module.weight, std=(2 / inputs) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
