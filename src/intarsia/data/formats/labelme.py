"""labelme: a JSON file for each image, with a list of shapes; shapes of one label and one `group_id` are one object.

    EXPORT/photo.jpg      EXPORT/photo.json      also in folders below, or all of it in EXPORT/images/
    EXPORT/labels.txt     the classes in order (`labelme --labels`); without it they are sorted by name

Coordinates are x, y from the corner of the image: labelme's canvas paints the image at (0, 0), so the centre of the first pixel
is (0.5, 0.5). A pixel belongs to a shape that covers its centre; labelme's own export by Pillow adds the pixels that outlines
touch, and so makes every object up to a pixel wider. The copy of the image in the JSON (`imageData`) is not read and not written.

Read are polygon, rectangle, circle (centre and a point of its rim), mask, and, with a width, line, linestrip and point, which
have no area of their own. Written are polygons: a piece of an object each, of one `group_id`; holes are reached by a slit, so
nothing is lost. A crowd has the flag `iscrowd`. Source: https://github.com/wkentaro/labelme, label files of version 5.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import PngImagePlugin

from intarsia.core import Array, ClassSpace, DataError, Instances, SegmentationError
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Part, Tally, WriteReport, keys_of_names
from intarsia.data.formats._decode import pillow_pixels
from intarsia.data.formats._few_files import few_files
from intarsia.data.formats._files import write_bytes
from intarsia.data.formats._hostile import ends_of_file, read_json, refused, safe_join
from intarsia.data.formats._polygons import (
    Crop,
    crop_iou,
    joined_ring,
    mask_of_rings,
    polygons_of_object,
    united,
)
from intarsia.data.formats._shapes import (
    Drawn,
    mask_of_box,
    mask_of_ellipse,
    mask_of_line,
    objects_of_drawn,
    placed_crops,
    points_of,
    require_size,
    sorted_classes,
)
from intarsia.data.formats.image import read_image_size

__all__ = ["read_labelme", "recognizes_labelme", "write_labelme"]

LABELS = "labels.txt"
VERSION = "5.5.0"
NO_AREA = "a line or point has no area and was left out (`line_width` gives it one)"
UNKNOWN = "a shape of an unknown type was left out"
IGNORED = "a shape called __ignore__ was left out: objects cannot say that pixels are without truth"
NO_CLASSES = ("__ignore__", "_background_")


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image; travels to other processes."""

    folder: Path
    root: Path
    classes: ClassSpace
    line_width: float

    def __call__(self, key: str) -> Annotated:
        path = self.root / f"{key}.json"
        with refused(path, "file of labelme", FORM):
            content = read_json(path)
            size_hw = _size(content, path, self.folder)
            groups: dict[tuple[str, object], list[Crop]] = {}
            crowds: set[tuple[str, object]] = set()
            lost: list[str] = []
            for number, shape in enumerate(content["shapes"]):
                label = str(shape["label"])
                if label in NO_CLASSES:
                    lost += [IGNORED] if label == "__ignore__" else []
                    continue
                crop = _crop(shape, size_hw, self.line_width)
                if isinstance(crop, str):
                    lost.append(crop)
                    continue
                group = shape.get("group_id")
                own = (label, f"shape {number}" if group is None else int(group))
                groups.setdefault(own, []).append(crop)
                if (shape.get("flags") or {}).get("iscrowd"):
                    crowds.add(own)
            drawn = (Drawn(own[0], united(crops), own in crowds) for own, crops in groups.items())
            objects, empty = objects_of_drawn(drawn, size_hw, self.classes)
        flags = {str(name): bool(value) for name, value in (content.get("flags") or {}).items()}
        return Annotated(key, objects, (*lost, *empty), {"flags": flags} if flags else {})


FORM = '{"shapes": [{"label", "points", "shape_type", ...}], "imagePath", "imageHeight", "imageWidth"}'


def read_labelme(path: str | Path, *, line_width: float = 0) -> AnnotatedSet:
    """Read a folder of labelme's JSON files; all are looked at for the list of classes.

    Args:
        path: the folder.
        line_width: pixels of lines, and the diameter of points; 0 leaves them out and says so.

    Raises:
        DataError: no such file, one that cannot be read, or one of another kind.
    """
    path = Path(path)
    root = path / "images" if next((path / "images").rglob("*.json"), None) is not None else path
    files = sorted(file for file in root.rglob("*.json") if not file.name.startswith("."))
    if not files:
        raise DataError(f"{path} holds no JSON file of labelme, one for each image.")
    keys = keys_of_names([file.relative_to(root).as_posix() for file in files], path)
    images: dict[str, Path] = {}
    labels: set[str] = set()
    for file, key in zip(files, keys.values(), strict=True):
        with refused(file, "file of labelme", FORM):
            content = read_json(file)
            labels.update(str(shape["label"]) for shape in content["shapes"])
            images[key] = _image(str(content["imagePath"]), file, path)
    listed = (path / LABELS).read_text("utf-8", "replace").splitlines() if (path / LABELS).is_file() else []
    declared = [name for name in dict.fromkeys(line.strip() for line in listed) if name and name not in NO_CLASSES]
    classes = sorted_classes(labels.difference(NO_CLASSES), declared)
    if classes is None:
        raise DataError(f"{path} holds {len(files)} files of labelme without a single shape, and no {LABELS} that names classes.")
    return AnnotatedSet(
        name=path.resolve().name,
        kind="instance",
        classes=classes,
        keys=tuple(keys.values()),
        reader=_Read(path, root, classes, line_width),
        images=images,
    )


