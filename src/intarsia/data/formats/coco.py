"""COCO instances: one JSON file for many images, each object with a class, a mask as run lengths or polygons, and a crowd flag.

Read are the file of a truth ("images", "categories", "annotations"; https://cocodataset.org, "format-data"), and a list of
results ("format-results"), which names neither images nor categories and is read beside the truth it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances
from intarsia.core.rle import crop_of_runs, rle_text, runs_of_mask, runs_of_text
from intarsia.data.formats._files import read_bytes, write_bytes

__all__ = ["read_coco", "CocoFile", "write_coco"]  # noqa: RUF022 - the catalogue offers the first

FORM = '{"images": [...], "categories": [...], "annotations": [...]}, or a list of results read beside such a truth'


@dataclass(frozen=True)
class CocoFile:
    """The objects of many images.

    Args:
        classes: the categories, in the order of the file.
        instances: file name of each image, to its objects.
        image_ids: file name of each image, to its id in the file.
        category_ids: the id of each class in the file.
    """

    classes: ClassSpace
    instances: Mapping[str, Instances]
    image_ids: Mapping[str, int]
    category_ids: tuple[int, ...]


def read_coco(path: str | Path, truth: CocoFile | None = None) -> CocoFile:
    """Read all objects of a file.

    Args:
        path: a truth, or results.
        truth: what results belong to: their images and categories. An image that they do not mention has no object.

    Raises:
        DataError: a file that cannot be read, another form, results without `truth`, an image or category that is not declared,
            or objects without masks.
    """
    path = Path(path)
    try:
        content = json.loads(read_bytes(path))
        is_list = isinstance(content, list)
        if is_list and truth is None:
            raise DataError(f"{path} is a list of results, which does not say its images and classes; read it beside its truth.")
        entries = content if is_list else content["annotations"]
        if truth is None:
            images = {int(i["id"]): (str(i["file_name"]), (int(i["height"]), int(i["width"]))) for i in content["images"]}
            categories = {int(c["id"]): index for index, c in enumerate(content["categories"])}
            names = [str(c["name"]) for c in content["categories"]]
            classes = ClassSpace.from_names(names, things=names)
        else:
            images = {number: (name, truth.instances[name].size_hw) for name, number in truth.image_ids.items()}
            categories, classes = {number: index for index, number in enumerate(truth.category_ids)}, truth.classes
        found: dict[int, list[Mapping[str, Any]]] = {number: [] for number in images}
        for entry in entries:
            if entry["image_id"] not in images or entry["category_id"] not in categories:
                raise DataError(
                    f"{path} holds an object of image {entry['image_id']} and category {entry['category_id']}, and at least one "
                    f"of them is not declared{' in the truth' if truth else ''}. Do the files belong together?"
                )
            found[entry["image_id"]].append(entry)
        instances = {
            name: _objects(found[number], size_hw, categories, classes, path) for number, (name, size_hw) in images.items()
        }
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no file of COCO instances ({type(error).__name__}: {error}). Expected: {FORM}.") from error
    return CocoFile(classes, instances, {name: number for number, (name, _) in images.items()}, tuple(categories))


def write_coco(path: str | Path, instances: Mapping[str, Instances], classes: ClassSpace) -> Path:
    """Write the objects of images by file name, with masks as run lengths; image ids count from 1, and so do category ids."""
    path = Path(path)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (name, objects) in enumerate(instances.items(), 1):
        height, width = objects.size_hw
        images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        described = zip(objects.masks.areas().tolist(), objects.masks.boxes_xyxy.tolist(), strict=True)
        for index, (area, (x0, y0, x1, y1)) in enumerate(described):
            entry = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": int(objects.class_id[index]) + 1,
                "segmentation": {"size": [height, width], "counts": rle_text(runs_of_mask(objects.masks, index)).decode()},
                "area": area,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": int(objects.is_crowd is not None and objects.is_crowd[index]),
            }
            annotations.append(entry if objects.score is None else {**entry, "score": float(f"{objects.score[index]:.9g}")})
    categories = [{"id": index, "name": name} for index, name in enumerate(classes.names, 1)]
    write_bytes(path, json.dumps({"images": images, "categories": categories, "annotations": annotations}).encode())
    return path


def _objects(
    entries: list[Mapping[str, Any]], size_hw: tuple[int, int], categories: Mapping[int, int], classes: ClassSpace, path: Path
) -> Instances:
    """The objects of one image; scores and crowd flags where one of them has any."""
    masks = InstanceMasks.pack_crops((crop_of_runs(_runs(entry, size_hw, path), size_hw) for entry in entries), size_hw)
    class_id = np.array([categories[entry["category_id"]] for entry in entries], np.int32)
    score = np.array([entry.get("score", 1.0) for entry in entries], np.float32)
    crowd = np.array([entry.get("iscrowd", 0) for entry in entries], np.bool_)
    scored = any("score" in entry for entry in entries)
    return Instances(masks, class_id, classes, score if scored else None, crowd if crowd.any() else None)


def _runs(entry: Mapping[str, Any], size_hw: tuple[int, int], path: Path) -> Any:
    shape = entry.get("segmentation")
    if not shape:
        raise DataError(
            f"{path} holds an object of image {entry['image_id']} without a mask (`segmentation`); boxes alone cannot be read as "
            "objects. Export the masks too."
        )
    if isinstance(shape, list):
        from faster_coco_eval import mask

        shape = mask.merge(mask.frPyObjects(shape, *size_hw))
    counts = shape["counts"]
    return runs_of_text(counts) if isinstance(counts, str | bytes) else counts
