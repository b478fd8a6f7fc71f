"""What every method produces and every consumer takes: LabelMap, Instances, Panoptic or MultiLabel.

Truth and prediction are the same types. All are frozen and check themselves when made; the arrays are shared, not copied.
Drawing and writing live in other rooms; `overlay`, `save` and the picture in a notebook hand over to them when called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from intarsia.core.arrays import Array, BoolArray, smallest_id_dtype
from intarsia.core.class_space import ClassSpace
from intarsia.core.errors import SegmentationError

__all__ = ["InstanceMasks", "Instances", "LabelMap", "MultiLabel", "Panoptic", "Segment", "Segmentation"]


class Segmentation(ABC):
    """What the four kinds have in common."""

    classes: ClassSpace | None

    @property
    @abstractmethod
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the image that was segmented."""

    @abstractmethod
    def areas(self) -> dict[str, int]:
        """Pixels of each class, by name, every class listed; of regions without classes, by `"region ID"`."""

    def overlay(self, image: Array | str | Path, *, opacity: float = 0.5, labels: bool = False) -> Array:
        """`image`, an array or a file, with the segmentation drawn over it, as (H, W, 3) uint8. See `intarsia.viz.overlay`."""
        from intarsia.data.formats import read_image
        from intarsia.viz.overlay import overlay

        pixels = read_image(image) if isinstance(image, str | Path) else image
        return overlay(pixels, self, opacity=opacity, labels=labels)

    def colored(self) -> Array:
        """The segmentation alone as a picture, (H, W, 3) uint8."""
        from intarsia.viz.colorize import colorize

        return colorize(self)

    def save(self, path: str | Path) -> Path:
        """Write the segmentation to a mask file of the kind that holds it. See `intarsia.data.formats.write_mask`."""
        from intarsia.data.formats import write_mask

        return write_mask(path, self)

    def _repr_png_(self) -> bytes:
        from intarsia.viz.colorize import png_bytes

        return png_bytes(self.colored())


@dataclass(frozen=True, eq=False)
class LabelMap(Segmentation):
    """One class id per pixel, or one region number per pixel when there are no classes.

    Args:
        ids: (H, W) integer. With `classes`: 0..K-1 or the ignore id. Without: any region numbers >= 0.
        classes: the classes, or None for regions that have no class (superpixels, human outlines).
        prob: (K, H, W) float, the class probabilities, where somebody asked for them.
    """

    ids: Array
    classes: ClassSpace | None = None
    prob: Array | None = None

    def __post_init__(self) -> None:
        _need_ids(self.ids, "LabelMap.ids")
        if self.classes is not None and self.ids.size and self.ids.max() >= len(self.classes):
            outside = self.ids[(self.ids >= len(self.classes)) & (self.ids != self.classes.ignore_id)]
            if outside.size:
                raise SegmentationError(
                    f"LabelMap.ids holds {np.unique(outside)[:6].tolist()}, outside the ids 0..{len(self.classes) - 1} of its "
                    f"{len(self.classes)} classes and not the ignore id {self.classes.ignore_id}."
                )
        if self.prob is not None:
            expected = (len(self.classes) if self.classes else self.prob.shape[0], *self.ids.shape)
            if self.prob.shape != expected:
                raise SegmentationError(f"LabelMap.prob has shape {self.prob.shape}; (K, H, W) = {expected} fits its ids.")

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.ids.shape[0], self.ids.shape[1]

    def areas(self) -> dict[str, int]:
        if self.classes is None:
            found, counts = np.unique(self.ids, return_counts=True)
            return {f"region {int(i)}": int(n) for i, n in zip(found, counts, strict=True)}
        counts = np.bincount(self.ids.ravel(), minlength=len(self.classes))
        return {name: int(counts[i]) for i, name in enumerate(self.classes.names)}


