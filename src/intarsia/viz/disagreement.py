"""Where a prediction is wrong."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, LabelMap, SegmentationError
from intarsia.viz.colorize import checkerboard
from intarsia.viz.rgb import as_rgb

__all__ = ["RIGHT", "WRONG", "disagreement"]

WRONG = (222, 60, 40)
RIGHT = (232, 234, 237)
FADE = 0.72
"""How much of the image behind is washed out."""


def disagreement(prediction: LabelMap, truth: LabelMap, *, image: Array | None = None) -> Array:
    """Wrong pixels red, right ones pale, those without a truth checked grey, as (H, W, 3) uint8.

    Args:
        prediction: with the classes of `truth` in the same order.
        truth: of the same size.
        image: shown faint and grey behind the pixels that are right.

    Raises:
        SegmentationError: sizes or classes that differ.
    """
    names = [side.classes.names if side.classes is not None else () for side in (prediction, truth)]
    if prediction.size_hw != truth.size_hw or names[0] != names[1]:
        raise SegmentationError(
            f"The prediction ({prediction.size_hw}, classes {', '.join(names[0])}) and the truth ({truth.size_hw}, classes "
            f"{', '.join(names[1])}) differ in size or classes, so their pixels cannot be compared."
        )
    picture = np.empty((*truth.size_hw, 3), np.uint8)
    picture[:] = RIGHT
    if image is not None:
        grey = as_rgb(image).mean(2, keepdims=True)
        picture[:] = np.rint(FADE * np.array(RIGHT) + (1 - FADE) * grey)
    # Ids are compared as they are, but a prediction may mark void by another id, which is wrong wherever there is a truth.
    picture[prediction.ids != truth.ids] = WRONG
    if truth.classes is not None:
        ignored = truth.ids == truth.classes.ignore_id
        np.copyto(picture, checkerboard(truth.size_hw), where=ignored[..., None])
    return picture
