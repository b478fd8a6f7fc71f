"""Loss of Panoptic FPN: things as in Mask R-CNN, and a map of the stuff."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from intarsia.core import Output, SegmentationError
from intarsia.losses.boxes_and_masks import boxes_and_masks_loss
from intarsia.losses.cross_entropy import cross_entropy_loss

__all__ = ["things_and_stuff_loss"]

OBJECT_LOSS = True

VOID = 255
"""In the target `stuff`."""


def things_and_stuff_loss(
    output: Output, targets: Mapping[str, Tensor], *, things_weight: float = 1.0, stuff_weight: float = 0.5
) -> dict[str, Tensor]:
    """The five terms of `boxes_and_masks_loss` times `things_weight`, and

        stuff = stuff_weight * mean over pixels of the cross-entropy over "any thing" and the S classes of stuff

    which is in [0, inf), 0 at a perfect prediction and without a pixel that is not void. Computed in float32.

    Source: Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, section 3.2; weights as for COCO.

    Args:
        output: logits (N, 1 + S, H, W) and the parts that `boxes_and_masks_loss` takes, with "class_logits" (R, T + 1).
        targets: "objects.masks" (Q, H, W), and "stuff" (N, H, W) of 0 on things, 1..S on stuff, 255 on void.
        things_weight: of the five.
        stuff_weight: of the last.

    Raises:
        SegmentationError: the output has nothing to learn from, or stuff has more classes than the logits.
    """
    parts = output.parts or {}
    if "class_logits" not in parts:
        raise SegmentationError(
            f"The output has the parts {', '.join(parts) or 'none'} and lacks the sampled regions to learn from (class_logits "
            "and others). Call the network in training mode with the targets."
        )
    things = boxes_and_masks_loss(Output(parts["class_logits"], parts=parts), targets)
    stuff = cross_entropy_loss(output.logits, targets["stuff"], ignore_id=VOID)
    return {name: things_weight * term for name, term in things.items()} | {"stuff": stuff_weight * stuff}
