"""Cross-entropy plus soft Dice: pixels one by one, and the overlap of whole classes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.losses.cross_entropy import CrossEntropyLoss, cross_entropy_loss
from intarsia.losses.dice import dice_loss

__all__ = ["CrossEntropyDiceLoss", "cross_entropy_dice_loss"]


class CrossEntropyDiceLoss(nn.Module):
    """`cross_entropy_dice_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        class_weight: weight of each class in the cross-entropy; None weighs all alike.
        smoothing: label smoothing of the cross-entropy, in [0, 1).
        dice_weight: factor of the Dice term, >= 0.
    """

    COUNTS_CLASSES_ALIKE = True

    def __init__(
        self,
        *,
        ignore_id: int,
        class_weight: Sequence[float] | Tensor | None = None,
        smoothing: float = 0.0,
        dice_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if dice_weight < 0:
            raise SettingsError(f"The weight of the Dice term is {dice_weight}; it cannot be negative.")
        self.cross_entropy = CrossEntropyLoss(ignore_id=ignore_id, class_weight=class_weight, smoothing=smoothing)
        self.dice_weight = dice_weight

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        settings = self.cross_entropy
        return cross_entropy_dice_loss(
            logits,
            label,
            ignore_id=settings.ignore_id,
            class_weight=settings.class_weight,
            smoothing=settings.smoothing,
            dice_weight=self.dice_weight,
        )


def cross_entropy_dice_loss(
    logits: Tensor,
    label: Tensor,
    *,
    ignore_id: int,
    class_weight: Tensor | None = None,
    smoothing: float = 0.0,
    dice_weight: float = 1.0,
) -> Tensor:
    """`loss = cross_entropy_loss + dice_weight * dice_loss`; see these two for their formulas.

    In [0, inf); 0 at a perfect prediction without smoothing. Without a valid pixel it is 0 and so is its gradient. Computed in
    float32. One logit (K = 1) is the score of class 1 against class 0.

    Source: the sum of both as in Isensee et al., "nnU-Net", Nature Methods 2021.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        class_weight: (K,), of the cross-entropy alone.
        smoothing: label smoothing of the cross-entropy, in [0, 1).
        dice_weight: factor of the Dice term.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together.
        SettingsError: another number of weights than of classes.
    """
    entropy = cross_entropy_loss(logits, label, ignore_id=ignore_id, class_weight=class_weight, smoothing=smoothing)
    return entropy + dice_weight * dice_loss(logits, label, ignore_id=ignore_id)
