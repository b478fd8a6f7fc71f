"""The changes of `transforms`, made of a whole batch at once on the device where it lies.

The same draws give the same crops: labels to the pixel, images to the rounding of integers, which are not rounded here. A scaled
and cropped image is `rows @ image @ columns.T`, where each row of `rows` holds the weights of the pixels that one pixel of the
crop is made of; padding is a row of zeros, and a mirror image turns `columns` round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intarsia.data.transforms import GREY, Draw, window

__all__ = ["augment_batch"]


def augment_batch(
    images: Tensor, labels: Tensor, draws: Sequence[Draw], crop_hw: tuple[int, int], ignore_id: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale, crop, mirror and recolour each sample as its draw says.

    Args:
        images: (N, C, H, W) uint8, uint16 or float32.
        labels: (N, H, W) integer ids.
        draws: N of them, see `Augmentation.draw`.
        crop_hw: size of what comes out.
        ignore_id: what the label holds where a crop leaves the image.

    Returns:
        images (N, C, h, w) float32 on the scale of what came in, labels (N, h, w) of their own dtype, and inside (N, h, w) bool,
        False where a crop left the image.
    """
    device = images.device
    seen = [
        [
            window(length, crop, draw.zoom, place)
            for length, crop, place in zip(images.shape[-2:], crop_hw, draw.place_yx, strict=True)
        ]
        for draw in draws
    ]
    # As in `resize_image`: areas are averaged along both axes where one of them shrinks.
    shrinks = [any(taken.stop - taken.start > put.stop - put.start for taken, put in axes) for axes in seen]
    rows = _Axis.of([axes[0] for axes in seen], crop_hw[0], [False] * len(draws), device)
    columns = _Axis.of([axes[1] for axes in seen], crop_hw[1], [draw.mirror for draw in draws], device)
    area = torch.tensor(shrinks, device=device)

    inside = rows.inside[:, :, None] & columns.inside[:, None, :]
    sample = torch.arange(len(draws), device=device)[:, None, None]
    label = labels[sample, rows.nearest()[:, :, None], columns.nearest()[:, None, :]]
    label = torch.where(inside, label, torch.full_like(label, ignore_id))
    with torch.autocast(device.type, enabled=False):
        down = rows.weights(images.shape[-2], area)[:, None]
        across = columns.weights(images.shape[-1], area)[:, None]
        image = down @ images.float() @ across.transpose(-1, -2)
        image = _shift_colors(image, draws, None if images.is_floating_point() else torch.iinfo(images.dtype).max)
    return image, label, inside


@dataclass(frozen=True)
class _Axis:
    """One axis of N crops: where it looks, all as (N, 1) or (N, crop) int64.

    low, taken: first pixel of the image that is seen, and how many are.
    put: to how many pixels of the crop.
    at: which of these a pixel of the crop is; below 0 or from `put` on it is padding.
    """

    low: Tensor
    taken: Tensor
    put: Tensor
    at: Tensor

    @classmethod
    def of(cls, seen: Sequence[tuple[slice, slice]], crop: int, mirrors: Sequence[bool], device: torch.device) -> _Axis:
        numbers = [(s.start, s.stop - s.start, p.start, p.stop - p.start, m) for (s, p), m in zip(seen, mirrors, strict=True)]
        low, taken, first, put, mirror = torch.tensor(numbers, device=device).T[:, :, None]
        place = torch.arange(crop, device=device)
        return cls(low, taken, put, torch.where(mirror > 0, crop - 1 - place, place) - first)

    @property
    def inside(self) -> Tensor:
        return (self.at >= 0) & (self.at < self.put)

    def nearest(self) -> Tensor:
        """(N, crop) the pixel whose square the centre of a pixel of the crop lies in, as in `resize_label`."""
        return self.low + ((2 * self.at + 1) * self.taken // (2 * self.put)).clamp(0).minimum(self.taken - 1)

    def weights(self, length: int, area: Tensor) -> Tensor:
        """(N, crop, length) shares of the image's pixels in those of the crop, as in `resize_image`.

        Args:
            length: of the image.
            area: (N,) bool; True: by how much of a pixel lies in one of the crop; False: bilinear, centres at half.
        """
        step, at = self.taken / self.put, self.at[:, :, None]
        pixel = torch.arange(length, device=self.low.device) - self.low[:, :, None]
        left = at * step[:, :, None]
        right = left + step[:, :, None]
        shared = (torch.minimum(right, pixel + 1) - torch.maximum(left, pixel)).clamp(0) / step[:, :, None]
        centre = ((left + right - 1) / 2).clamp(0).minimum(self.taken[:, :, None] - 1)
        linear = (1 - (pixel - centre).abs()).clamp(0)
        return torch.where(area[:, None, None], shared, linear) * self.inside[:, :, None]


def _shift_colors(images: Tensor, draws: Sequence[Draw], largest: int | None) -> Tensor:
    """`shift_color` of (N, C, h, w) float32; up to `largest`, where there is a range."""
    shifts = [draw.color for draw in draws if draw.color is not None]
    if len(shifts) < len(draws):
        return images
    numbers = [(s.contrast, s.saturation, *(s.brightness * gain for gain in s.gain)) for s in shifts]
    contrast, saturation, *gain = torch.tensor(numbers, device=images.device).T[:, :, None, None, None]
    if images.shape[1] == 3:
        grey = (images * images.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
        images = grey + saturation * (images - grey)
    mean = images.mean((2, 3), keepdim=True)
    images = (mean + contrast * (images - mean)) * torch.cat(gain, 1)
    return images if largest is None else images.clamp(0, largest)
