"""Deep Watershed Transform: the energy that a watershed floods is learnt, so that one cut at a fixed level parts the objects.

Bai, Urtasun: Deep Watershed Transform for Instance Segmentation. CVPR 2017.

Idea: the watershed of image gradients breaks objects into pieces, since its energy has many basins. Here a network learns an
energy with one basin for each object, the depth of a pixel in it, by way of what is easier to see: the direction away from the
nearest boundary, which turns round where two objects meet. A second network turns directions into levels of depth.

    image -> 64 -> 128 -> 256 -> 512 -> 512      VGG-16 without its last pool; the last two pools average
                           |      |      `-> 5x5, 1x1, 1x1, 256, x4 -.
                           |      `-> 5x5, 1x1, 1x1, 256, x2 --------+-> concat, 768 -> 1x1, 512 -> 1x1, 512 -> 1x1, 2 -> x4
                           `-> 5x5, 1x1, 1x1, 256 -------------------'     stride 4                                        |
                                                                                                         gate, unit length
    16 levels <- x4 <- 1x1, 16 <- 1x1, 128 <- pool <- 4 of 5x5, 128 <- pool <- 5x5, 128 <- 5x5, 64 <-----------------------'

    x2, x4: transposed convolutions that start bilinear; the gate is 0 where no object can be

Source: section 3, figure 2; channels, pools, dropout and the code of classes as in the authors' code.
`postprocess/watershed_cuts.py` cuts objects.
Deviations:
    * `semantic="learnt"`, the default, needs no other network: a branch beside the directions learns the class of each pixel and
      is the gate; in training the truth is. `semantic="given"` is the paper's: classes come from outside in
      `targets["thing_label"]`, the image is 0 where none is, and a further channel holds the code of the class.
    * The codes of eight classes are -128, -96 ... 128 grey levels in the paper. Here they run over T classes in equal steps from
      -2 to 2, since images are in units of their deviation.
    * The paper halves images before; here `imgsz` says how large they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output, SettingsError
from intarsia.encoders.vgg16 import VGG16
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.transposed_bilinear import fill_bilinear_

__all__ = ["DeepWatershed"]

LEVELS = 16
STRIDE = 16


class DeepWatershed(nn.Module):
    """The direction network and the watershed network; the logits are of the levels of energy.

    Args:
        num_classes: T, of things.
        in_channels: of the image.
        semantic: whether the class of each pixel is learnt, or given from outside.
        directions: what the watershed network learns from: "predicted", or "true" ones, `targets["direction"]`, in the paper's
            second stage. In evaluation it is always what the direction network says.
        width: channels of the first stage; all others are in proportion.
        dropout: probability, after the last two convolutions of the watershed network.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8}
    TARGETS: ClassVar[tuple[str, ...]] = ("thing_label", "direction", "energy", "size_weights")
    LOSS: ClassVar[str] = "direction_and_energy"
    DECODER: ClassVar[str] = "watershed_cuts"

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        semantic: Literal["learnt", "given"] = "learnt",
        directions: Literal["predicted", "true"] = "predicted",
        width: int = 64,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.num_classes, self.directions = num_classes, directions
        self.learns_semantic = learnt = semantic == "learnt"
        self.direction_net = _DirectionNet(in_channels if learnt else in_channels + 1, width, num_classes + 1 if learnt else 0)
        self.watershed_net = _watershed_net(width, dropout)
        self.imagenet = self.direction_net.trunk.imagenet
        half = max(num_classes // 2, num_classes - num_classes // 2)
        codes = [*range(-(num_classes // 2), 0), *range(1, num_classes - num_classes // 2 + 1)]
        self.register_buffer("codes", torch.tensor([0, *codes]) * (2 / half), persistent=False)

    codes: Tensor

    def forward(self, image: Tensor, targets: Mapping[str, Tensor] | None = None) -> Output:
        targets = targets or {}
        size_hw = image.shape[-2:]
        if self.learns_semantic:
            vectors, semantic = self.direction_net(grow_to_multiple(image, STRIDE))
            semantic = crop(semantic, size_hw)
            known = self.training and "thing_label" in targets
            gate = self._given_gate(targets).to(image.dtype) if known else semantic.softmax(1)  # (N, T + 1, H, W)
        else:
            gate, semantic = self._given_gate(targets).to(image.dtype), None
            code = (gate * self.codes.to(gate.dtype).view(1, -1, 1, 1)).sum(1, keepdim=True)
            gated = torch.cat([image * (1 - gate[:, :1]), code], 1)
            vectors, _ = self.direction_net(grow_to_multiple(gated, STRIDE))
        inside = (gate.argmax(1, keepdim=True) > 0).to(vectors.dtype)
        direction = _unit(crop(vectors, size_hw)) * inside  # (N, 2, H, W)
        seen = direction
        if self.training and self.directions == "true" and "direction" in targets:
            seen = targets["direction"].to(direction.dtype)
        bottom, right = -size_hw[0] % STRIDE, -size_hw[1] % STRIDE
        logits = crop(self.watershed_net(F.pad(seen, (0, right, 0, bottom))), size_hw)  # (N, 16, H, W)
        parts = {"direction": direction, "gate": gate}
        return Output(logits, parts=parts if semantic is None else {**parts, "semantic": semantic})

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the convolutions of a VGG-16 classifier; the channel of the class takes a copy of one of a colour."""
        self.direction_net.trunk.load_imagenet(state)

    def _given_gate(self, targets: Mapping[str, Tensor]) -> Tensor:
        """(N, T + 1, H, W) int64, 1 of the class of each pixel, the first of none."""
        if "thing_label" not in targets:
            raise SettingsError(
                "deep_watershed was made with semantic='given', and no classes were given: name what finds them by --semantic, "
                "or train it with semantic='learnt'."
            )
        label = targets["thing_label"].long()
        label = label.where(label <= self.num_classes, 0)  # nothing is known: nothing is there
        return F.one_hot(label, self.num_classes + 1).movedim(-1, 1)


class _DirectionNet(nn.Module):
    """An image to vectors (N, 2, H, W) of any length and, if learnt, scores of classes (N, T + 1, H, W)."""

    def __init__(self, in_channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.trunk = VGG16(in_channels=in_channels, width=width)
        branch, fused = 4 * width, 8 * width
        third, fourth, fifth = self.trunk.channels[2:]
        self.branches = nn.ModuleList([_branch(third, branch, 1), _branch(fourth, branch, 2), _branch(fifth, branch, 4)])
        self.vectors = nn.Sequential(
            *_conv(3 * branch, fused, 1), *_conv(fused, fused, 1), nn.Conv2d(fused, 2, 1), _enlarge(2, 4)
        )
        he_normal_(self.vectors[:-1])
        self.semantic = nn.Sequential()
        if classes:
            score = nn.Conv2d(fused, classes, 1)
            self.semantic.extend([*_conv(3 * branch, fused, 1), score, _enlarge(classes, 4)])
            he_normal_(self.semantic[:-1])
            nn.init.normal_(score.weight, std=0.01)  # all classes alike at first, or the first steps of SGD are too large

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        maps = []
        x = image
        for index, stage in enumerate(self.trunk.stages):
            if index:
                x = F.max_pool2d(x, 2) if index < 3 else F.avg_pool2d(x, 2)
            for layer in list(stage.children())[:-1]:  # the trunk's own pools are all maxima
                x = layer(x)
            maps.append(x)  # strides 1, 2, 4, 8, 16
        joined = torch.cat([branch(x) for branch, x in zip(self.branches, maps[2:], strict=True)], 1)  # (N, 768, H/4, W/4)
        return self.vectors(joined), self.semantic(joined) if self.semantic else None


def _unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1, at least in float32: rounded to bfloat16 they would be off by degrees."""
    return F.normalize(vectors.float() if vectors.dtype in (torch.float16, torch.bfloat16) else vectors, eps=1e-6)


def _branch(in_channels: int, channels: int, factor: int) -> nn.Sequential:
    """5x5, 1x1, 1x1, and enlarged `factor` times."""
    layers = nn.Sequential(
        *_conv(in_channels, in_channels, 5), *_conv(in_channels, in_channels, 1), *_conv(in_channels, channels, 1)
    )
    he_normal_(layers)
    return layers if factor == 1 else layers.append(_enlarge(channels, factor))


def _watershed_net(width: int, dropout: float) -> nn.Sequential:
    """Directions (N, 2, H, W) to scores of levels (N, 16, H, W)."""
    wide = 2 * width
    layers = [
        *_conv(2, width, 5),
        *_conv(width, wide, 5),
        nn.AvgPool2d(2),
        *(layer for _ in range(4) for layer in _conv(wide, wide, 5)),
        nn.AvgPool2d(2),
        *_conv(wide, wide, 1),
        nn.Dropout(dropout),
        *_conv(wide, LEVELS, 1),
        nn.Dropout(dropout),
    ]
    network = nn.Sequential(*layers)
    he_normal_(network)
    return network.append(_enlarge(LEVELS, 4))


def _conv(in_channels: int, channels: int, kernel: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2), nn.ReLU(inplace=True)


def _enlarge(channels: int, factor: int) -> nn.ConvTranspose2d:
    conv = nn.ConvTranspose2d(channels, channels, 2 * factor, stride=factor, padding=factor // 2, bias=False)
    fill_bilinear_(conv.weight)
    return conv
