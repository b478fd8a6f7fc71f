"""Cross-entropy with a weight for each pixel: U-Net's, which is large in the gaps between neighbouring objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from intarsia.core import SegmentationError
from intarsia.losses._pixels import mean_over_valid, pixel_cross_entropy, pixel_weights
from intarsia.losses._prepare import as_class_weight, need_class_weights, prepare

__all__ = ["BorderWeightedCrossEntropyLoss", "border_weighted_cross_entropy_loss"]


class BorderWeightedCrossEntropyLoss(nn.Module):
    """`border_weighted_cross_entropy_loss` with its settings; the weights come from `data.targets.border_weights`.

    Args:
        ignore_id: label value of pixels without truth.
        class_weight: weight of each class away from the borders; None is 1 for each.
    """

    TARGETS: ClassVar[tuple[str, ...]] = ("border_weights",)
    class_weight: Tensor | None

    def __init__(self, *, ignore_id: int, class_weight: Sequence[float] | Tensor | None = None) -> None:
        super().__init__()
        self.ignore_id = ignore_id
        self.register_buffer("class_weight", as_class_weight(class_weight), persistent=False)

    def forward(self, logits: Tensor, label: Tensor, border_weights: Tensor) -> Tensor:
        return border_weighted_cross_entropy_loss(
            logits, label, border_weights, ignore_id=self.ignore_id, class_weight=self.class_weight
        )


def border_weighted_cross_entropy_loss(
    logits: Tensor, label: Tensor, border_weights: Tensor, *, ignore_id: int, class_weight: Tensor | None = None
) -> Tensor:
    """`loss = mean over valid pixels i of (class_weight[y_i] + border_weights[i]) (-log p[i, y_i])`, p = softmax(logits).

    The paper sums where this takes the mean, which is the same for tiles of one size and another learning rate. The divisor is
    the number of pixels and not their weight, so that a tile with many gaps weighs more than one without.

    In [0, inf); 0 at a perfect prediction. Without a valid pixel it is 0 and so is its gradient. Computed in float32. One logit
    (K = 1) is the score of class 1 against class 0. Where a pixel can have several classes, all of them share its border weight.

    Source: Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, equations 1 and 2, where class_weight is w_c.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        border_weights: (N, H, W) >= 0, what is added to the weight of each pixel; any map will do.
        ignore_id: label value of pixels that do not count.
        class_weight: (K,), 1 for each class by default.

    Raises:
        SegmentationError: shapes that do not fit together, or labels that are no class.
        SettingsError: another number of weights than of classes.
    """
    given = prepare(logits, label, ignore_id)
    expected = (logits.shape[0], *logits.shape[2:])
    if border_weights.shape != expected:
        raise SegmentationError(
            f"The border weights have shape {tuple(border_weights.shape)}; {expected}, one for each pixel, fits the logits."
        )
    border = border_weights.to(given.logits.dtype)
    weight = 1.0 if class_weight is None else pixel_weights(given, need_class_weights(class_weight, given))
    weight = weight + (border.unsqueeze(1) if given.multi_label else border)
    return mean_over_valid(weight * pixel_cross_entropy(given), given.valid)
