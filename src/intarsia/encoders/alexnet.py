"""AlexNet's five convolutions, in CaffeNet's form or in torchvision's.

Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks. NeurIPS 2012.

    image -> conv1 -> pool1 -> norm, conv2, pool2 -> norm, conv3, conv4 -> conv5, pool5
               /4, 96    /8, 96         /16, 256              /16, 384        /32, 256

Source: CaffeNet as FCN's reference runs it: 11x11 at stride 4, 5x5 and three 3x3 convolutions, the second, fourth and fifth in
two groups, local response normalisation after pooling (the paper has it before). torchvision's form has 64, 192, 384, 256, 256
channels, neither groups nor response normalisation, after Krizhevsky: One weird trick for parallelizing convolutional neural
networks, 2014; its ImageNet weights fit. Without weights the convolutions start from He's normal distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.encoders._encoder import Encoder
from intarsia.encoders._weights import inflate_input, load_strictly
from intarsia.ops.he_normal import he_normal_

__all__ = ["AlexNet", "fully_connected_state"]

CHANNELS = {"caffenet": (96, 256, 384, 384, 256), "torchvision": (64, 192, 384, 256, 256)}


class AlexNet(Encoder):
    """The trunk, with the features of conv1, pool1, pool2, conv4 and pool5, before any response normalisation.

    Args:
        in_channels: of the image.
        output_stride: 32, the only one there is.
        form: "caffenet" or "torchvision".
        width: channels of conv1, on which the others depend; None: those of the form, 96 or 64.
        first_padding: zeros around the image before conv1. 5 keeps pixel i of a feature of stride s at pixel s i of the image;
            FCN's reference has 100, the classifiers 0 (CaffeNet) or 2 (torchvision).
        pool_padding: 1 for features of the sizes that encoders promise; 0, as in all of those networks, pools inside the map and
            rounds sizes up as in Caffe. The weights fit any padding.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        output_stride: int = 32,
        form: Literal["caffenet", "torchvision"] = "caffenet",
        width: int | None = None,
        first_padding: int = 5,
        pool_padding: Literal[0, 1] = 1,
    ) -> None:
        super().__init__()
        if output_stride != 32:
            raise SettingsError(f"The encoder alexnet has output stride 32 and no other; {output_stride} was asked for.")
        self.in_channels = in_channels
        self.imagenet = "alexnet"
        full = CHANNELS[form]
        c1, c2, c3, c4, c5 = (channels * (width or full[0]) // full[0] for channels in full)
        groups = 2 if form == "caffenet" else 1
        self.channels = (c1, c1, c2, c4, c5)
        self.strides = (4, 8, 16, 16, 32)

        def conv(before: int, channels: int, kernel: int = 3, groups: int = 1) -> tuple[nn.Module, nn.Module]:
            return nn.Conv2d(before, channels, kernel, padding=kernel // 2, groups=groups), nn.ReLU(inplace=True)

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, pool_padding, ceil_mode=pool_padding == 0)

        def norm() -> nn.Module:
            return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1) if form == "caffenet" else nn.Identity()

        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(in_channels, c1, 11, 4, first_padding), nn.ReLU(inplace=True)),
                pool(),
                nn.Sequential(norm(), *conv(c1, c2, 5, groups), pool()),
                nn.Sequential(norm(), *conv(c2, c3), *conv(c3, c4, 3, groups)),
                nn.Sequential(*conv(c4, c5, 3, groups), pool()),
            ]
        )
        he_normal_(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        x = image
        for stage in self.stages:
            x = stage(x)  # /4, /8, /16, /16, /32
            features.append(x)
        return features

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the convolutions of an AlexNet classifier in torchvision's names; the rest is left."""
        own = [name for name, module in self.named_modules() if isinstance(module, nn.Conv2d)]
        renamed = {
            f"{name}.{part}": state[f"features.{index}.{part}"]
            for name, index in zip(own, (0, 3, 6, 8, 10), strict=True)
            for part in ("weight", "bias")
            if f"features.{index}.{part}" in state
        }
        first = f"{own[0]}.weight"
        if first in renamed:
            renamed[first] = inflate_input(renamed[first], self.in_channels)
        load_strictly(self, renamed, "the AlexNet trunk")


def fully_connected_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """fc6 and fc7 of torchvision's AlexNet classifier as convolutions of 6x6 and 1x1.

    Returns:
        fc6.weight (4096, 256, 6, 6), fc6.bias, fc7.weight (4096, 4096, 1, 1), fc7.bias, as far as `state` has them.
    """
    unfolded = {}
    for own, theirs, size in (("fc6", "classifier.1", 6), ("fc7", "classifier.4", 1)):
        if f"{theirs}.weight" in state:
            weight = state[f"{theirs}.weight"]
            unfolded[f"{own}.weight"] = weight.reshape(len(weight), -1, size, size)
            unfolded[f"{own}.bias"] = state[f"{theirs}.bias"]
    return unfolded
