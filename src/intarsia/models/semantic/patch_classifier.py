"""Patch classifier: a small network slides over the image and names the pixel in the middle of its window, at several scales.

Farabet, Couprie, Najman, LeCun: Learning Hierarchical Features for Scene Labeling. PAMI 2013.

Idea: a classifier of windows becomes a segmenter when a window is put around every pixel. Windows of one size cut from three
levels of a pyramid, read by one network with the same weights, show the pixel with little, more and much around it. Neighbouring
windows share nearly all of their arithmetic: run as convolutions over whole levels, the network gives the same numbers as window
by window, many times faster.

    image -> YUV -> Laplacian pyramid -> local contrast -.
          ,----------------------------------------------'
          |-> level 0 -> 7x7, 16, tanh, pool -> 7x7, 64, tanh, pool -> 7x7, 256 -.
          |-> level 1 ->          the same network                   -> 256, x2 -+-> 1x1, 1024, tanh -> 1x1, K -> (N, K, H, W)
          `-> level 2 ->          the same network                   -> 256, x4 -'   at stride 4, or 1

Source: sections 3 and 4: windows of 46 pixels on levels 0, 1, 2 of the pyramid (46, 92 and 184 pixels of the image); 10 of the
first maps see Y and 6 see U and V; each of the second maps sees 8 of the first, each of the third 32 of the second, drawn once; a
linear classifier to learn the features, then one with a hidden layer.
Deviations:
    * The answer is the classifier's. Superpixels, the graph's cuts and the cover of a segmentation tree are not the network's.
    * Levels are enlarged by repeating pixels, which is what windows around a pixel mean; the paper does not say how.
    * Images of other than three channels have no YUV: every first map sees all channels.
    * Training is on whole images, not on one window at a time; the weights of classes take the place of drawing windows evenly.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.ops.laplacian_pyramid import laplacian_pyramid
from intarsia.ops.local_contrast import normalize_local_contrast
from intarsia.ops.reflect import crop, reflect_border

__all__ = ["PatchClassifier"]

WINDOW, CENTRE = 46, 23
"""Side of a window, and which of its pixels is the one that it is put around."""


class PatchClassifier(nn.Module):
    """The multi-scale network of Farabet et al., as a sliding window.

    Args:
        num_classes: K.
        in_channels: of the image.
        stride: pixels of a level from window to window. 4 is what the two poolings make of it, as in the paper; at 1 a window
            lies around every pixel. The weights are the same.
        scales: levels of the pyramid.
        maps: of the three convolutions.
        connections: "sparse": half of the maps before, drawn once; "dense": all.
        classifier: "mlp" with a hidden layer, or "linear", with which the features are learnt.
        hidden: units of the hidden layer.
    """

    TINY: ClassVar[dict[str, Any]] = {"maps": (16, 16, 32), "hidden": 64}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        stride: Literal[4, 1] = 4,
        scales: int = 3,
        maps: tuple[int, ...] = (16, 64, 256),
        connections: Literal["sparse", "dense"] = "sparse",
        classifier: Literal["mlp", "linear"] = "mlp",
        hidden: int = 1024,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.scales = scales
        self.features = _Features(in_channels, maps, connections == "sparse")
        column = scales * maps[-1]
        self.classify = (
            nn.Sequential(nn.Conv2d(column, hidden, 1), nn.Tanh(), nn.Conv2d(hidden, num_classes, 1))
            if classifier == "mlp"
            else nn.Conv2d(column, num_classes, 1)
        )

    def forward(self, image: Tensor) -> Output:
        size = [(side + self.stride - 1) // self.stride for side in image.shape[-2:]]
        columns = []
        for level, band in enumerate(self.levels(image)):
            feature = self.features(_windows_border(band, self.stride), dense=self.stride == 1)  # at stride `stride` 2^level
            columns.append(crop(_repeat(feature, 2**level), size))
        score = self.classify(torch.cat(columns, dim=1))  # (N, 768, H/4, W/4) to (N, K, H/4, W/4)
        return Output(crop(_repeat(score, self.stride), image.shape[-2:]))

    def levels(self, image: Tensor) -> list[Tensor]:
        """What the network reads: bands (N, C, ceil(H / 2^level), ceil(W / 2^level)) of locally normalised contrast."""
        if image.shape[1] == 3:
            red, green, blue = image.unbind(1)
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            image = torch.stack([luma, blue - luma, red - luma], dim=1)  # scales go with the contrast
        return [normalize_local_contrast(band) for band in laplacian_pyramid(image, self.scales)]

    @torch.no_grad()
    def classify_windows(self, image: Tensor, *, batch: int = 256) -> Tensor:
        """The slow way: cut the windows around every pixel out of the levels and run the network on each by itself.

        Equal to `forward` at stride 1, and here to show what that saves.

        Args:
            image: (N, C, H, W).
            batch: pixels whose windows are run together.

        Returns:
            Scores (N, K, H, W).
        """
        count, _, height, width = image.shape
        cut = [_windows_border(band, 1).unfold(2, WINDOW, 1).unfold(3, WINDOW, 1) for band in self.levels(image)]
        pixels = torch.cartesian_prod(*(torch.arange(side, device=image.device) for side in (count, height, width)))
        scores = []
        for index, row, column in (chunk.unbind(1) for chunk in torch.split(pixels, batch)):
            windows = [band[index, :, row >> level, column >> level] for level, band in enumerate(cut)]  # (batch, C, 46, 46) each
            columns = [self.features(window, dense=False) for window in windows]  # (batch, 256, 1, 1)
            scores.append(self.classify(torch.cat(columns, dim=1)).flatten(1))
        return torch.cat(scores).view(count, height, width, -1).movedim(-1, 1)


class _Features(nn.Module):
    """Three convolutions with two poolings between, of windows (N, C, 46, 46) to (N, 256, 1, 1), or of a whole level at once."""

    def __init__(self, in_channels: int, maps: tuple[int, ...], sparse: bool) -> None:
        super().__init__()
        first, second, third = maps
        luma = first * 5 // 8  # 10 of 16
        self.split = {1: luma, 2: first - luma} if sparse and in_channels == 3 else {in_channels: first}
        self.first = nn.ModuleList(_Conv(channels, channels, seen) for channels, seen in self.split.items())
        self.second = _Conv(first, first // 2 if sparse else first, second)
        self.third = _Conv(second, second // 2 if sparse else second, third)

    def forward(self, x: Tensor, *, dense: bool) -> Tensor:
        """With `dense`, poolings keep every place and what follows steps over those between: the same windows, at each pixel.

        tanh comes after pooling, for the same values from a quarter of the work.
        """
        parts = zip(self.first, torch.split(x, list(self.split), dim=1), strict=True)
        pooled = _pool(torch.cat([conv(part) for conv, part in parts], dim=1), 1, dense)
        pooled = _pool(self.second(pooled.tanh(), 2 if dense else 1), 2, dense)
        feature: Tensor = self.third(pooled.tanh(), 4 if dense else 1)
        return feature


class _Conv(nn.Module):
    """A 7x7 convolution whose maps each see `fan` of the maps before; only the kernels that exist are kept.

    Which ones is drawn from a fixed seed, and part of the state.
    """

    table: Tensor | None

    def __init__(self, before: int, fan: int, maps: int) -> None:
        super().__init__()
        self.before = before
        conv = nn.Conv2d(fan, maps, 7)  # for its initial values: uniform, up to 1 / sqrt(49 fan), as Torch's were
        self.weight, self.bias = conv.weight, conv.bias
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.randperm(before, generator=generator, device="cpu")[:fan] for _ in range(maps)]
        self.register_buffer("table", None if fan == before else torch.stack(drawn).to(self.weight.device))

    def forward(self, x: Tensor, dilation: int = 1) -> Tensor:
        weight: Tensor = self.weight
        if self.table is not None:
            empty = weight.new_zeros(len(weight), self.before, 7, 7)
            weight = empty.scatter(1, self.table[..., None, None].expand_as(weight), weight)
        return F.conv2d(x, weight, self.bias, dilation=dilation)


def _pool(x: Tensor, dilation: int, dense: bool) -> Tensor:
    return F.max_pool2d(x, 2, stride=1, dilation=dilation) if dense else F.max_pool2d(x, 2)


def _windows_border(band: Tensor, stride: int) -> Tensor:
    """Mirror a border around a level, so that one window lies around each `stride` x `stride` pixels, as centred as it can."""
    before = CENTRE - stride // 2
    after = [WINDOW + stride * ((side - 1) // stride) - before - side for side in band.shape[-2:]]
    return reflect_border(band, top=before, bottom=after[0], left=before, right=after[1])


def _repeat(x: Tensor, times: int) -> Tensor:
    return x if times == 1 else F.interpolate(x, scale_factor=float(times), mode="nearest")
