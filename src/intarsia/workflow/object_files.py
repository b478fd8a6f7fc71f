"""What `predict` writes of objects beside their masks: a table with a row for each, and COCO JSON."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from intarsia.core import Instances, Panoptic, Segmentation
from intarsia.core.whole_file import written_whole
from intarsia.data.formats.coco import CocoWriter

__all__ = ["COCO", "OBJECTS", "ObjectFiles", "ObjectRow", "count_objects", "describe_objects"]

OBJECTS, COCO = "objects.csv", "instances.json"


class ObjectRow(NamedTuple):
    """One object or panoptic segment.

    number: its value in the mask file.
    kind: name of its class.
    score: confidence; 1 where there is none.
    area: pixels, also those that others hide.
    x0, y0, x1, y1: the smallest box, half-open in pixels.
    """

    number: int
    kind: str
    score: float
    area: int
    x0: int
    y0: int
    x1: int
    y1: int


def describe_objects(segmentation: Segmentation) -> list[ObjectRow]:
    """A row for each object, or for each segment of a panoptic map that has a pixel; none for other kinds."""
    if isinstance(segmentation, Instances):
        scores = np.ones(len(segmentation)) if segmentation.score is None else segmentation.score
        described = zip(
            segmentation.class_id.tolist(),
            scores.tolist(),
            segmentation.masks.areas().tolist(),
            segmentation.masks.boxes_xyxy.tolist(),
            strict=True,
        )
        names = segmentation.classes.names
        return [ObjectRow(n, names[c], s, area, *box) for n, (c, s, area, box) in enumerate(described, 1)]
    return _describe_segments(segmentation) if isinstance(segmentation, Panoptic) else []


def count_objects(segmentation: Segmentation) -> dict[str, int]:
    """Objects of each countable class, by name; of a class in which there are none 0."""
    if not isinstance(segmentation, Instances | Panoptic):
        return {}
    found = Counter(row.kind for row in describe_objects(segmentation))
    classes = segmentation.classes
    countable = classes.thing_ids if isinstance(segmentation, Panoptic) else range(len(classes))
    return {
        classes.names[i]: found[classes.names[i]] for i in countable if found[classes.names[i]] or classes.classes[i].is_thing
    }


class ObjectFiles:
    """objects.csv and, of objects that may overlap, instances.json in a folder; written image by image, whole or not at all.

    Neither is made where no image has objects to tell of.
    """

    def __init__(self, out: Path) -> None:
        self._out, self._open = out, ExitStack()
        self._coco: CocoWriter | None = None
        self._write_row: Callable[[Iterable[Any]], Any] | None = None

    def __enter__(self) -> Self:
        return self

    def add(self, image: Path, name: str, segmentation: Segmentation) -> None:
        """Tell of the objects of one image, whose results are called `name`."""
        if not isinstance(segmentation, Instances | Panoptic):
            return
        if self._write_row is None:
            self._out.mkdir(parents=True, exist_ok=True)
            partial = self._open.enter_context(written_whole(self._out / OBJECTS))
            self._write_row = csv.writer(self._open.enter_context(partial.open("w", newline="", encoding="utf-8"))).writerow
            self._write_row(["image", "object", "class", "score", "area", "x0", "y0", "x1", "y1"])
        for row in describe_objects(segmentation):
            self._write_row([image, *row[:2], f"{row.score:.4f}", *row[3:]])
        if isinstance(segmentation, Instances):
            if self._coco is None:
                self._coco = self._open.enter_context(CocoWriter(self._out / COCO, segmentation.classes))
            self._coco.add(name, segmentation)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._open.close()  # what was done before an error is worth keeping, as the summary is


def _describe_segments(panoptic: Panoptic) -> list[ObjectRow]:
    from scipy.ndimage import find_objects

    numbers, inverse, areas = np.unique(panoptic.ids, return_inverse=True, return_counts=True)
    boxes = find_objects(inverse.reshape(panoptic.ids.shape) + 1)
    seen = {int(number): (int(area), box) for number, area, box in zip(numbers, areas, boxes, strict=True)}
    names = panoptic.classes.names
    rows = []
    for segment in panoptic.segments:
        if segment.id in seen:
            area, (y, x) = seen[segment.id]
            rows.append(ObjectRow(segment.id, names[segment.class_id], segment.score, area, x.start, y.start, x.stop, y.stop))
    return rows
