"""Pixelwise cross-entropy, with class weights, an ignored label and label smoothing."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.losses._pixels import mean_over, mean_over_valid, pixel_cross_entropy, pixel_weights
from intarsia.losses._prepare import Prepared, as_class_weight, need_class_weights, prepare

__all__ = ["CrossEntropyLoss", "cross_entropy_loss"]


class CrossEntropyLoss(nn.Module):
    """`cross_entropy_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        class_weight: weight of each class; None weighs all alike.
        smoothing: share of the target spread evenly over all classes, in [0, 1).
    """

    class_weight: Tensor | None

    def __init__(self, *, ignore_id: int, class_weight: Sequence[float] | Tensor | None = None, smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise SettingsError(f"The label smoothing is {smoothing}; it is a share in [0, 1), such as 0.1.")
        self.ignore_id = ignore_id
        self.smoothing = smoothing
        self.register_buffer("class_weight", as_class_weight(class_weight), persistent=False)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return cross_entropy_loss(
            logits, label, ignore_id=self.ignore_id, class_weight=self.class_weight, smoothing=self.smoothing
        )


def cross_entropy_loss(
    logits: Tensor, label: Tensor, *, ignore_id: int, class_weight: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of the softmax over classes, averaged over the valid pixels.

    With p = softmax(logits), y the label, w the class weights, s the smoothing, i running over valid pixels and k over classes:

        loss = sum_i [(1 - s) w[y_i] (-log p[i, y_i]) + s / K sum_k w[k] (-log p[i, k])] / sum_i w[y_i]

    The divisor is the weight of the valid pixels, not their number, as in `torch.nn.CrossEntropyLoss`: scaling all weights
    changes nothing, and a batch that consists of a rare class alone weighs no more than another.

    In [0, inf); 0 at a perfect prediction without smoothing, at best the entropy of the smoothed target with it. Without a valid
    pixel it is 0 and so is its gradient. Computed in float32. One logit (K = 1) is the score of class 1 against class 0, with
    labels 0 and 1 and two weights: binary cross-entropy. Where a pixel can have several classes, it is the mean of that over all
    pixels and classes, with a weight for each class.

    Source: smoothing as in Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        class_weight: (K,).
        smoothing: in [0, 1).

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
        SettingsError: another number of weights than of classes.
    """
    given = prepare(logits, label, ignore_id)
    weight = None if class_weight is None else need_class_weights(class_weight, given)
    entropy = _smoothed(given, weight, smoothing) if smoothing else pixel_cross_entropy(given)
    if weight is None:
        return mean_over_valid(entropy, given.valid)
    weights = pixel_weights(given, weight)
    return mean_over(entropy if smoothing else weights * entropy, weights)


def _smoothed(given: Prepared, class_weight: Tensor | None, smoothing: float) -> Tensor:
    """The bracket of the formula at each pixel, in the shape of the label."""
    logits, label, valid, ignore_id = given
    if not given.by_sigmoid:
        return F.cross_entropy(
            logits, label, weight=class_weight, ignore_index=ignore_id, reduction="none", label_smoothing=smoothing
        )
    yes = label * (1 - smoothing) + smoothing / 2
    there, absent = yes * F.softplus(-logits), (1 - yes) * F.softplus(logits)
    if class_weight is None:
        return (there + absent) * valid
    if given.multi_label:
        return (there + absent) * class_weight.view(-1, 1, 1) * valid
    return (class_weight[1] * there + class_weight[0] * absent) * valid
