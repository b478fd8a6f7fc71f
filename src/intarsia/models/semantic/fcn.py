"""FCN: a classifier made convolutional, whose coarse scores are joined with scores of earlier, finer layers.

Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation. CVPR 2015; extended in PAMI 2017.

Idea: the fully connected layers of VGG-16 are convolutions of 7x7 and 1x1 in disguise, so the classifier runs on an image of any
size and gives a coarse map of scores. Finer layers are scored too, and the maps are summed from coarse to fine (stride 32, 16,
8). Bilinear transposed convolutions enlarge them.

    image -> pool1 -> pool2 -> pool3 ------> pool4 ------> pool5 -> fc6 -> fc7 -> score      strides 2, 4, 8, 16, 32
                                 |             |                                    v x2
                                 |           score (16s, 8s) ------------- crop --> +
                                 |                                                  v x2
                               score (8s) -------------------------------- crop --> +
                                                                                    v x32, x16 or x8, crop
                                                                                 (N, K, H, W)

On AlexNet (CaffeNet's form, or torchvision's) there is only stride 32, without skips.

Source: section 4, figure 3; paddings, crop offsets, zero initial scores, frozen upsampling and the constants of "at once" as in
the reference code (fcn.berkeleyvision.org, voc-fcn32s, 16s, 8s, 8s-atonce and voc-fcn-alexnet). The CVPR text learns the inner
upsampling, the reference code freezes all of it, which is the default here.
Deviations:
    * Images are RGB in the normalisation that the pretrained weights expect; the reference has BGR minus its mean, 0 to 255. The
      border of zeros is the mean colour in both.
    * Without pretrained weights, trunk and fc layers start from He's normal distribution, where the paper always fine-tunes.
    * `padding="same"` is an option beside the paper: the border of 100 pixels costs more than a small image itself.
    * `trunk="alexnet_torchvision"` is not the paper's: no ImageNet weights of CaffeNet come with torchvision or timm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output, SettingsError
from intarsia.encoders import alexnet, load_strictly, vgg16
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop
from intarsia.ops.transposed_bilinear import TransposedBilinear, fill_bilinear_

__all__ = ["FCN"]


class FCN(nn.Module):
    """FCN-32s, -16s or -8s on VGG-16, or FCN-32s on AlexNet.

    The names in the state dicts of the three agree, so each can start from the one before, as the paper trains them.

    Args:
        num_classes: K.
        in_channels: of the image.
        trunk: the classifier: "vgg16", "alexnet" (CaffeNet, the reference's) or "alexnet_torchvision".
        stride: of the finest scores: 32, 16 or 8. None is 8, or 32 on AlexNet, which has no other.
        at_once: train 8s (or 16s) without stages: the skips are scaled by 0.01 (pool4) and 0.0001 (pool3) before their scores.
        padding: "reference" surrounds the image by 100 pixels of zeros and lets fc6 shrink the map, as the reference does; "same"
            keeps sizes throughout. The weights fit both; what the network sees at the image's border differs.
        learn_upsampling: train the transposed convolutions, from bilinear weights on.
        width: channels of VGG-16's first stage, 64; those of AlexNet shrink with it.
        fc_channels: of fc6 and fc7.
        dropout: probability, after fc6 and after fc7.

    Raises:
        SettingsError: AlexNet with skips.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8, "fc_channels": 64}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        trunk: Literal["vgg16", "alexnet", "alexnet_torchvision"] = "vgg16",
        stride: Literal[32, 16, 8] | None = None,
        at_once: bool = False,
        padding: Literal["reference", "same"] = "reference",
        learn_upsampling: bool = False,
        width: int = 64,
        fc_channels: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        same, vgg = padding == "same", trunk == "vgg16"
        stride = stride or (8 if vgg else 32)
        if stride != 32 and not vgg:
            raise SettingsError(f"FCN on AlexNet has stride 32 and no skips; {stride} was asked for. VGG-16 has 16 and 8 too.")
        self.trunk = _vgg16(in_channels, width, same) if vgg else _alexnet(trunk, in_channels, width, same)
        self.imagenet = self.trunk.imagenet if fc_channels == 4096 else None
        *_, pool3, pool4, pool5 = self.trunk.channels
        self.fc6 = nn.Conv2d(pool5, fc_channels, 7 if vgg else 6, padding=3 if same else 0)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.dropout = nn.Dropout(dropout)
        he_normal_(self)
        self.score = _score(fc_channels, num_classes)
        skips = (
            _Skip(pool4, num_classes, 0.01 if at_once else None, None if same else 5, learn_upsampling),
            _Skip(pool3, num_classes, 0.0001 if at_once else None, None if same else 9, learn_upsampling),
        )
        self.skips = nn.ModuleList(skips[: {32: 0, 16: 1, 8: 2}[stride]])
        self.upsample = _upsample(num_classes, stride, learn_upsampling, 2 * stride - (not vgg))
        vgg_offset = stride // 2 if same else {32: 19, 16: 27, 8: 31}[stride]
        self.offset = vgg_offset if vgg else 47 if same else 18

    def forward(self, image: Tensor) -> Output:
        *_, pool3, pool4, pool5 = self.trunk(image)
        x = self.dropout(F.relu(self.fc6(pool5), inplace=True))  # (N, 4096, H/32, W/32)
        x = self.dropout(F.relu(self.fc7(x), inplace=True))
        score = self.score(x)  # (N, K, H/32, W/32)
        for skip, pool in zip(self.skips, (pool4, pool3), strict=False):
            score = skip(score, pool)  # (N, K, H/16, W/16), then (N, K, H/8, W/8)
        return Output(crop(self.upsample(score), image.shape[-2:], self.offset))  # (N, K, H, W)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take trunk, fc6 and fc7 of a VGG-16 or AlexNet classifier in the names of torchvision or timm."""
        self.trunk.load_imagenet(state)
        layers = nn.ModuleDict({"fc6": self.fc6, "fc7": self.fc7})
        family = vgg16 if isinstance(self.trunk, vgg16.VGG16) else alexnet
        load_strictly(layers, family.fully_connected_state(state), "FCN's fc6 and fc7")


