"""Pyramid pooling: one map averaged over grids of few cells, and all grids laid beside it.

Zhao, Shi, Qi, Wang, Jia: Pyramid Scene Parsing Network. CVPR 2017.

            -> 1x1 cells -> 1x1 -> resize ->
    feature -> 2x2 cells -> 1x1 -> resize -> concat
            -> 3x3 cells -> 1x1 -> resize ->
            -> 6x6 cells -> 1x1 -> resize ->
            ------------------------------->

Source: section 3.2, figure 3; average pooling and the order of the concatenation as in the authors' PyTorch code. Each
convolution is followed by batch normalisation and ReLU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.ops.cell_averages import cell_shares, is_exporting
from intarsia.ops.resize import resize_bilinear

__all__ = ["PyramidPooling"]


class PyramidPooling(nn.Module):
    """Pyramid pooling, (N, C, h, w) -> (N, C + len(bins) * (C // len(bins)), h, w): the map first, then its grids.

    Args:
        in_channels: C.
        bins: cells along each side of the grids. Where h or w is no multiple, neighbouring cells share a row or column.
        norm_of_one: False: the grid of one cell has a bias in place of its normalisation.
    """

    def __init__(self, in_channels: int, *, bins: tuple[int, ...] = (1, 2, 3, 6), norm_of_one: bool = True) -> None:
        super().__init__()
        channels = in_channels // len(bins)
        self.out_channels = in_channels + len(bins) * channels
        self.grids = nn.ModuleList(
            nn.Sequential(
                _AverageCells(cells),
                nn.Conv2d(in_channels, channels, 1, bias=not norm),
                _BatchNorm(channels) if norm else nn.Identity(),
                nn.ReLU(inplace=True),
            )
            for cells, norm in ((cells, norm_of_one or cells > 1) for cells in bins)
        )

    def forward(self, feature: Tensor) -> Tensor:
        size_hw = feature.shape[-2:]
        grids = [resize_bilinear(grid(feature), size_hw, align_corners=True) for grid in self.grids]
        return torch.cat([feature, *grids], dim=1)


class _AverageCells(nn.AdaptiveAvgPool2d):
    """Its layer itself, and where a graph is made for maps of any size, matrix products of the same result."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 the name that nn.AdaptiveAvgPool2d gives it
        cells = self.output_size
        if cells == 1 or not isinstance(cells, int) or not is_exporting():
            return super().forward(input)
        index = torch.arange(cells, device=input.device)
        rows, columns = (
            cell_shares(index * side // cells, ((index + 1) * side + cells - 1) // cells, side).to(input.dtype)
            for side in input.shape[-2:]
        )
        return rows @ input @ columns.T


class _BatchNorm(nn.BatchNorm2d):
    """Normalisation by the running statistics where there is one value only, as in the grid of one cell of one image.

    No variance can be taken of it; the running statistics then stay as they are.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 the name that nn.BatchNorm2d gives it
        if self.training and input[:, 0].numel() == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)
