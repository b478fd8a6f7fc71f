"""COCO instances: one JSON file for many images, each object with a class, a mask as run lengths or polygons, and a crowd flag.

Read are the file of a truth ("images", "categories", "annotations"; https://cocodataset.org, "format-data"), and a list of
results ("format-results"), which names neither images nor categories and is read beside the truth it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, SegmentationError
from intarsia.core.rle import crop_of_runs, rle_text, runs_of_mask, runs_of_text
from intarsia.core.whole_file import written_whole
from intarsia.data.formats._hostile import read_json, refused
from intarsia.data.formats._shapes import require_size

__all__ = ["read_coco", "CocoFile", "CocoWriter", "entries_of_objects", "runs_of_entry", "write_coco"]  # noqa: RUF022 - the catalogue offers the first

FORM = '{"images": [...], "categories": [...], "annotations": [...]}, or a list of results read beside such a truth'
WHAT = "file of COCO instances"
SHOWN = 6
MOST_FLAT = 0.01
"""Share of objects with a flat box. COCO's train2017 has a few; where they are many, the boxes are not x, y, width, height."""
LONGEST_OUTLINE = 2**24
"""Pixels along the outline of an object; drawing takes memory in proportion."""

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class CocoFile:
    """The objects of many images.

    Args:
        classes: the categories, in the order of the file; things, unless the file says otherwise as a panoptic one does.
        instances: file name of each image, to its objects, whose masks are made when asked for.
        image_ids: file name of each image, to its id in the file.
        category_ids: the id of each class in the file.
        sizes_hw: file name of each image, to its size.
        flat: each object whose box has no width or no height: its id and image.
    """

    classes: ClassSpace
    instances: Mapping[str, Instances]
    image_ids: Mapping[str, int]
    category_ids: tuple[int, ...]
    sizes_hw: Mapping[str, tuple[int, int]]
    flat: tuple[str, ...] = ()

    def limited(self, name: str) -> CocoFile:
        """The file with one of its images only."""
        found, size_hw = self.instances, {name: self.sizes_hw[name]}
        if isinstance(found, _WhenAsked):  # its masks need not be made for that
            found = replace(found, entries={name: found.entries[name]}, sizes_hw=size_hw)
        else:
            found = {name: found[name]}
        return replace(self, instances=found, image_ids={name: self.image_ids[name]}, sizes_hw=size_hw, flat=())


@dataclass(frozen=True)
class _WhenAsked(Mapping[str, Instances]):
    """The objects of each image, made anew each time; travels to other processes."""

    entries: Mapping[str, Sequence[Entry]]
    sizes_hw: Mapping[str, tuple[int, int]]
    categories: Mapping[int, int]
    classes: ClassSpace
    path: Path

    def __getitem__(self, name: str) -> Instances:
        return _objects(self.entries[name], self.sizes_hw[name], self.categories, self.classes, self.path)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def read_coco(path: str | Path, truth: CocoFile | None = None) -> CocoFile:
    """Read the objects of a file. All entries are looked at now; the masks of an image are made when its objects are asked for.

    Args:
        path: a truth, or results.
        truth: what results belong to: their images and categories. An image that they do not mention has no object.

    Raises:
        DataError: a file that cannot be read, another form, results without `truth`, an image or category that is not declared,
            objects without masks, or boxes without width or height where there is an area, if they are no rare exception.
    """
    path = Path(path)
    with refused(path, WHAT, FORM):
        content = read_json(path, what=WHAT)
        is_list = isinstance(content, list)
        if is_list and truth is None:
            raise DataError(f"{path} is a list of results, which does not say its images and classes; read it beside its truth.")
        entries: list[Entry] = content if is_list else content["annotations"]
        if truth is None:
            images = {int(i["id"]): (str(i["file_name"]), require_size(i["height"], i["width"], path)) for i in content["images"]}
            categories = {int(c["id"]): index for index, c in enumerate(content["categories"])}
            names = [str(c["name"]) for c in content["categories"]]
            classes = ClassSpace.from_names(names, things=[str(c["name"]) for c in content["categories"] if c.get("isthing", 1)])
        else:
            images = {number: (name, truth.sizes_hw[name]) for name, number in truth.image_ids.items()}
            categories, classes = {number: index for index, number in enumerate(truth.category_ids)}, truth.classes
        flat = _look(entries, images, categories, path, "the truth" if truth else "it")
        found: dict[str, list[Entry]] = {name: [] for name, _ in images.values()}
        for entry in entries:
            found[images[entry["image_id"]][0]].append(entry)
    sizes_hw = dict(images.values())
    instances = _WhenAsked(found, sizes_hw, categories, classes, path)
    return CocoFile(classes, instances, {name: n for n, (name, _) in images.items()}, tuple(categories), sizes_hw, flat)


