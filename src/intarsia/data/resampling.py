"""The truth of an image at another size, or seen through a window: each pixel takes what the nearest one says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from intarsia.core import Array, BoolArray, InstanceMasks, Instances, LabelMap, Panoptic
from intarsia.data.preprocessing import nearest_pixels

__all__ = ["Truth", "fit_truth", "resample_truth"]

Truth = LabelMap | Instances | Panoptic
"""What networks learn from."""


def fit_truth(truth: Truth, size_hw: tuple[int, int]) -> Truth:
    """The truth at the size of the resized image, in step with `resize_image`; see `resample_truth`."""
    if truth.size_hw == size_hw:
        return _without_vanished(truth) if isinstance(truth, Instances) else truth
    rows, columns = (nearest_pixels(length, size) for length, size in zip(truth.size_hw, size_hw, strict=True))
    return resample_truth(truth, rows, columns)


def resample_truth(truth: Truth, rows: Array, columns: Array) -> Truth:
    """What is seen where pixel (y, x) shows pixel (rows[y], columns[x]) of the truth.

    Objects keep holes, class, crowd flag and what they share with others. The box of one that is cut becomes smaller; one that no
    pixel shows is left out, and so is such a segment of a panoptic map.

    Args:
        truth: a label map, objects or a panoptic map.
        rows: (h,) int, rising or falling; below 0 outside the image, where there is no truth: label maps say ignored (regions
            without classes 0), panoptic maps void, and there are no objects.
        columns: (w,) likewise.
    """
    if isinstance(truth, LabelMap):
        outside = 0 if truth.classes is None else truth.classes.ignore_id
        return LabelMap(_resample_ids(truth.ids, rows, columns, outside), truth.classes)
    if isinstance(truth, Panoptic):
        ids = _resample_ids(truth.ids, rows, columns, 0)
        left = set(np.unique(ids).tolist())
        return replace(truth, ids=ids, segments=tuple(segment for segment in truth.segments if segment.id in left))
    masks = InstanceMasks.pack_crops(_resample_crops(truth.masks, rows, columns), (len(rows), len(columns)))
    return _without_vanished(replace(truth, masks=masks))


def _resample_ids(ids: Array, rows: Array, columns: Array, outside: int) -> Array:
    seen: Array = ids.take(rows, 0).take(columns, 1)  # an axis at a time is several times as fast as both at once
    seen[rows < 0] = outside
    seen[:, columns < 0] = outside
    return seen


def _resample_crops(masks: InstanceMasks, rows: Array, columns: Array) -> Iterator[tuple[tuple[int, int], BoolArray]]:
    """Each mask where it is seen, by the pixels of its box alone."""
    for (ys, xs), crop in masks.crops():
        seen_rows = np.flatnonzero((rows >= ys.start) & (rows < ys.stop))
        seen_columns = np.flatnonzero((columns >= xs.start) & (columns < xs.stop))
        seen = crop[(rows[seen_rows] - ys.start)[:, None], columns[seen_columns] - xs.start]
        yield ((int(seen_rows[0]), int(seen_columns[0])) if seen.size else (0, 0)), seen


def _without_vanished(objects: Instances) -> Instances:
    """Without objects that have no pixel."""
    masks = objects.masks
    kept = np.flatnonzero(masks.boxes_xyxy[:, 2] > masks.boxes_xyxy[:, 0])
    if len(kept) == len(masks):
        return objects
    # An empty mask has no bits, so that those of the others stay where they are.
    starts = masks.starts[np.append(kept, len(masks))]
    return replace(
        objects,
        masks=InstanceMasks(masks.size_hw, masks.boxes_xyxy[kept], masks.bits, starts),
        class_id=objects.class_id[kept],
        score=None if objects.score is None else objects.score[kept],
        is_crowd=None if objects.is_crowd is None else objects.is_crowd[kept],
    )
