"""How much of a truth is left after it was written and read back: the IoU of each object, class or segment."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, ClassSpace, Instances, LabelMap, Panoptic, Segment, Segmentation, SegmentationError

__all__ = ["round_trip_ious"]


def round_trip_ious(given: Segmentation, found: Segmentation) -> list[float]:
    """IoU of each object of `given` with its partner in `found`, of its class by name; 0 without one.

    Objects are paired one to one, the best IoU first. Of label maps it is the IoU of each class that occurs, of panoptic maps
    that of each segment with the best of its class.

    Raises:
        SegmentationError: truths of different kinds or sizes.
    """
    if given.size_hw != found.size_hw:
        raise SegmentationError(f"What was read back is {found.size_hw} (height, width), and {given.size_hw} was written.")
    if isinstance(given, Instances) and isinstance(found, Instances):
        return _of_objects(given, found)
    if isinstance(given, LabelMap) and isinstance(found, LabelMap):
        return _of_maps(_whole(given), _whole(found))
    if isinstance(given, Panoptic) and isinstance(found, Panoptic):
        return _of_maps(given, found)
    raise SegmentationError(f"A {type(given).__name__} was written, and a {type(found).__name__} read back.")


def _of_objects(given: Instances, found: Instances) -> list[float]:
    same_class = _names(given.classes)[given.class_id][:, None] == _names(found.classes)[found.class_id]
    a, b = given.masks.boxes_xyxy[:, None], found.masks.boxes_xyxy[None]
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    area_given, area_found = given.masks.areas(), found.masks.areas()
    pairs = []
    for i, j in np.argwhere(same_class & (low < high).all(-1)).tolist():
        (x0, y0), (x1, y1) = low[i, j].tolist(), high[i, j].tolist()
        seen = [_window(instances, n, x0, y0, x1, y1) for instances, n in ((given, i), (found, j))]
        common = int(np.count_nonzero(seen[0] & seen[1]))
        pairs.append((common / (int(area_given[i]) + int(area_found[j]) - common), i, j))
    ious, taken = [0.0] * len(given), set[int]()
    paired = set[int]()
    for iou, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if i not in paired and j not in taken:
            ious[i] = iou
            paired.add(i)
            taken.add(j)
    return ious


def _window(objects: Instances, index: int, x0: int, y0: int, x1: int, y1: int) -> Array:
    left, top = objects.masks.boxes_xyxy[index, :2].tolist()
    return objects.masks.crop(index)[y0 - top : y1 - top, x0 - left : x1 - left]


def _of_maps(given: Panoptic, found: Panoptic) -> list[float]:
    kinds = {s.id: given.classes.names[s.class_id] for s in given.segments}
    kinds_found = {s.id: found.classes.names[s.class_id] for s in found.segments}
    span = int(found.ids.max(initial=0)) + 1
    joint, counts = np.unique(given.ids.astype(np.int64) * span + found.ids, return_counts=True)
    area, area_found = (
        dict(zip(*(v.tolist() for v in np.unique(m.ids, return_counts=True)), strict=True)) for m in (given, found)
    )
    best = {number: 0.0 for number in kinds if number in area}
    for pair, common in zip(joint.tolist(), counts.tolist(), strict=True):
        i, j = divmod(pair, span)
        if i in best and kinds_found.get(j) == kinds[i]:
            best[i] = max(best[i], common / (area[i] + area_found[j] - common))
    return list(best.values())


def _whole(labels: LabelMap) -> Panoptic:
    """A label map as one segment for each class, so that ids mean names."""
    classes = labels.classes
    if classes is None:
        raise SegmentationError("Regions without classes are not compared.")
    ids = np.where(labels.ids == classes.ignore_id, 0, labels.ids.astype(np.int64) + 1)
    return Panoptic(ids, tuple(Segment(int(n), int(n) - 1) for n in np.unique(ids) if n), classes)


def _names(classes: ClassSpace) -> Array:
    return np.array(classes.names, object)
