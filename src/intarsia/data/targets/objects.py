"""What detectors learn: the objects of an image, each with box, class and mask."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, Instances, Panoptic, SegmentationError, thing_ids_of

__all__ = ["objects"]


def objects(truth: Instances | Panoptic) -> dict[str, Array]:
    """The Q objects, of a panoptic map those of things; ragged, since images hold different numbers.

    Returns:
        boxes_xyxy: (Q, 4) float32, the smallest boxes in pixels, half-open: of width 1 for a single pixel.
        class_index: (Q,) int64, position of the class in `core.thing_ids_of(classes)`, not its id.
        masks: (Q, H, W) uint8 of 0 and 1, which may overlap.
        is_crowd: (Q,) uint8, 1 where a group is meant, which is neither to be found nor to be called background.

    Raises:
        SegmentationError: objects of a class that is not countable.
    """
    found = truth.to_instances() if isinstance(truth, Panoptic) else truth
    things = np.array(thing_ids_of(found.classes))
    index = np.searchsorted(things, found.class_id).clip(0, len(things) - 1)
    if (wrong := things[index] != found.class_id).any():
        names = sorted({found.classes.names[i] for i in found.class_id[wrong]})
        raise SegmentationError(
            f"There are objects of {', '.join(names)}, and countable things are "
            f"{', '.join(found.classes.names[i] for i in things)} alone. Declare the class in intarsia.toml "
            "with thing = true."
        )
    masks = np.zeros((len(found), *found.size_hw), np.uint8)
    for mask, (where, crop) in zip(masks, found.masks.crops(), strict=True):
        mask[where] = crop
    return {
        "boxes_xyxy": found.masks.boxes_xyxy.astype(np.float32),
        "class_index": index.astype(np.int64),
        "masks": masks,
        "is_crowd": np.zeros(len(found), np.uint8) if found.is_crowd is None else found.is_crowd.astype(np.uint8),
    }
