"""HRNet: branches of strides 4, 8, 16 and 32 that run beside each other and tell each other what they see, again and again.

Sun, Xiao, Liu, Wang: Deep High-Resolution Representation Learning for Human Pose Estimation. CVPR 2019.
Wang et al.: Deep High-Resolution Representation Learning for Visual Recognition. TPAMI 2021.

    image -> 3x3 /2 -> 3x3 /2 -> 4 bottlenecks -> W ------x------x x x x ------x x x -> W       stride 4
                                             `-> 2W ------x------x x x x ------x x x -> 2W             8
                                                           `-> 4W x x x x ------x x x -> 4W            16
                                                                         `-> 8W x x x -> 8W            32

    x: four residual blocks on each branch, then every branch takes the sum of all, enlarged or strided to its size

Source: section 3 of the second, table 1; what they leave open, the names of the weights and the initial N(0, 0.001) of
convolutions as in the authors' code for segmentation. timm has the same network for classification: it enlarges branches by the
nearest neighbour, and what it offers as features has further blocks on top, which is why it is not taken from there. Its
weights fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders._encoder import Encoder
from intarsia.encoders._weights import inflate_input, load_strictly
from intarsia.ops.resize import resize_bilinear

__all__ = ["HRNet"]

ON_TOP = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.")
"""What a classifier has behind the four branches."""


class HRNet(Encoder):
    """HRNet, with the features of its four branches.

    Args:
        in_channels: of the image.
        output_stride: 32, the only one there is.
        width: W, channels of the branch at stride 4: 18, 32, 40 and 48 in the papers.
        modules: how often the branches exchange what they see, in the stages of two, three and four branches.
        align_corners: how coarse branches are enlarged.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        output_stride: int = 32,
        width: int = 48,
        modules: Sequence[int] = (1, 4, 3),
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if output_stride != 32:
            raise SettingsError(f"The encoder hrnet has output stride 32 and no other; {output_stride} was asked for.")
        self.in_channels = in_channels
        known = width in (18, 30, 32, 40, 44, 48, 64) and tuple(modules) == (1, 4, 3)
        self.imagenet = f"hrnet_w{width}" if known else None
        self.channels = (width, 2 * width, 4 * width, 8 * width)
        self.strides = (4, 8, 16, 32)
        self.conv1 = nn.Conv2d(in_channels, 64, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        widen = nn.Sequential(nn.Conv2d(64, 256, 1, bias=False), nn.BatchNorm2d(256))
        self.layer1 = nn.Sequential(Bottleneck(64, 64, downsample=widen), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = nn.ModuleList([_conv(256, width), nn.Sequential(_conv(256, 2 * width, stride=2))])
        self.transition2 = _new_branch(self.channels[:3])
        self.transition3 = _new_branch(self.channels)
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(*(_Exchange(self.channels[:branches], align_corners) for _ in range(count)))
            for branches, count in zip((2, 3, 4), modules, strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)  # (N, 64, H/2, W/2)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)  # (N, 64, H/4, W/4)
        x = self.layer1(x)  # (N, 256, H/4, W/4)
        branches: list[Tensor] = self.stage2([branch(x) for branch in self.transition1])
        branches = self.stage3([*branches, self.transition2[-1](branches[-1])])
        features: list[Tensor] = self.stage4([*branches, self.transition3[-1](branches[-1])])
        return features  # (N, W, H/4, W/4) ... (N, 8W, H/32, W/32)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of timm's or the authors' classifier of this width, but for what it has behind the branches."""
        own = {name: value for name, value in state.items() if not name.startswith(ON_TOP)}
        if "conv1.weight" in own:
            own["conv1.weight"] = inflate_input(own["conv1.weight"], self.in_channels)
        load_strictly(self, own, f"the HRNet trunk of width {self.channels[0]}")


class _Exchange(nn.Module):
    """Four residual blocks on each branch, then the sum of all branches at the size of each, ReLU."""

    def __init__(self, channels: Sequence[int], align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(count, count) for _ in range(4))) for count in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_bring(channels[source], channels[target], source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        branches = [blocks(x) for blocks, x in zip(self.branches, branches, strict=True)]
        exchanged = []
        for target, own in zip(self.fuse_layers, branches, strict=True):
            brought = [bring(x) for bring, x in zip(target.children(), branches, strict=True)]
            fitting = [x if x.shape == own.shape else self._enlarge(x, own) for x in brought]
            exchanged.append(F.relu(reduce(torch.add, fitting)))
        return exchanged

    def _enlarge(self, x: Tensor, like: Tensor) -> Tensor:
        return resize_bilinear(x, like.shape[-2:], align_corners=self.align_corners)


def _bring(before: int, after: int, source: int, target: int) -> nn.Module:
    """To another branch: a coarse one by 1x1 (and enlarged), a fine one by strided convolutions, all but the last with ReLU."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after))
    steps = [_conv(before, before, stride=2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, _conv(before, after, stride=2, relu=False))


def _new_branch(channels: Sequence[int]) -> nn.ModuleList:
    """The last of these branches, strided out of the one before; the others go on as they are."""
    return nn.ModuleList([*(nn.Identity() for _ in channels[1:]), nn.Sequential(_conv(channels[-2], channels[-1], stride=2))])


def _conv(before: int, after: int, *, stride: int = 1, relu: bool = True) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), *[nn.ReLU(inplace=True)] * relu)
