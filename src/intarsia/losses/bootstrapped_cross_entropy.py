"""Bootstrapped cross-entropy: the mean over the worst pixels of each image."""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.losses._pixels import mean_over, pixel_cross_entropy
from intarsia.losses._prepare import prepare

__all__ = ["BootstrappedCrossEntropyLoss", "bootstrapped_cross_entropy_loss"]


class BootstrappedCrossEntropyLoss(nn.Module):
    """`bootstrapped_cross_entropy_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        pixels: how many of each image count, > 0.
    """

    def __init__(self, *, ignore_id: int, pixels: int = 32768) -> None:
        super().__init__()
        if pixels < 1:
            raise SettingsError(f"The pixels that count in each image are {pixels}; at least 1 is expected, such as 32768.")
        self.ignore_id, self.pixels = ignore_id, pixels

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return bootstrapped_cross_entropy_loss(logits, label, ignore_id=self.ignore_id, pixels=self.pixels)


def bootstrapped_cross_entropy_loss(logits: Tensor, label: Tensor, *, ignore_id: int, pixels: int = 32768) -> Tensor:
    """`loss = mean over images of the mean over the worst pixels of -log p[y]`, p = softmax(logits), y the label.

    The worst are the `pixels` valid ones of an image that have the largest -log p[y], or all if there are fewer; images without a
    valid pixel do not count. `ohem_cross_entropy_loss` chooses by a probability, and from the whole batch.

    In [0, inf), never less than `cross_entropy_loss` of the image; 0 at a perfect prediction. Without a valid pixel it is 0 and
    so is its gradient. Computed in float32. One logit (K = 1) is the score of class 1 against class 0. Where a pixel can have
    several classes, each decision is one of the `pixels`.

    Source: Pohlen et al., "Full-Resolution Residual Networks", CVPR 2017, section 4, after Wu, Shen, van den Hengel 2016. Their
    divisor is always the full number of pixels, and in an image with fewer valid ones the others enter it as 0.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        pixels: of each image.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
    """
    given = prepare(logits, label, ignore_id)
    entropy = pixel_cross_entropy(given).flatten(1)  # 0 without truth, so that no such pixel adds to the sum
    worst = entropy.topk(min(pixels, entropy.shape[1]), sorted=False).values
    count = given.valid.flatten(1).sum(1).clamp(max=pixels)
    return mean_over(worst.sum(1) / count.clamp(min=1), count > 0)
