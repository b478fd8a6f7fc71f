"""COCO panoptic: a JSON file for many images, and a folder with a PNG of segment ids for each, id = R + 256 G + 65536 B, 0 void.

See https://cocodataset.org, "format-data", panoptic segmentation. The folder is called as the file without `.json` unless another
is given. Predictions may leave the categories out, which are then those of the truth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from intarsia.core import ClassSpace, DataError, Panoptic, Segment, SegmentationClass, SegmentationError, default_color
from intarsia.core.whole_file import written_whole
from intarsia.data.formats._hostile import read_json, refused, safe_join
from intarsia.data.formats._masks import read_mask_values
from intarsia.data.formats.image import write_image

__all__ = [  # noqa: RUF022 - the catalogue offers the first
    "read_coco_panoptic",
    "CocoPanopticFile",
    "CocoPanopticWriter",
    "entries_of_segments",
    "write_coco_panoptic",
    "write_segment_ids",
]

WHAT = "file of COCO panoptic segments"
FORM = (
    '{"categories": [...], "annotations": [{"file_name": "x.png", "segments_info": [{"id": 1, "category_id": 1}]}]}, one entry '
    "for each id in the PNG"
)


@dataclass(frozen=True)
class CocoPanopticFile:
    """The segments of many images, whose PNG files are read one at a time.

    Args:
        path: the JSON file.
        folder: where the PNG files are.
        classes: the categories, in the order of the file.
        category_ids: the id of each class in the file.
        segments: file name of each PNG, to its segments.
        images: file name of each PNG, to that of its image, as far as the file says it.
    """

    path: Path
    folder: Path
    classes: ClassSpace
    category_ids: tuple[int, ...]
    segments: Mapping[str, tuple[Segment, ...]]
    images: Mapping[str, str] = field(default_factory=dict)

    def limited(self, name: str) -> CocoPanopticFile:
        """The file with one of its images only."""
        images = {name: self.images[name]} if name in self.images else {}
        return replace(self, segments={name: self.segments[name]}, images=images)

    def read(self, name: str) -> Panoptic:
        """The map in the PNG file `name`.

        Raises:
            DataError: a file that cannot be read, or ids that the JSON file does not list for it.
        """
        values = read_mask_values(safe_join(self.folder, name, self.path)).values
        ids = values.astype(np.int32) @ np.array([1, 256, 65536], np.int32) if values.ndim == 3 else values
        try:
            return Panoptic(ids, self.segments[name], self.classes)
        except SegmentationError as error:
            raise DataError(f"{self.folder / name} does not fit {self.path}: {error}") from error


def read_coco_panoptic(
    path: str | Path, folder: str | Path | None = None, *, truth: CocoPanopticFile | None = None
) -> CocoPanopticFile:
    """Read the JSON file; of the PNG files, only that they are there.

    Args:
        path: the JSON file.
        folder: of the PNG files; None: beside the JSON file and called like it.
        truth: whose categories the ids mean, for predictions; they are needed where the file has none.

    Raises:
        DataError: a file that cannot be read, another form, a category that is not declared, or missing PNG files.
    """
    path = Path(path)
    folder = path.with_suffix("") if folder is None else Path(folder)
    with refused(path, WHAT, FORM):
        content = read_json(path, what=WHAT)
        if truth is None and "categories" not in content:
            raise DataError(f"{path} does not say its categories; read it beside the truth that does.")
        if truth is None:
            declared = [
                SegmentationClass(str(c["name"]), tuple(c.get("color", default_color(i))), is_thing=bool(c.get("isthing", False)))
                for i, c in enumerate(content["categories"])
            ]
            classes = ClassSpace(tuple(declared), ignore_id=255 if len(declared) <= 255 else 65535)
            category_ids = tuple(int(c["id"]) for c in content["categories"])
        else:
            classes, category_ids = truth.classes, truth.category_ids
        index_of = {number: index for index, number in enumerate(category_ids)}
        strange = [
            f"{s['category_id']} of segment {s['id']} in {image['file_name']}"
            for image in content["annotations"]
            for s in image["segments_info"]
            if s["category_id"] not in index_of
        ]
        if strange:
            raise DataError(
                f"{path} gives {len(strange)} segments category ids that {'the truth' if truth else 'it'} does not declare: "
                f"{'; '.join(strange[:6])}. Declared are {', '.join(map(str, category_ids[:20]))}. Do the files belong together?"
            )
        segments = {
            str(image["file_name"]): tuple(
                Segment(int(s["id"]), index_of[s["category_id"]], float(s.get("score", 1.0)), bool(s.get("iscrowd", False)))
                for s in image["segments_info"]
            )
            for image in content["annotations"]
        }
        named = {image["id"]: str(image["file_name"]) for image in content.get("images", ())}
        images = {str(a["file_name"]): named[a["image_id"]] for a in content["annotations"] if a.get("image_id") in named}
    missing = [name for name in segments if not safe_join(folder, name, path).is_file()]
    if missing:
        raise DataError(f"{path} names {len(missing)} PNG files that are not in {folder}: {', '.join(missing[:6])}.")
    return CocoPanopticFile(path, folder, classes, category_ids, segments, images)


class CocoPanopticWriter:
    """Writes panoptic maps one by one: each PNG file at once, the JSON file when all are written.

    Image ids count from 1, and so do category ids. Segments without a pixel are left out, as readers of the format want it.

        with CocoPanopticWriter("panoptic.json", classes) as file:
            file.add("photo.png", panoptic, image="photo.jpg")

    Args:
        path: of the JSON file; folders are made. The PNG files are in the folder beside it that is called like it.
        classes: the categories.
    """

    def __init__(self, path: str | Path, classes: ClassSpace) -> None:
        self.path, self.classes = Path(path), classes
        self._images: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._whole = written_whole(self.path)
        self._file = self._whole.__enter__().open("w", encoding="utf-8")
        self._file.write('{"annotations": [')
        return self

    def add(self, name: str, panoptic: Panoptic, image: str) -> None:
        """Write a map as the PNG file `name`, with its segments; it belongs to the image file `image`.

        Raises:
            SegmentationError: an id above 2**24 - 1.
        """
        write_segment_ids(self.path.with_suffix("") / name, panoptic)
        self.add_entries(name, image, panoptic.size_hw, entries_of_segments(panoptic))

    def add_entries(self, name: str, image: str, size_hw: Sequence[int], entries: Sequence[Mapping[str, Any]]) -> None:
        """Write what `entries_of_segments` gave for a PNG file that is written."""
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": image, "height": size_hw[0], "width": size_hw[1]})
        entry = {"image_id": number, "file_name": name, "segments_info": entries}
        self._file.write(f"{', ' if number > 1 else ''}{json.dumps(entry)}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        categories = [
            {"id": index, "name": c.name, "isthing": int(c.is_thing), "color": list(c.color)}
            for index, c in enumerate(self.classes.classes, 1)
        ]
        self._file.write(f'], "images": {json.dumps(self._images)}, "categories": {json.dumps(categories)}}}')
        self._file.close()
        self._whole.__exit__(kind, error, traceback)


def write_coco_panoptic(path: str | Path, maps: Mapping[str, Panoptic], classes: ClassSpace) -> Path:
    """Write maps by the names of their PNG files, which their images are said to be called too; see `CocoPanopticWriter`."""
    with CocoPanopticWriter(path, classes) as file:
        for name, panoptic in maps.items():
            file.add(name, panoptic, image=name)
    return Path(path)


def write_segment_ids(path: Path, panoptic: Panoptic) -> None:
    """Write the PNG file of a map.

    Raises:
        SegmentationError: an id above 2**24 - 1.
    """
    highest = int(panoptic.ids.max(initial=0))
    if highest >= 2**24:
        raise SegmentationError(f"{path}: the segment id {highest} does not fit three bytes; {2**24 - 1} is the highest.")
    colors = panoptic.ids[..., None].astype(np.int32) >> np.array([0, 8, 16]) & 255
    write_image(path, colors.astype(np.uint8))


def entries_of_segments(panoptic: Panoptic) -> list[dict[str, Any]]:
    """COCO's entry of each segment that has a pixel."""
    from scipy.ndimage import find_objects

    numbers, inverse, areas = np.unique(panoptic.ids, return_inverse=True, return_counts=True)
    boxes = find_objects(inverse.reshape(panoptic.ids.shape) + 1)
    seen = {int(number): (int(area), box) for number, area, box in zip(numbers, areas, boxes, strict=True)}
    entries = []
    for segment in panoptic.segments:
        if segment.id in seen:
            area, (y, x) = seen[segment.id]
            entry = {
                "id": segment.id,
                "category_id": segment.class_id + 1,
                "area": area,
                "bbox": [x.start, y.start, x.stop - x.start, y.stop - y.start],
                "iscrowd": int(segment.is_crowd),
                "score": float(segment.score),
            }
            entries.append(entry)
    return entries
