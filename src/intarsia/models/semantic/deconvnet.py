"""DeconvNet: VGG-16 with its fully connected layers, and its whole mirror image on top.

Noh, Hong, Han: Learning Deconvolution Network for Semantic Segmentation. ICCV 2015.

Idea: one score map at stride 32 is too coarse for what is small and too local for what is large. A deep decoder of unpoolings and
deconvolutions draws the object's shape step by step, from one vector that has seen the whole window. It is meant to be shown one
object at a time: windows around proposals, from easy ones (the object in the middle) to hard ones.

    window -> 64 64, pool -> 128 128, pool -> 256 x3, pool -> 512 x3, pool -> 512 x3, pool -> 7x7, 4096 -> 1x1, 4096 -.
                   | places        |                |               |               |          1 pixel                |
    K, 1x1 <- 64 64, unpool <- 64 128, unpool <- 128 256 256 <- 256 512 512 <- 512 512 512, unpool <-- 512, 7x7 ------+
             stride 1                2                 4               8                16          32

    a number: convolution on the way in, transposed convolution on the way out, of 3x3 unless said; batch normalisation, ReLU

Source: sections 3 and 4, figure 2; biases, normalisation everywhere but on the scores and initial weights as in the authors'
prototxt (DeconvNet repository).
Deviations:
    * Windows of any size from 224 on: fc6 then gives more than one vector, and its mirror adds up the 7x7 pixels of each. Smaller
      images are mirrored up to 224. The paper scales every window to 224.
    * Running statistics normalise at inference, where the reference computes them in a pass of their own. Of a single vector (one
      image of 224) no variance can be taken: it is normalised by the running statistics in training too.
    * Narrower networks than the paper's have larger initial weights, N(0, 0.01 x 64 / width), since fewer are summed.
    * Without ImageNet weights the convolutions start from He's normal distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output, SettingsError
from intarsia.encoders import load_strictly
from intarsia.encoders.vgg16 import fully_connected_state
from intarsia.models.parts.vgg16_norm import SHIFT, VGG16Norm, norm_stage
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.max_unpool import max_unpool
from intarsia.ops.reflect import crop, reflect_border

__all__ = ["DeconvNet"]


class DeconvNet(nn.Module):
    """DeconvNet.

    Args:
        num_classes: K.
        in_channels: of the image.
        width: channels of the first stage.
        fc_channels: of fc6 and fc7.
        window: side of the windows it is trained on, a multiple of 32; fc6 covers one.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8, "fc_channels": 64, "window": 64}

    def __init__(
        self, *, num_classes: int, in_channels: int = 3, width: int = 64, fc_channels: int = 4096, window: int = 224
    ) -> None:
        super().__init__()
        if window < 32 or window % 32:
            raise SettingsError(f"DeconvNet's window is {window}; it can be a multiple of 32, such as 224, the paper's.")
        self.window = window
        side = window // 32
        self.encoder = VGG16Norm(in_channels, width)
        self.imagenet = self.encoder.imagenet if (fc_channels, window) == (4096, 224) else None
        top = self.encoder.channels[-1]
        self.fc6 = nn.Conv2d(top, fc_channels, side)
        self.norm6 = _VectorNorm(fc_channels)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.norm7 = _VectorNorm(fc_channels)
        he_normal_(self)
        self.fc6_deconv = nn.ConvTranspose2d(fc_channels, top, side)
        self.norm6_deconv = _VectorNorm(top)
        stages = ((8, 8, 8, 8), (8, 8, 8, 4), (4, 4, 4, 2), (2, 2, 1), (1, 1, 1))
        self.decoder = nn.ModuleList(norm_stage(*(width * n for n in stage), conv=nn.ConvTranspose2d) for stage in stages)
        self.score = nn.Conv2d(width, num_classes, 1)
        for module in (self.fc6_deconv, *self.decoder.modules(), self.score):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
                nn.init.normal_(module.weight, std=0.01 * 64 / width)
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Output:
        bottom, right = (max(0, self.window - size) for size in image.shape[-2:])
        x, places = self.encoder(reflect_border(image, top=0, bottom=bottom, left=0, right=right))  # (N, 512, h, w) at stride 32
        x = F.relu(self.norm6(self.fc6(x)), inplace=True)  # (N, 4096, h - 6, w - 6)
        x = F.relu(self.norm7(self.fc7(x)), inplace=True)
        x = F.relu(self.norm6_deconv(self.fc6_deconv(x)), inplace=True)  # (N, 512, h, w)
        for stage in self.decoder:
            x = stage(max_unpool(x, places.pop()))  # strides 16, 8, 4, 2, 1
        return Output(crop(self.score(x), image.shape[-2:]))  # (N, K, H, W)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the convolutions, fc6 and fc7 of a VGG-16 classifier in the names of torchvision or timm."""
        self.encoder.load_imagenet(state)
        layers = nn.ModuleDict({"fc6": self.fc6, "fc7": self.fc7})
        load_strictly(layers, fully_connected_state(state), "DeconvNet's fc6 and fc7")


class _VectorNorm(nn.BatchNorm2d):
    """Batch normalisation that uses its running statistics where the batch has only one vector."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        nn.init.constant_(self.bias, SHIFT)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        if self.training and input.shape[0] * input.shape[2] * input.shape[3] == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)
