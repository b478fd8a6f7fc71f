"""Local contrast normalisation: each pixel by the mean and the deviation of its surroundings."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from intarsia.ops.reflect import reflect_border

__all__ = ["normalize_local_contrast"]


def normalize_local_contrast(image: Tensor, size: int = 15) -> Tensor:
    """Take the local mean off each channel of (N, C, H, W) and divide by the local deviation; a flat channel becomes zero.

    With v = x - mean(x) and s = sqrt(mean(v^2)), means over windows of `size` x `size` pixels, mirrored at the borders, the
    result is v / max(s, mean of s over the channel), so that the noise of flat regions is not blown up.

    Source: Jarrett, Kavukcuoglu, Ranzato, LeCun: What is the Best Multi-Stage Architecture for Object Recognition? 2009, section
    2, with a box in place of its Gaussian and by channel, as Farabet et al. 2013 have it.
    """
    centred = image - _local_mean(image, size)
    deviation = (_local_mean(centred.square(), size) + 1e-12).sqrt()
    return centred / deviation.maximum(deviation.mean((-2, -1), keepdim=True)).clamp_min(1e-6)


def _local_mean(x: Tensor, size: int) -> Tensor:
    before, after = size // 2, (size - 1) // 2
    return F.avg_pool2d(reflect_border(x, top=before, bottom=after, left=before, right=after), size, stride=1)
