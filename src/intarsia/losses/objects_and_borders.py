"""Loss of TernausNetV2: objects of each class of things, and the borders where they touch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from intarsia.core import Output, SegmentationError, SettingsError
from intarsia.losses.boundary_aware import channel_losses

__all__ = ["objects_and_borders_loss"]

OBJECT_LOSS = True


def objects_and_borders_loss(output: Output, targets: Mapping[str, Tensor], *, balance: float = 0.7) -> dict[str, Tensor]:
    """`boundary_aware_loss` of a network for any number of classes of things, in its two terms.

    With C[k] = balance entropy[k] + (1 - balance) overlap[k] of each channel, T of objects and the last of borders:

        objects = mean over k < T of C[k] / 2
        borders = C[T] / 2

    Each in [0, inf), 0 at a perfect prediction and without a valid pixel. Computed in float32. The overlap of a channel of which
    the batch has none is left out, so that images without objects train.

    Source: Iglovikov et al., "TernausNetV2", CVPR workshops 2018, section 3, which has one class; balance 0.7 is the authors'.

    Args:
        output: logits (N, T + 1, H, W).
        targets: "touching_borders" (N, T + 1, H, W) of 0, 1, and 255 where nothing is known.
        balance: weight of the cross-entropy against the overlap, in [0, 1].

    Raises:
        SegmentationError: the network has another number of channels than the target.
        SettingsError: the balance is no share.
    """
    if not 0 <= balance <= 1:
        raise SettingsError(f"The balance of the loss objects_and_borders is {balance}; it is a share from 0 to 1, such as 0.7.")
    target = targets["touching_borders"]
    if output.logits.shape != target.shape:
        raise SegmentationError(
            f"The logits have shape {tuple(output.logits.shape)} and the target {tuple(target.shape)}; both are (N, T + 1, H, W) "
            "for T classes of things. The network was probably made for another number of them."
        )
    channels = channel_losses(output.logits, target, balance=balance)
    return {"objects": channels[:-1].mean() / 2, "borders": channels[-1] / 2}
