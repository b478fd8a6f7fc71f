"""Boundary-aware loss of instance heads with two channels: objects, and the borders where they touch."""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.core import SegmentationError, SettingsError
from intarsia.losses._overlap import soft_overlap
from intarsia.losses._pixels import pixel_cross_entropy
from intarsia.losses._prepare import prepare
from intarsia.ops.over_processes import sum_over_processes

__all__ = ["BoundaryAwareLoss", "boundary_aware_loss", "channel_losses"]


class BoundaryAwareLoss(nn.Module):
    """`boundary_aware_loss` with its settings; its target comes from `data.targets.touching_borders`.

    Args:
        balance: weight of the cross-entropy against the overlap, in [0, 1].
        ignore_id: target value of pixels without truth.
    """

    def __init__(self, *, balance: float = 0.7, ignore_id: int = 255) -> None:
        super().__init__()
        if not 0 <= balance <= 1:
            raise SettingsError(f"The balance of the boundary-aware loss is {balance}; it is a share from 0 to 1, such as 0.7.")
        self.balance, self.ignore_id = balance, ignore_id

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return boundary_aware_loss(logits, target, balance=self.balance, ignore_id=self.ignore_id)


def boundary_aware_loss(logits: Tensor, target: Tensor, *, balance: float = 0.7, ignore_id: int = 255) -> Tensor:
    """Cross-entropy and soft Jaccard of objects and of touching borders, each channel by itself.

    With q = sigmoid(logits), t the target, i running over the valid pixels of the batch, and the two channels k:

        entropy[k] = mean_i of -(t log q + (1 - t) log(1 - q))
        overlap[k] = 1 - sum_i q t / (sum_i q + sum_i t - sum_i q t)    0 of a channel without truth, as borders often are
        loss       = mean over k of balance entropy[k] + (1 - balance) overlap[k]

    In [0, inf); 0 at a perfect prediction. Without a valid pixel it is 0 and so is its gradient. Computed in float32.

    Source: Iglovikov et al., "TernausNetV2", CVPR workshops 2018, section 3.

    Args:
        logits: (N, 2, H, W), scores of object and border.
        target: (N, 2, H, W) of 0 and 1, or `ignore_id`.
        balance: in [0, 1].
        ignore_id: target value of pixels that do not count.

    Raises:
        SegmentationError: other shapes, or target values that are neither.
    """
    if logits.ndim != 4 or logits.shape[1] != 2 or logits.shape != target.shape:
        raise SegmentationError(
            f"The logits have shape {tuple(logits.shape)} and the target {tuple(target.shape)}; both are (N, 2, H, W), objects "
            "and the borders where they touch."
        )
    return channel_losses(logits, target, balance=balance, ignore_id=ignore_id).mean()


def channel_losses(logits: Tensor, target: Tensor, *, balance: float = 0.7, ignore_id: int = 255) -> Tensor:
    """(C,) `balance entropy[k] + (1 - balance) overlap[k]`, as in `boundary_aware_loss`, of logits (N, C, H, W)."""
    given = prepare(logits, target, ignore_id)
    pixels = sum_over_processes(given.valid.to(given.logits.dtype).sum((0, 2, 3)))
    entropy = sum_over_processes(pixel_cross_entropy(given).sum((0, 2, 3))) / pixels.clamp(min=1)
    both, predicted, truth = soft_overlap(given)
    jaccard = both / (predicted + truth.clamp(min=1) - both)
    overlap = (1 - jaccard) * (truth > 0)
    return balance * entropy + (1 - balance) * overlap