class CocoWriter:
    """Writes objects image by image, so that no more than one image's are in memory; the file appears when all are written.

    Masks are run lengths; image ids count from 1, and so do category ids.

        with CocoWriter("objects.json", classes) as file:
            file.add("photo.jpg", instances)

    Args:
        path: of the JSON file; folders are made.
        classes: the categories.
    """

    def __init__(self, path: str | Path, classes: ClassSpace) -> None:
        self.path, self.classes = Path(path), classes
        self._images: list[dict[str, Any]] = []
        self._count = 0

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._whole = written_whole(self.path)
        self._file = self._whole.__enter__().open("w", encoding="utf-8")
        self._file.write('{"annotations": [')
        return self

    def add(self, name: str, objects: Instances) -> None:
        """Write the objects of the image file `name`."""
        self.add_entries(name, objects.size_hw, entries_of_objects(objects))

    def add_entries(self, name: str, size_hw: tuple[int, int], entries: Iterable[Entry]) -> None:
        """Write what `entries_of_objects` gave for the image file `name`."""
        self._images.append({"id": len(self._images) + 1, "file_name": name, "height": size_hw[0], "width": size_hw[1]})
        for entry in entries:
            self._count += 1
            comma = ", " if self._count > 1 else ""
            self._file.write(f"{comma}{json.dumps({'id': self._count, 'image_id': len(self._images), **entry})}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        all_things = not self.classes.thing_ids
        categories = [
            {"id": index, "name": entry.name, "isthing": int(entry.is_thing or all_things)}
            for index, entry in enumerate(self.classes.classes, 1)
        ]
        self._file.write(f'], "images": {json.dumps(self._images)}, "categories": {json.dumps(categories)}}}')
        self._file.close()
        self._whole.__exit__(kind, error, traceback)


def write_coco(path: str | Path, instances: Mapping[str, Instances], classes: ClassSpace) -> Path:
    """Write the objects of images by file name; see `CocoWriter`."""
    with CocoWriter(path, classes) as file:
        for name, objects in instances.items():
            file.add(name, objects)
    return Path(path)


def entries_of_objects(objects: Instances) -> Iterator[dict[str, Any]]:
    """COCO's annotation of each object, without its ids."""
    described = zip(objects.masks.areas().tolist(), objects.masks.boxes_xyxy.tolist(), strict=True)
    for index, (area, (x0, y0, x1, y1)) in enumerate(described):
        entry = {
            "category_id": int(objects.class_id[index]) + 1,
            "segmentation": {"size": list(objects.size_hw), "counts": rle_text(runs_of_mask(objects.masks, index)).decode()},
            "area": area,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "iscrowd": int(objects.is_crowd is not None and objects.is_crowd[index]),
        }
        yield entry if objects.score is None else {**entry, "score": float(f"{objects.score[index]:.9g}")}


def _look(
    entries: Sequence[Entry], images: Mapping[int, Any], categories: Mapping[int, int], path: Path, where: str
) -> tuple[str, ...]:
    """Refuse entries that mean nothing, all of one kind together; returns those with flat boxes, if they are few."""
    images_lost, categories_lost, without, flat, wrong = [], [], [], [], []
    for entry in entries:
        if entry["image_id"] not in images:
            images_lost.append(entry["image_id"])
        if entry["category_id"] not in categories:
            categories_lost.append(entry["category_id"])
        if not entry.get("segmentation"):
            without.append(f"{entry.get('id', '?')} in image {entry['image_id']}")
        box = entry.get("bbox")
        if box is not None and (len(box) != 4 or min(box[2:]) <= 0):
            flat.append(f"{entry.get('id', '?')} in image {entry['image_id']}: {box}")
            wrong += flat[-1:] if entry.get("area", 1) != 0 else []
    if categories_lost:
        known = ", ".join(str(number) for number in list(categories)[:20])
        raise DataError(
            f"{path} holds {len(categories_lost)} objects of category ids that {where} does not declare: "
            f"{_listed(sorted(set(categories_lost)))}. Declared are {known}. Do the files belong together?"
        )
    if images_lost:
        raise DataError(
            f"{path} holds {len(images_lost)} objects of image ids that {where} does not declare: "
            f"{_listed(sorted(set(images_lost)))}. Do the files belong together?"
        )
    if without:
        raise DataError(
            f"{path} holds {len(without)} objects without a mask (`segmentation`): {_listed(without)}. Boxes alone cannot be "
            "read as objects; export the masks too."
        )
    if len(wrong) > MOST_FLAT * len(entries):
        raise DataError(
            f"{path} holds {len(wrong)} objects whose box (`bbox`: x, y, width, height) has no width or height: "
            f"{_listed(wrong)}. Such an object can be neither learnt nor found; delete these annotations."
        )
    return tuple(flat)


def _listed(found: Sequence[object]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(map(str, found[:SHOWN])) + more


def _objects(
    entries: Sequence[Entry], size_hw: tuple[int, int], categories: Mapping[int, int], classes: ClassSpace, path: Path
) -> Instances:
    """The objects of one image; scores and crowd flags where one of them has any."""
    try:
        masks = InstanceMasks.pack_crops((crop_of_runs(runs_of_entry(entry, size_hw), size_hw) for entry in entries), size_hw)
        class_id = np.array([categories[entry["category_id"]] for entry in entries], np.int32)
        score = np.array([entry.get("score", 1.0) for entry in entries], np.float32)
        crowd = np.array([entry.get("iscrowd", 0) for entry in entries], np.bool_)
    except (SegmentationError, KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise DataError(f"{path}: a mask of image {entries[0]['image_id']} cannot be read: {error}") from error
    scored = any("score" in entry for entry in entries)
    return Instances(masks, class_id, classes, score if scored else None, crowd if crowd.any() else None)


def runs_of_entry(entry: Entry, size_hw: tuple[int, int]) -> Any:
    """The run lengths of an annotation's `segmentation`; polygons are drawn as the COCO API draws them."""
    shape = entry["segmentation"]
    if isinstance(shape, list):
        from faster_coco_eval import mask

        shape = mask.merge(mask.frPyObjects(_outlines(shape), *size_hw))
    if "size" in shape and tuple(shape["size"]) != size_hw:
        raise SegmentationError(f"It is of {shape['size']} (height, width) pixels, and the image of {size_hw}.")
    counts = shape["counts"]
    return runs_of_text(counts) if isinstance(counts, str | bytes) else counts


def _outlines(shape: Sequence[Sequence[float]]) -> list[list[float]]:
    """Polygons x, y, x, y ... that are safe to draw; one of four numbers is a box, as the COCO API takes it."""
    found = []
    for ring in shape:
        corners = np.asarray(ring, np.float64)
        if corners.ndim != 1 or len(corners) < 4 or len(corners) % 2 or not np.isfinite(corners).all():
            raise SegmentationError(f"A polygon is {str(ring)[:80]}; x, y, x, y ... was expected.")
        points = corners.reshape(-1, 2)
        if np.abs(points - np.roll(points, 1, 0)).sum() + np.abs(points).max() > LONGEST_OUTLINE:
            raise SegmentationError(f"A polygon is more than {LONGEST_OUTLINE:,} pixels long: {str(ring)[:80]}.")
        found.append(corners.tolist())
    return found
