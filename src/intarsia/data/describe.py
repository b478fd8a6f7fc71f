"""What a data set holds: shares of classes, sizes of objects, what occurs together, weights that balance. No torch."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from intarsia.core import Array, ClassSpace, DataError, Dataset, Instances, LabelMap, Panoptic, Segmentation, Task
from intarsia.data.datasets import DATASETS
from intarsia.data.datasets._looks import THREADS
from intarsia.data.stats import ClassCounts, median_frequency_weights

__all__ = ["SIZE_LIMITS", "DataStatistics", "describe_dataset", "side_counts"]

Progress = Callable[[int, int], None]

SIZE_LIMITS = tuple(2**power for power in range(2, 10))
"""Sides in pixels between which objects are counted: below 4, 4 to 8 ... 512 and more."""


@dataclass(frozen=True)
class DataStatistics:
    """What was counted over all splits unless it says otherwise.

    name: of the data set.
    task: what its truths are.
    classes: of the truths.
    images: of each split.
    pixels: of each split, the pixels of each class, (K,) int64.
    images_with: of each split, the images in which each class occurs, (K,) int64.
    total_pixels: of each split, with those that have no class.
    together: (K, K) int64, images in which both classes occur; on the diagonal those in which the class does.
    host_pixels: (K,) int64, all pixels of the images in which a class occurs.
    object_areas: of each class that has objects, the pixels of each: objects, or connected pieces (8 neighbours) of label maps.
    are_pieces: whether objects are pieces of label maps.
    sizes_hw: height and width, to the number of images.
    notes: of the data set.
    """

    name: str
    task: Task
    classes: ClassSpace
    images: Mapping[str, int]
    pixels: Mapping[str, Array]
    images_with: Mapping[str, Array]
    total_pixels: Mapping[str, int]
    together: Array
    host_pixels: Array
    object_areas: Mapping[str, Array]
    are_pieces: bool
    sizes_hw: Mapping[tuple[int, int], int]
    notes: Sequence[str]

    @property
    def all_pixels(self) -> Array:
        """(K,) int64, pixels of each class in all splits."""
        pixels: Array = np.stack(list(self.pixels.values())).sum(0, dtype=np.int64)
        return pixels

    @property
    def weights(self) -> Array:
        """(K,) float64: median frequency balancing over all splits."""
        return median_frequency_weights(self.counts)

    @property
    def counts(self) -> ClassCounts:
        """What `median_frequency_weights` takes, over all splits."""
        total = sum(self.total_pixels.values())
        return ClassCounts(self.all_pixels, np.diagonal(self.together).copy(), self.host_pixels, total)

    def to_dict(self) -> dict[str, Any]:
        names = self.classes.names
        frequency = self.all_pixels / np.maximum(self.host_pixels, 1)
        per_class = {}
        for index, name in enumerate(names):
            areas = self.object_areas.get(name)
            per_class[name] = {
                "pixels": int(self.all_pixels[index]),
                "share": float(self.all_pixels[index] / max(1, self.all_pixels.sum())),
                "share_of_split": {s: float(p[index] / max(1, p.sum())) for s, p in self.pixels.items()},
                "images": int(self.together[index, index]),
                "images_of_split": {s: int(n[index]) for s, n in self.images_with.items()},
                "frequency": float(frequency[index]),
                "median_frequency_weight": float(self.weights[index]),
                "objects": None if areas is None else _areas_in_words(areas),
            }
        return {
            "data": self.name,
            "task": self.task,
            "images": dict(self.images),
            "pixels": {split: int(count) for split, count in self.total_pixels.items()},
            "share_without_class": 1 - float(self.all_pixels.sum() / max(1, sum(self.total_pixels.values()))),
            "classes": per_class,
            "together": {
                name: dict(zip(names, row, strict=True)) for name, row in zip(names, self.together.tolist(), strict=True)
            },
            "objects_are": "connected pieces of label maps" if self.are_pieces else "objects",
            "size_limits_px": list(SIZE_LIMITS),
            "sizes_hw": [[*size, count] for size, count in self.sizes_hw.items()],
            "notes": list(self.notes),
        }


class _Measured(NamedTuple):
    """What one truth holds; `areas` are pixels by class, `objects` their areas by class."""

    size_hw: tuple[int, int]
    areas: Array
    objects: dict[int, Array]


def describe_dataset(dataset: Dataset, *, progress: Progress | None = None) -> DataStatistics:
    """Count everything in the first truth of each sample; every sample is read once.

    Pixels on which objects overlap count for each of them.

    Args:
        dataset: the data set.
        progress: called with the samples counted and their number.

    Raises:
        DataError: a sample that cannot be read, or no sample at all.
    """
    classes, count = dataset.classes, len(dataset.classes)
    todo = [(split, key) for split, keys in dataset.splits.items() for key in keys]
    if not todo:
        raise DataError(f"{dataset.name} holds no sample, so there is nothing to count.")
    pixels = {split: np.zeros(count, np.int64) for split in dataset.splits}
    images_with = {split: np.zeros(count, np.int64) for split in dataset.splits}
    total = dict.fromkeys(dataset.splits, 0)
    together, host = np.zeros((count, count), np.int64), np.zeros(count, np.int64)
    objects: dict[int, array[int]] = {}
    sizes = Counter[tuple[int, int]]()
    are_ours = type(dataset).__module__.startswith(f"{DATASETS.package}.")  # who knows whether another reads from several threads
    for index, ((split, _), found) in enumerate(zip(todo, _measured(dataset, todo, THREADS if are_ours else 1), strict=True), 1):
        size, here = found.size_hw[0] * found.size_hw[1], found.areas > 0
        pixels[split] += found.areas
        images_with[split] += here
        total[split] += size
        together += np.outer(here, here)
        host += here * size
        sizes[found.size_hw] += 1
        for class_id, areas in found.objects.items():
            objects.setdefault(class_id, array("q")).extend(areas.tolist())
        if progress is not None:
            progress(index, len(todo))
    return DataStatistics(
        name=dataset.name,
        task=dataset.task,
        classes=classes,
        images={split: len(keys) for split, keys in dataset.splits.items()},
        pixels=pixels,
        images_with=images_with,
        total_pixels=total,
        together=together,
        host_pixels=host,
        object_areas={classes.names[i]: np.array(objects[i], np.int64) for i in sorted(objects)},
        are_pieces=dataset.task == "semantic",
        sizes_hw=dict(sizes.most_common()),
        notes=tuple(dataset.notes),
    )


def side_counts(areas: Array) -> Array:
    """Objects by their side, the root of the area: (len(SIZE_LIMITS) + 1,) int64, below the first limit and so on."""
    return np.bincount(np.digitize(np.sqrt(areas), SIZE_LIMITS), minlength=len(SIZE_LIMITS) + 1)


def _measured(dataset: Dataset, todo: Sequence[tuple[str, str]], threads: int) -> Iterator[_Measured]:
    """Every truth measured, in order, few at a time."""
    jobs = iter(todo)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(_measure, dataset, key) for _, key in islice(jobs, 4 * threads))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(_measure, dataset, key) for _, key in islice(jobs, 1))


def _measure(dataset: Dataset, key: str) -> _Measured:
    truth = dataset.read(key).truth
    by_name = truth.areas()
    areas = np.array([by_name[name] for name in dataset.classes.names], np.int64)
    return _Measured(truth.size_hw, areas, _object_areas(truth))


def _object_areas(truth: Segmentation) -> dict[int, Array]:
    """Pixels of each object or piece, by class id; crowds are no objects."""
    if isinstance(truth, Instances):
        counted = np.ones(len(truth), np.bool_) if truth.is_crowd is None else ~truth.is_crowd
        areas, class_id = truth.masks.areas()[counted], truth.class_id[counted]
        return {int(i): areas[class_id == i] for i in np.unique(class_id)}
    if isinstance(truth, Panoptic):
        numbers, counts = np.unique(truth.ids, return_counts=True)
        area = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        found: dict[int, list[int]] = {}
        for segment in truth.segments:
            if truth.classes.classes[segment.class_id].is_thing and not segment.is_crowd and segment.id in area:
                found.setdefault(segment.class_id, []).append(area[segment.id])
        return {i: np.array(areas) for i, areas in found.items()}
    return _pieces(truth) if isinstance(truth, LabelMap) and truth.classes is not None else {}


def _pieces(labels: LabelMap) -> dict[int, Array]:
    import cv2

    classes = 0 if labels.classes is None else len(labels.classes)
    found = {}
    for class_id in np.unique(labels.ids).tolist():
        if class_id < classes:
            mask = (labels.ids == class_id).astype(np.uint8)
            found[class_id] = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    return found


def _areas_in_words(areas: Array) -> dict[str, Any]:
    low, middle, high = np.percentile(areas, (5, 50, 95)).tolist()
    return {"count": len(areas), "area_5": low, "area_median": middle, "area_95": high, "by_side": side_counts(areas).tolist()}