def _vgg16(in_channels: int, width: int, same: bool) -> vgg16.VGG16:
    return vgg16.VGG16(in_channels=in_channels, width=width, first_padding=1 if same else 100)


def _alexnet(trunk: str, in_channels: int, width: int, same: bool) -> alexnet.AlexNet:
    """With the reference's border and pools inside the map, or with sizes kept."""
    form: Literal["caffenet", "torchvision"] = "caffenet" if trunk == "alexnet" else "torchvision"
    first = width * alexnet.CHANNELS[form][0] // 64
    if same:
        return alexnet.AlexNet(in_channels=in_channels, form=form, width=first)
    return alexnet.AlexNet(in_channels=in_channels, form=form, width=first, first_padding=100, pool_padding=0)


class _Skip(nn.Module):
    """Coarse scores, twice enlarged, plus the scores of a finer layer.

    Where sizes were kept (`offset` None), pixel o of the enlarged map lies on pixel o - 1 of the finer one, so the enlarged map
    loses its first row and column. With the reference's paddings the finer map is the larger one, and loses `offset` of them.
    """

    def __init__(self, channels: int, num_classes: int, scale: float | None, offset: int | None, learn_upsampling: bool) -> None:
        super().__init__()
        self.scale = scale
        self.offset = offset
        self.score = _score(channels, num_classes)
        self.upsample = _upsample(num_classes, 2, learn_upsampling, 4)

    def forward(self, coarse: Tensor, feature: Tensor) -> Tensor:
        enlarged: Tensor = self.upsample(coarse)
        fine: Tensor = self.score(feature if self.scale is None else feature * self.scale)
        if self.offset is None:
            return crop(enlarged, fine.shape[-2:], 1) + fine
        return enlarged + crop(fine, enlarged.shape[-2:], self.offset)


def _score(channels: int, num_classes: int) -> nn.Conv2d:
    """Scores of a layer, all zero at the start: a skip changes nothing until it has learnt something."""
    score = nn.Conv2d(channels, num_classes, 1)
    for parameter in score.parameters():
        nn.init.zeros_(parameter)
    return score


def _upsample(num_classes: int, stride: int, learn: bool, size: int) -> nn.Module:
    if not learn:
        return TransposedBilinear(stride, size)
    dense = nn.ConvTranspose2d(num_classes, num_classes, size, stride, bias=False)
    fill_bilinear_(dense.weight)
    return dense
