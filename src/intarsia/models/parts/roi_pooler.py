"""Pooling of regions from the maps of a pyramid, each region from the level of its size.

Lin, Dollar, Girshick, He, Hariharan, Belongie: Feature Pyramid Networks for Object Detection. CVPR 2017.

Source: equation 1: level = floor(4 + log2(sqrt(area) / 224)), within the levels that there are, level l having stride 2^l.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.ops.poolers import LevelMapper

from intarsia.ops.roi_align import roi_align
from intarsia.ops.roi_pool import roi_pool

__all__ = ["RoIPooler"]


class RoIPooler(nn.Module):
    """Regions of maps, [(N, C, h_i, w_i)] and boxes [(R_n, 4)] of each image -> (sum of R_n, C, size, size).

    Args:
        strides: of the maps, in pixels of the image, doubling from each to the next.
        size: of the pooled region.
        kind: "align" or "pool", see `ops.roi_align` and `ops.roi_pool`.
        aligned, reduce: of RoIAlign.
    """

    def __init__(
        self,
        strides: Sequence[int],
        size: int,
        *,
        kind: Literal["align", "pool"] = "align",
        aligned: bool = True,
        reduce: Literal["mean", "max"] = "mean",
    ) -> None:
        super().__init__()
        self.strides, self.size_hw, self.kind, self.aligned, self.reduce = tuple(strides), (size, size), kind, aligned, reduce
        self.level_of = LevelMapper(strides[0].bit_length() - 1, strides[-1].bit_length() - 1)

    def forward(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        image = [torch.full_like(of_image[:, :1], number) for number, of_image in enumerate(boxes)]
        regions = torch.cat([torch.cat(image), torch.cat(list(boxes))], 1)  # (R, 5)
        if len(maps) == 1:
            return self._pool(maps[0], regions, self.strides[0])
        level = self.level_of(list(boxes))
        pooled = maps[0].new_zeros(len(regions), maps[0].shape[1], *self.size_hw)
        for number, (x, stride) in enumerate(zip(maps, self.strides, strict=True)):
            chosen = torch.where(level == number)[0]
            pooled = pooled.index_copy(0, chosen, self._pool(x, regions[chosen], stride).to(pooled.dtype))
        return pooled

    def _pool(self, x: Tensor, regions: Tensor, stride: int) -> Tensor:
        x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x  # in which boxes would be off by pixels
        if self.kind == "pool":
            return roi_pool(x, regions, self.size_hw, scale=1 / stride)
        return roi_align(x, regions, self.size_hw, scale=1 / stride, aligned=self.aligned, reduce=self.reduce)