def write_labelme(path: str | Path, annotated: AnnotatedSet, *, tolerance: float = 0) -> WriteReport:
    """Write a JSON file for each image: beside the image where that is below the folder, else where it would be.

    Args:
        path: the folder.
        annotated: of kind instance.
        tolerance: pixels that outlines may move to have fewer corners; 0 keeps every pixel.
    """
    path, tally = Path(path), Tally()
    write_bytes(path / LABELS, "".join(f"{name}\n" for name in annotated.classes.names).encode())
    names = {key: annotated.image_name(key) for key in annotated.keys}
    beside = all(annotated.image_path(key) == path / "images" / name for key, name in names.items())
    for _, part in annotated.each(partial(_encode, path / "images" if beside else path, names, tolerance)):
        tally.add(part)
    return tally.report()


def recognizes_labelme(path: Path) -> str | None:
    """Why this is a folder of labelme's JSON files, or None."""
    if not path.is_dir():
        return None
    for file in few_files(path, ".json"):
        ends = ends_of_file(file, ".json")
        if '"shapes"' in ends and ('"imagePath"' in ends or '"imageData"' in ends):
            return f"{file.name} has `shapes` and an `imagePath`, as labelme's files have."
    return None


def _encode(folder: Path, names: Mapping[str, str], tolerance: float, annotated: Annotated) -> Part:
    objects = annotated.truth
    if not isinstance(objects, Instances):
        raise SegmentationError(f"{annotated.key}: labelme holds objects, not a {type(objects).__name__}.")
    shapes: list[dict[str, Any]] = []
    ious: list[float] = []
    for index, ((y, x), crop) in enumerate(placed_crops(objects)):
        rings = [joined_ring([polygon]) for polygon in polygons_of_object(objects, index, tolerance)]
        ious.append(crop_iou(((y, x), crop), united([mask_of_rings([ring], objects.size_hw) for ring in rings])))
        is_crowd = objects.is_crowd is not None and bool(objects.is_crowd[index])
        shapes += [
            {
                "label": objects.classes.names[objects.class_id[index]],
                "points": ring.tolist(),
                "group_id": index + 1 if len(rings) > 1 else None,
                "description": "",
                "shape_type": "polygon",
                "flags": {"iscrowd": True} if is_crowd else {},
                "mask": None,
            }
            for ring in rings
        ]
    content = {
        "version": VERSION,
        "flags": dict(annotated.properties.get("flags") or {}),
        "shapes": shapes,
        "imagePath": PurePosixPath(names[annotated.key]).name,
        "imageData": None,
        "imageHeight": objects.size_hw[0],
        "imageWidth": objects.size_hw[1],
    }
    write_bytes(folder / f"{annotated.key}.json", json.dumps(content, indent=2, ensure_ascii=False).encode())
    return Part.of(annotated, ious=ious)


def _size(content: Mapping[str, Any], path: Path, folder: Path) -> tuple[int, int]:
    """As the file says; older ones do not, and then as the image is."""
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if height is None or width is None:
        return read_image_size(_image(str(content["imagePath"]), path, folder))
    return require_size(height, width, path)


def _image(name: str, file: Path, folder: Path) -> Path:
    """Where `imagePath` says; a path of another machine, or out of the folder, means the image of that name beside the file."""
    said = name.replace("\\", "/")
    inside = os.path.relpath(os.path.normpath(file.parent / said), folder)
    if inside.startswith("..") or Path(said).is_absolute() or said[1:2] == ":":
        inside = os.path.relpath(file.parent / PurePosixPath(said).name, folder)
    return safe_join(folder, inside, file)


def _crop(shape: Mapping[str, Any], size_hw: tuple[int, int], line_width: float) -> Crop | str:
    """The mask of a shape, or why it has none."""
    points, kind = points_of(shape["points"]), shape.get("shape_type") or "polygon"
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points.tolist()
        return mask_of_box(x0, y0, x1, y1, size_hw)
    if kind in ("polygon", "rectangle"):
        return mask_of_rings([points], size_hw)
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        return mask_of_ellipse((float(points[0, 0]), float(points[0, 1])), (radius, radius), size_hw)
    if kind == "mask":
        return _mask(str(shape["mask"]), points, size_hw)
    if kind not in ("line", "linestrip", "point", "points"):
        return UNKNOWN
    if line_width <= 0:
        return NO_AREA
    lines = [points] if kind.startswith("line") else list(points[:, None])
    return united([mask_of_line(line, line_width, size_hw) for line in lines])


def _mask(text: str, points: Array, size_hw: tuple[int, int]) -> Crop:
    """A PNG in base64 of the pixels in a box, whose corners are its first and its last pixel."""
    (x0, y0), (x1, y1) = points.astype(np.int64).tolist()
    try:
        image = PngImagePlugin.PngImageFile(BytesIO(base64.b64decode(text)))
        if image.size != (x1 - x0 + 1, y1 - y0 + 1) or min(x0, y0) < 0 or x1 >= size_hw[1] or y1 >= size_hw[0]:
            raise DataError(f"it has {image.size} (width, height) pixels, and its box is {points.tolist()}")
        values = pillow_pixels(image, "PNG").values
    except Exception as error:  # Pillow raises whatever it likes on damaged data
        raise SegmentationError(f"A shape of type mask cannot be read ({error}).") from error
    return (y0, x0), values.reshape(*values.shape[:2], -1).max(-1) > 0
