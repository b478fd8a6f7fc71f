"""FC-DenseNet, the "Tiramisu": densely connected blocks down and up, where the way up carries only what is new.

Jégou, Drozdzal, Vazquez, Romero, Bengio: The One Hundred Layers Tiramisu: Fully Convolutional DenseNets for Semantic
Segmentation. CVPR Workshops 2017.

Idea: in a dense block each layer sees all maps before it and adds a few of its own, so few maps are needed in all. On the way up
stacking everything would explode; only the new maps of a block are enlarged, since what came before is in the skip already. It
trains from scratch on a few hundred images.

    image -> 3x3, 48 -> DB -------------- skip --------------> concat -> DB -> all maps -> 1x1, K       stride 1
                         `-> TD -> DB --- skip ---> concat -> DB -> TU -^                                      2
                                    `-> TD ...  TU -^                                                      4 ... 16
                                             bottleneck DB                                                    32

    DB: layers of normalisation, ReLU, 3x3, dropout; on the way down its input is kept beside the new maps
    TD: normalisation, ReLU, 1x1, dropout, max pooling; TU: transposed 3x3 of stride 2

Source: section 3, tables 1 and 2 (with the 16 maps that table 2 forgets, as the authors' readme corrects); He's uniform
initialisation, epsilon 1e-4 and what the tables leave open as in the authors' Lasagne code.
Deviations:
    * Batch normalisation keeps running statistics for evaluation, so that an image's answer does not depend on its neighbours.
      `batch_statistics=True` normalises by the batch at hand in evaluation too, as the authors tested.
    * The first convolution gives 48 maps in all three, as in the authors' code; table 3's 1.5 million parameters for the 56
      layers are not reached with it (1.38, or 1.40 with the statistics), while 3.5 and 9.4 million are.
    * Sides below 64 are grown to 64 by reflection: five poolings need 32, and of a single pixel no variance can be taken.
    * `se` is an option beside the paper, from Roy et al. 2018 (`models/parts/scse.py`), who put the blocks into such a network.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.models.parts.checkpointed import checkpointed
from intarsia.models.parts.scse import recalibrated_channels, recalibration
from intarsia.ops.reflect import crop, reflect_border

__all__ = ["FCDenseNet"]

# layers of the five blocks down and of the bottleneck; the blocks up mirror those down
BLOCKS = {56: (4, 4, 4, 4, 4, 4), 67: (5, 5, 5, 5, 5, 5), 103: (4, 5, 7, 10, 12, 15)}
GROWTH = {56: 12, 67: 16, 103: 16}


class FCDenseNet(nn.Module):
    """FC-DenseNet56, 67 or 103.

    Args:
        num_classes: K.
        in_channels: of the image.
        layers: 56, 67 or 103 convolutions.
        batch_statistics: normalise by the batch's own statistics always; there are no running ones then.
        checkpointing: computes the activations inside the blocks again in the backward pass, for a fraction of the memory.
        dropout: probability, after each convolution of blocks and transitions down.
        se: recalibrates what each block hands on, the bottleneck's aside: by channel, by pixel, or both, joined as it says.
        growth: maps that a layer adds; None is the paper's 12 for 56 layers and 16 for 67 and 103.
        stem: maps of the first convolution.
    """

    TINY: ClassVar[dict[str, Any]] = {"layers": 56, "growth": 4, "stem": 16}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        layers: Literal[56, 67, 103] = 103,
        batch_statistics: bool = False,
        checkpointing: bool = False,
        dropout: float = 0.2,
        se: Literal["none", "cse", "sse", "scse_max", "scse_add", "scse_multiply", "scse_concat"] = "none",
        growth: int | None = None,
        stem: int = 48,
    ) -> None:
        super().__init__()
        growth = GROWTH[layers] if growth is None else growth
        *depths, bottom = BLOCKS[layers]

        def dense(channels: int, depth: int) -> _DenseBlock:
            return _DenseBlock(channels, depth, growth, dropout, checkpointing=checkpointing)

        self.stem = nn.Conv2d(in_channels, stem, 3, padding=1)
        self.down, self.recalibrate_down, self.shrink = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels, skips = stem, []
        for depth in depths:
            self.down.append(dense(channels, depth))
            channels += depth * growth
            self.recalibrate_down.append(recalibration(channels, se))
            channels = recalibrated_channels(channels, se)
            self.shrink.append(_TransitionDown(channels, dropout))
            skips.append(channels)
        self.bottleneck = dense(channels, bottom)
        self.enlarge, self.up, self.recalibrate_up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        new = bottom * growth
        for depth, skip in zip(depths[::-1], skips[::-1], strict=True):
            self.enlarge.append(nn.ConvTranspose2d(new, new, 3, stride=2))
            self.up.append(dense(new + skip, depth))
            channels, new = new + skip + depth * growth, depth * growth
            last = len(self.up) == len(depths)
            self.recalibrate_up.append(recalibration(channels if last else new, se))
            new = recalibrated_channels(new, se)
        self.score = nn.Conv2d(recalibrated_channels(channels, se), num_classes, 1)
        _he_uniform_(self)
        if batch_statistics:
            _forget_statistics(self)

    def forward(self, image: Tensor) -> Output:
        x = self.stem(_grow_to_least(image, 64))
        skips = []
        for dense, recalibrate, shrink in zip(self.down, self.recalibrate_down, self.shrink, strict=True):
            x = recalibrate(torch.cat([x, dense(x)], dim=1))
            skips.append(x)
            x = shrink(x)  # (N, C, H / 2^i, W / 2^i), rounded down
        new = self.bottleneck(x)
        for enlarge, dense, recalibrate in zip(self.enlarge, self.up, self.recalibrate_up, strict=True):
            skip = skips.pop()
            x = torch.cat([crop(enlarge(new), skip.shape[-2:]), skip], dim=1)
            new = recalibrate(dense(x) if skips else torch.cat([x, dense(x)], dim=1))
        return Output(crop(self.score(new), image.shape[-2:]))  # (N, K, H, W)


class _DenseBlock(nn.Module):
    """Layers that each see the input and all maps of the layers before; returns the new maps alone, (N, depth * growth, h, w)."""

    def __init__(self, channels: int, depth: int, growth: int, dropout: float, *, checkpointing: bool) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.layers = nn.ModuleList(_Layer(channels + index * growth, growth, dropout) for index in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(checkpointed(layer, *maps) if self.checkpointing else layer(*maps))
        return torch.cat(maps[1:], dim=1)


class _Layer(nn.Module):
    """Normalisation, ReLU, 3x3 convolution, dropout. It stacks its inputs itself: recomputed, the stacks need no memory."""

    def __init__(self, channels: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=1e-4)
        self.conv = nn.Conv2d(channels, growth, 3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, *maps: Tensor) -> Tensor:
        new: Tensor = self.dropout(self.conv(F.relu(self.norm(torch.cat(maps, dim=1)), inplace=True)))
        return new


class _TransitionDown(nn.Sequential):
    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__(
            nn.BatchNorm2d(channels, eps=1e-4),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
            nn.Dropout(dropout),
            nn.MaxPool2d(2),
        )


def _grow_to_least(image: Tensor, least: int) -> Tensor:
    bottom, right = (max(0, least - size) for size in image.shape[-2:])
    return reflect_border(image, top=0, bottom=bottom, left=0, right=right)


def _he_uniform_(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _forget_statistics(network: nn.Module) -> None:
    """Take the running statistics from every normalisation, which then uses those of the batch in evaluation as well."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
