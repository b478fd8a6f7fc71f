"""VGG-16 at stride 8, as the first two DeepLabs dilate it.

Chen, Papandreou, Kokkinos, Murphy, Yuille: Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs.
ICLR 2015.

    image -> conv x2, pool -> conv x2, pool -> conv x3, pool -> conv x3, pool -> conv x3 at rate 2, pool
                  /2    64         /4   128         /8   256         /8   512                /8   512

Source: the released LargeFOV network. Pools are 3x3; the fourth and the fifth keep the size of their map, and the convolutions
between them step over a pixel in place of the fourth's stride. With 2x2 pools the same weights would see other pixels, so the
features are not the strided VGG-16's: the network is fine-tuned.
"""

from __future__ import annotations

from torch import nn

from intarsia.core import SettingsError
from intarsia.encoders.vgg16 import VGG16

__all__ = ["VGG16Atrous"]


class VGG16Atrous(VGG16):
    """The trunk, with the features after each of its five pools. Pixel i of a feature of stride s lies on the image's pixel s i.

    Args:
        in_channels: of the image.
        output_stride: 8, the only one there is.
        width: channels of the first stage, 64 in the paper.
    """

    def __init__(self, *, in_channels: int = 3, output_stride: int = 8, width: int = 64) -> None:
        if output_stride != 8:
            raise SettingsError(f"The encoder vgg16_atrous has output stride 8 and no other; {output_stride} was asked for.")
        super().__init__(in_channels=in_channels, width=width)
        self.strides = (2, 4, 8, 8, 8)
        for index, stage in enumerate(self.stages):
            *convs, _ = stage.children()
            self.stages[index] = nn.Sequential(*convs, nn.MaxPool2d(3, 2 if index < 3 else 1, padding=1))
        for layer in self.stages[4].children():
            if isinstance(layer, nn.Conv2d):
                layer.dilation = layer.padding = (2, 2)
