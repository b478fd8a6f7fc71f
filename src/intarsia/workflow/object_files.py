"""What `predict` writes of objects beside their masks: a table with a row for each, and COCO's files."""

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
from intarsia.data.formats.coco_panoptic import CocoPanopticWriter, entries_of_segments

__all__ = ["OBJECTS", "PANOPTIC", "ObjectFiles", "ObjectRow", "count_objects", "describe_objects"]

OBJECTS, COCO, PANOPTIC = "objects.csv", "instances.json", "panoptic"


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
    """objects.csv and COCO's files in a folder, written image by image, each whole or not at all.

    Of objects, which may overlap, that is instances.json; of panoptic maps panoptic.json with a PNG file of each in panoptic/.
    None is made where no image has objects to tell of.
    """

    def __init__(self, out: Path) -> None:
        self._out, self._open = out, ExitStack()
        self._coco: CocoWriter | None = None
        self._panoptic: CocoPanopticWriter | None = None
        self._write_row: Callable[[Iterable[Any]], Any] | None = None

    def __enter__(self) -> Self:
        return self

    def add(self, image: Path, name: str, segmentation: Segmentation) -> None:
        """Tell of the objects of one image, whose results are called `name`, without suffix."""
        if not isinstance(segmentation, Instances | Panoptic):
            return
        if self._write_row is None:
            self._out.mkdir(parents=True, exist_ok=True)
            partial = self._open.enter_context(written_whole(self._out / OBJECTS))
            self._write_row = csv.writer(self._open.enter_context(partial.open("w", newline="", encoding="utf-8"))).writerow
            self._write_row(["image", "object", "class", "score", "area", "x0", "y0", "x1", "y1"])
        for row in describe_objects(segmentation):
            self._write_row([image, *row[:2], f"{row.score:.4f}", *row[3:]])
        file_name = name if Path(name).suffix == image.suffix else f"{name}{image.suffix}"
        if isinstance(segmentation, Instances):
            if self._coco is None:
                self._coco = self._open.enter_context(CocoWriter(self._out / COCO, segmentation.classes))
            self._coco.add(file_name, segmentation)
        else:
            if self._panoptic is None:
                file = CocoPanopticWriter(self._out / f"{PANOPTIC}.json", segmentation.classes)
                self._panoptic = self._open.enter_context(file)
            self._panoptic.add(f"{name}.png", segmentation, image=file_name)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._open.close()  # what was done before an error is worth keeping, as the summary is


def _describe_segments(panoptic: Panoptic) -> list[ObjectRow]:
    names, score = panoptic.classes.names, {segment.id: segment.score for segment in panoptic.segments}
    return [
        ObjectRow(entry["id"], names[entry["category_id"] - 1], score[entry["id"]], entry["area"], x, y, x + width, y + height)
        for entry in entries_of_segments(panoptic)
        for x, y, width, height in [entry["bbox"]]
    ]
