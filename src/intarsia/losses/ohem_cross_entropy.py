"""Online hard example mining: the mean over the pixels of the batch that the network is not sure of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.losses._pixels import mean_over, mean_over_valid, pixel_cross_entropy, pixel_weights
from intarsia.losses._prepare import as_class_weight, need_class_weights, prepare

__all__ = ["OHEMCrossEntropyLoss", "ohem_cross_entropy_loss"]


class OHEMCrossEntropyLoss(nn.Module):
    """`ohem_cross_entropy_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        class_weight: weight of each class; None weighs all alike.
        threshold: pixels whose true class has at most this probability count, in (0, 1].
        min_kept: so many pixels of the batch count at least, >= 0.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        *,
        ignore_id: int,
        class_weight: Sequence[float] | Tensor | None = None,
        threshold: float = 0.7,
        min_kept: int = 100_000,
    ) -> None:
        super().__init__()
        if not 0 < threshold <= 1:
            raise SettingsError(f"The threshold of hard pixels is {threshold}; it is a probability above 0, such as 0.7.")
        if min_kept < 0:
            raise SettingsError(f"The pixels to keep at least are {min_kept}; 0 or more is expected, such as 100000.")
        self.ignore_id, self.threshold, self.min_kept = ignore_id, threshold, min_kept
        self.register_buffer("class_weight", as_class_weight(class_weight), persistent=False)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return ohem_cross_entropy_loss(
            logits,
            label,
            ignore_id=self.ignore_id,
            class_weight=self.class_weight,
            threshold=self.threshold,
            min_kept=self.min_kept,
        )


def ohem_cross_entropy_loss(
    logits: Tensor,
    label: Tensor,
    *,
    ignore_id: int,
    class_weight: Tensor | None = None,
    threshold: float = 0.7,
    min_kept: int = 100_000,
) -> Tensor:
    """`loss = sum over kept pixels of w[y] (-log p[y]) / sum over kept pixels of w[y]`, p = softmax(logits), y the label.

    Kept are the valid pixels with p[y] <= threshold, and the `min_kept` of the batch (of this process) with the smallest p[y],
    which are all if there are fewer; of equal ones none is left out. The original keeps p < max(threshold, the min_kept-th p),
    which drops the last of them, and all where they are equal.

    In [0, inf); 0 at a perfect prediction. Without a valid pixel, or with none kept, it is 0 and so is its gradient. Computed in
    float32. One logit (K = 1) is the score of class 1 against class 0. Where a pixel can have several classes, each decision is
    kept or not.

    Source: Shrivastava, Gupta, Girshick, "Training Region-based Object Detectors with Online Hard Example Mining", CVPR 2016; for
    pixels, and with these two bounds, in the code of HRNet (Wang et al. 2019).

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        class_weight: (K,); it does not decide what is kept.
        threshold: in (0, 1].
        min_kept: >= 0.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
        SettingsError: another number of weights than of classes.
    """
    given = prepare(logits, label, ignore_id)
    entropy = pixel_cross_entropy(given)
    hardness = entropy.detach().where(given.valid, -1.0)
    kept = ~(hardness < -math.log(threshold))  # so that NaN is kept, and seen
    if min_kept := min(min_kept, hardness.numel()):
        kept |= ~(hardness < hardness.flatten().topk(min_kept, sorted=False).values.min())
    kept &= given.valid
    if class_weight is None:
        return mean_over_valid(torch.where(kept, entropy, 0.0), kept)
    weights = torch.where(kept, pixel_weights(given, need_class_weights(class_weight, given)), 0.0)
    return mean_over(weights * entropy, weights)