@dataclass(frozen=True, eq=False)
class InstanceMasks:
    """Q binary masks of one image size, each cropped to its box and packed to bits; masks may overlap.

    A full-size mask is made only when asked for, one at a time, so a thousand objects stay small.

    Args:
        size_hw: height and width of the image.
        boxes_xyxy: (Q, 4) int32, the smallest box of each mask, half-open in pixels; all zero for an empty mask.
        bits: uint8, the cropped masks in row-major order, each packed by `numpy.packbits`, one after the other.
        starts: (Q + 1,) int64, where each mask begins in `bits`.
    """

    size_hw: tuple[int, int]
    boxes_xyxy: Array
    bits: Array
    starts: Array

    def __post_init__(self) -> None:
        count = len(self.boxes_xyxy)
        if self.boxes_xyxy.shape != (count, 4) or self.starts.shape != (count + 1,):
            raise SegmentationError(
                f"InstanceMasks has boxes of shape {self.boxes_xyxy.shape} and starts of shape {self.starts.shape}; "
                "(Q, 4) and (Q + 1,) belong together."
            )
        height, width = self.size_hw
        x0, y0, x1, y1 = self.boxes_xyxy.T
        if count and ((x0 < 0) | (y0 < 0) | (x1 < x0) | (y1 < y0) | (x1 > width) | (y1 > height)).any():
            raise SegmentationError(f"A box of InstanceMasks leaves the image of {height} x {width} pixels.")
        expected = np.concatenate([[0], np.cumsum(((x1 - x0).astype(np.int64) * (y1 - y0) + 7) // 8)])
        if not np.array_equal(self.starts, expected) or len(self.bits) != expected[-1]:
            raise SegmentationError("The bits of InstanceMasks do not have the length that its boxes ask for.")

    @classmethod
    def pack(cls, masks: Iterable[BoolArray], size_hw: tuple[int, int]) -> InstanceMasks:
        """Crop and pack full-size (H, W) masks, taken one at a time so that an iterator need not hold them all."""
        return cls.pack_crops((_crop(mask, size_hw) for mask in masks), size_hw)

    @classmethod
    def pack_crops(cls, crops: Iterable[tuple[tuple[int, int], BoolArray]], size_hw: tuple[int, int]) -> InstanceMasks:
        """Pack masks given as ((y, x) of the top left corner, (h, w) bool), each shrunk to its smallest box."""
        boxes: list[tuple[int, int, int, int]] = []
        parts: list[Array] = []
        for (top, left), crop in crops:
            rows, columns = np.flatnonzero(crop.any(1)), np.flatnonzero(crop.any(0))
            if len(rows) == 0:
                boxes.append((0, 0, 0, 0))
                parts.append(np.zeros(0, np.uint8))
                continue
            y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
            boxes.append((left + x0, top + y0, left + x1, top + y1))
            parts.append(np.packbits(crop[y0:y1, x0:x1]))
        starts = np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int64)
        bits = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
        return cls(size_hw, np.array(boxes, np.int32).reshape(-1, 4), bits, starts)

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def crop(self, index: int) -> BoolArray:
        """Mask `index` inside its box, (h, w) bool."""
        x0, y0, x1, y1 = (int(v) for v in self.boxes_xyxy[index])
        packed = self.bits[self.starts[index] : self.starts[index + 1]]
        return np.unpackbits(packed, count=(y1 - y0) * (x1 - x0)).astype(np.bool_).reshape(y1 - y0, x1 - x0)

    def select(self, chosen: Array) -> InstanceMasks:
        """Some of the masks, by positions or a (Q,) bool array, in that order."""
        index = np.arange(len(self))[chosen]
        parts = [self.bits[self.starts[i] : self.starts[i + 1]] for i in index.tolist()]
        starts = np.concatenate([[0], np.cumsum(np.diff(self.starts)[index])]).astype(np.int64)
        return InstanceMasks(self.size_hw, self.boxes_xyxy[index], np.concatenate([np.zeros(0, np.uint8), *parts]), starts)

    def crops(self) -> Iterator[tuple[tuple[slice, slice], BoolArray]]:
        """Each mask as (where it lies in the image, (h, w) bool): `image[where][crop]` are its pixels."""
        for index, (x0, y0, x1, y1) in enumerate(self.boxes_xyxy.tolist()):
            yield (slice(y0, y1), slice(x0, x1)), self.crop(index)

    def mask(self, index: int) -> BoolArray:
        """Mask `index` at full size, (H, W) bool."""
        full = np.zeros(self.size_hw, np.bool_)
        x0, y0, x1, y1 = self.boxes_xyxy[index]
        full[y0:y1, x0:x1] = self.crop(index)
        return full

    def areas(self) -> Array:
        """(Q,) int64 pixels of each mask."""
        set_bits = np.bitwise_count(self.bits).astype(np.int64)
        return np.diff(np.concatenate([[0], np.cumsum(set_bits)])[self.starts])


@dataclass(frozen=True, eq=False)
class Instances(Segmentation):
    """Countable objects, each with a mask, a class and a score.

    Args:
        masks: Q packed masks.
        class_id: (Q,) integer ids of `classes`.
        score: (Q,) float confidence in [0, 1]; None means 1 for each, as in a truth.
        classes: the classes.
        is_crowd: (Q,) bool, truth that stands for a group and is not counted; None means none does.
    """

    masks: InstanceMasks
    class_id: Array
    classes: ClassSpace
    score: Array | None = None
    is_crowd: BoolArray | None = None

    def __post_init__(self) -> None:
        count = len(self.masks)
        for name, array in (("class_id", self.class_id), ("score", self.score), ("is_crowd", self.is_crowd)):
            if array is not None and array.shape != (count,):
                raise SegmentationError(f"Instances.{name} has shape {array.shape}; its {count} masks ask for ({count},).")
        if count and not (self.class_id.min() >= 0 and self.class_id.max() < len(self.classes)):
            raise SegmentationError(
                f"Instances.class_id runs from {self.class_id.min()} to {self.class_id.max()}, outside the "
                f"{len(self.classes)} classes."
            )

    @classmethod
    def from_ids(cls, ids: Array, classes: ClassSpace, class_of_id: dict[int, int] | int) -> Instances:
        """Objects from a map of instance numbers (H, W), 0 = none; `class_of_id` is one class for all or one for each."""
        numbers = [int(n) for n in np.unique(ids) if n != 0]
        class_id = [class_of_id if isinstance(class_of_id, int) else class_of_id[n] for n in numbers]
        masks = InstanceMasks.pack_crops(_crops_of_ids(ids, numbers), (ids.shape[0], ids.shape[1]))
        return cls(masks, np.array(class_id, np.int32), classes)

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.masks.size_hw

    def __len__(self) -> int:
        return len(self.masks)

    def areas(self) -> dict[str, int]:
        """Pixels by class; a pixel of two objects counts twice. `masks.areas()` gives them by object."""
        per_class = np.bincount(self.class_id, self.masks.areas(), minlength=len(self.classes))
        return {name: int(per_class[i]) for i, name in enumerate(self.classes.names)}

    def select(self, chosen: Array) -> Instances:
        """Some of the objects, by positions or a (Q,) bool array, in that order."""
        score, crowd = (None if given is None else given[chosen] for given in (self.score, self.is_crowd))
        return Instances(self.masks.select(chosen), self.class_id[chosen], self.classes, score, crowd)

    def to_ids(self) -> Array:
        """(H, W) object numbers 1..Q, 0 = none; where masks overlap the higher score, then the earlier object, is seen."""
        ids = np.zeros(self.size_hw, smallest_id_dtype(len(self)))
        order = np.arange(len(self)) if self.score is None else np.argsort(-self.score, kind="stable")
        for index in order[::-1]:
            x0, y0, x1, y1 = self.masks.boxes_xyxy[index]
            ids[y0:y1, x0:x1][self.masks.crop(int(index))] = index + 1
        return ids


class Segment(NamedTuple):
    """One segment of a panoptic map: `id` is its value in the map."""

    id: int
    class_id: int
    score: float = 1.0
    is_crowd: bool = False


@dataclass(frozen=True, eq=False)
class Panoptic(Segmentation):
    """Things as instances and stuff as regions, one segment per pixel.

    Args:
        ids: (H, W) integer segment ids, 0 = void.
        segments: one entry for every id in the map but 0.
        classes: the classes; `is_thing` says which are countable.
    """

    ids: Array
    segments: tuple[Segment, ...]
    classes: ClassSpace

    def __post_init__(self) -> None:
        _need_ids(self.ids, "Panoptic.ids")
        listed = [segment.id for segment in self.segments]
        if len(set(listed)) != len(listed) or 0 in listed:
            raise SegmentationError("Panoptic.segments lists an id twice, or lists 0, which is void.")
        missing = sorted({int(v) for v in np.unique(self.ids)} - set(listed) - {0})
        if missing:
            raise SegmentationError(f"Panoptic.ids holds {missing[:6]}, which Panoptic.segments does not list.")
        strange = [s.class_id for s in self.segments if not 0 <= s.class_id < len(self.classes)]
        if strange:
            raise SegmentationError(f"Panoptic.segments names class ids {strange[:6]}, outside the {len(self.classes)} classes.")

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.ids.shape[0], self.ids.shape[1]

    def areas(self) -> dict[str, int]:
        return self.to_label_map().areas()

    def to_label_map(self) -> LabelMap:
        """The class of each pixel; void becomes the ignore id."""
        values, inverse = np.unique(self.ids, return_inverse=True)
        class_of = {segment.id: segment.class_id for segment in self.segments}
        lookup = np.array([class_of.get(int(v), self.classes.ignore_id) for v in values], self.classes.id_dtype)
        return LabelMap(lookup[inverse].reshape(self.ids.shape), self.classes)

    def to_instances(self) -> Instances:
        """The segments of thing classes as objects, in the order of `segments`."""
        things = [s for s in self.segments if self.classes.classes[s.class_id].is_thing]
        return Instances(
            InstanceMasks.pack_crops(_crops_of_ids(self.ids, [s.id for s in things]), self.size_hw),
            np.array([s.class_id for s in things], np.int32),
            self.classes,
            np.array([s.score for s in things], np.float32),
            np.array([s.is_crowd for s in things], np.bool_),
        )


@dataclass(frozen=True, eq=False)
class MultiLabel(Segmentation):
    """Classes that may overlap: one mask per class.

    Args:
        masks: (K, H, W) bool.
        classes: the K classes.
        valid: (H, W) bool, False where there is no truth; None means valid everywhere.
        prob: (K, H, W) float, where somebody asked for it.
    """

    masks: BoolArray
    classes: ClassSpace
    valid: BoolArray | None = None
    prob: Array | None = field(default=None)

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or len(self.masks) != len(self.classes) or self.masks.dtype != np.bool_:
            raise SegmentationError(
                f"MultiLabel.masks is {self.masks.dtype} of shape {self.masks.shape}; bool of shape "
                f"({len(self.classes)}, H, W) fits its classes."
            )
        if self.valid is not None and self.valid.shape != self.size_hw:
            raise SegmentationError(f"MultiLabel.valid has shape {self.valid.shape}; {self.size_hw} fits its masks.")
        if self.prob is not None and self.prob.shape != self.masks.shape:
            raise SegmentationError(f"MultiLabel.prob has shape {self.prob.shape}; {self.masks.shape} fits its masks.")

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.masks.shape[1], self.masks.shape[2]

    def areas(self) -> dict[str, int]:
        """Pixels of each class; a pixel of two classes counts twice."""
        return {name: int(mask.sum()) for name, mask in zip(self.classes.names, self.masks, strict=True)}


def _need_ids(ids: Any, name: str) -> None:
    if not isinstance(ids, np.ndarray) or ids.ndim != 2 or ids.dtype.kind not in "iu":
        what = f"{ids.dtype} of shape {ids.shape}" if isinstance(ids, np.ndarray) else type(ids).__name__
        raise SegmentationError(f"{name} is {what}; an integer array of shape (H, W) is expected.")
    if ids.dtype.kind == "i" and ids.size and ids.min() < 0:
        raise SegmentationError(f"{name} holds {ids.min()}; ids are not negative.")


def _crop(mask: BoolArray, size_hw: tuple[int, int]) -> tuple[tuple[int, int], BoolArray]:
    if mask.shape != size_hw:
        raise SegmentationError(f"A mask of shape {mask.shape} was given for an image of {size_hw}.")
    return (0, 0), mask.astype(np.bool_, copy=False)


def _crops_of_ids(ids: Array, numbers: list[int]) -> Iterator[tuple[tuple[int, int], BoolArray]]:
    """Box and mask of each number in a map of ids, in one pass over the map for the boxes."""
    if not numbers:
        return
    position = {number: index for index, number in enumerate(sorted(numbers))}
    ordered = np.array(sorted(numbers))
    slot = np.searchsorted(ordered, ids).clip(0, len(ordered) - 1)
    ys, xs = np.nonzero(ordered[slot] == ids)
    owner = slot[ys, xs]
    low, high = np.full((2, len(ordered)), np.iinfo(np.int64).max), np.full((2, len(ordered)), -1)
    for axis, coordinate in enumerate((ys, xs)):
        np.minimum.at(low[axis], owner, coordinate)
        np.maximum.at(high[axis], owner, coordinate)
    for number in numbers:
        index = position[number]
        if high[0, index] < 0:
            yield (0, 0), np.zeros((0, 0), np.bool_)
            continue
        (y0, x0), (y1, x1) = low[:, index], high[:, index] + 1
        yield (int(y0), int(x0)), ids[y0:y1, x0:x1] == number
