"""Label Studio: a JSON file of tasks, each an image with the annotations of one or several people.

    EXPORT/project.json      EXPORT/images/photo.jpg      EXPORT/label_config.xml

Read are the exports JSON and JSON-MIN: polygons, brush masks (`_brush_rle`), and rectangles and ellipses, also turned. Every
annotator of an image gives a truth, in the order of the file; what was skipped is left out. Coordinates are percent of width and
height from the corner of the image, so the centre of the first pixel is half a pixel in. A rectangle is turned about its corner
x, y, an ellipse about its centre. The classes are in the order of the labelling interface, where it lies beside as
`label_config.xml`, else sorted by name.

Written are brush masks, which keep every pixel, or polygons, whose holes are reached by a slit; and the interface, which belongs
into the settings of the project. Crowds are left out. An image is at /data/local-files/?d=images/photo.jpg, in the folder that
Label Studio serves.

Source: https://labelstud.io/guide/export and https://labelstud.io/guide/task_format.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree as ET

import numpy as np

from intarsia.core import BoolArray, ClassSpace, DataError, Instances, SegmentationError
from intarsia.core.whole_file import written_whole
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Part, Tally, WriteReport, keys_of_names
from intarsia.data.formats._brush_rle import decode_brush, encode_brush
from intarsia.data.formats._class_colors import hex_of, with_colors
from intarsia.data.formats._files import write_bytes
from intarsia.data.formats._hostile import ends_of_file, read_json, read_xml, refused, safe_join
from intarsia.data.formats._images_beside import first_file
from intarsia.data.formats._polygons import Crop, crop_iou, joined_ring, mask_of_rings, polygons_of_object
from intarsia.data.formats._shapes import (
    Drawn,
    mask_of_ellipse,
    objects_of_drawn,
    placed_crops,
    points_of,
    require_size,
    sorted_classes,
    without_crowds,
)
from intarsia.data.formats.image import read_image_size

__all__ = ["read_label_studio", "recognizes_label_studio", "write_label_studio"]

FILE = "label_studio.json"
CONFIG = "label_config.xml"
SERVED = "/data/local-files/?d="
FORM = '[{"data": {"image"}, "annotations": [{"result": [{"type", "value", "original_width", "original_height"}]}]}]'
NO_CLASS = "a region that does not say one class was left out"
NO_AREA = "a key point or another region without an area was left out"
NO_REGION = "an answer about a whole image was left out"
TURNED = "a region was left out: it was drawn on an image that was turned in the tool"
WORDS = re.compile(r'"(from_name|was_cancelled|annotation_id|(polygon|brush|rectangle|ellipse)labels)"')
UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of a file that is uploaded."""

Region = Mapping[str, Any]


@dataclass(frozen=True)
class _Task:
    """An image: its address, its data, and the regions of each annotator, each with its labels."""

    address: str
    data: Mapping[str, Any]
    annotations: tuple[Sequence[Region], ...]


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image of a file; travels to other processes."""

    path: Path
    tasks: Mapping[str, _Task]
    images: Mapping[str, Path]
    classes: ClassSpace

    def __call__(self, key: str) -> Annotated:
        lost: list[str] = []
        with refused(self.path, "file of Label Studio", FORM):
            task = self.tasks[key]
            size_hw = _size(task, f"{self.path}, {key},") or read_image_size(self.images[key])
            truths = []
            for regions in task.annotations:
                objects, empty = objects_of_drawn(_drawn(regions, size_hw, lost), size_hw, self.classes)
                truths.append(objects)
                lost += empty
        return Annotated(key, truths[0], tuple(lost), other_truths=tuple(truths[1:]))

    def alone(self, key: str) -> _Read:
        """A reader of one image, which other processes take in place of the whole file."""
        return replace(self, tasks={key: self.tasks[key]}, images={key: self.images[key]})


def read_label_studio(path: str | Path, *, images: str | Path | None = None) -> AnnotatedSet:
    """Read an export, JSON or JSON-MIN.

    Args:
        path: the file.
        images: the folder of the images; None: that of the file, or `images/` beside it.

    Raises:
        DataError: a file that cannot be read or is of another kind, or one without an annotated region.
    """
    path = Path(path)
    with refused(path, "file of Label Studio", FORM):
        found = [_task(entry) for entry in read_json(path)]
        by_address: dict[str, _Task] = {}
        for task in found:  # JSON-MIN has an entry for each annotator
            before = by_address.get(task.address)
            annotations = (*(before.annotations if before else ()), *task.annotations)
            by_address[task.address] = replace(task, annotations=annotations)
        tasks = [task for task in by_address.values() if task.annotations]
        without = len(by_address) - len(tasks)
        names = _names([task.address for task in tasks])
        keys = keys_of_names(names, path)
        of_key = {keys[name]: task for name, task in zip(names, tasks, strict=True)}
        labels = {label for task in tasks for regions in task.annotations for region in regions if (label := _label(region))}
        colors = _configured(path.with_name(CONFIG))
        classes = sorted_classes(labels, tuple(colors))
        if classes is None:
            raise DataError(f"{path} holds {len(by_address)} images and no region of a class.")
        folders = [Path(images)] if images is not None else [path.parent / "images", path.parent]
        times = Counter(PurePosixPath(name).name for name in names)
        places = {keys[name]: _place(name, times[PurePosixPath(name).name] == 1, folders, path) for name in names}
    classes = with_colors(classes, colors)
    several = sum(len(task.annotations) > 1 for task in tasks)
    notes = (
        *((f"{without} images without an annotation were left out.",) if without else ()),
        *((f"{several} images were annotated more than once; the first annotation is the truth.",) if several else ()),
    )
    return AnnotatedSet(
        path.stem, "instance", classes, tuple(of_key), _Read(path, of_key, places, classes), images=places, notes=notes
    )


def write_label_studio(path: str | Path, annotated: AnnotatedSet, *, polygons: bool = False, tolerance: float = 0) -> WriteReport:
    """Write tasks that Label Studio imports, and the labelling interface beside; the images belong into `images/` there.

    Args:
        path: the file.
        annotated: of kind instance; each truth of an image becomes an annotation.
        polygons: write outlines, whose corners can be moved, and not masks.
        tolerance: pixels that outlines may move to have fewer corners; 0 keeps every pixel.
    """
    path, tally = Path(path), Tally()
    write_bytes(path.with_name(CONFIG), _config(annotated.classes, polygons))
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        for number, (key, part) in enumerate(annotated.each(partial(_encode, polygons, tolerance)), 1):
            size, annotations = part.content
            address = SERVED + quote(f"images/{annotated.image_name(key)}")
            task = {"id": number, "data": {"image": address, **size}, "annotations": annotations}
            file.write(f"{'[' if number == 1 else ','}\n{json.dumps(task)}")
            tally.add(part)
        file.write("\n]\n" if len(annotated) else "[]\n")
    return tally.report()


def recognizes_label_studio(path: Path) -> str | None:
    """Why this is a file of Label Studio, or None."""
    ends = ends_of_file(path, ".json")
    if ends.lstrip("\ufeff \r\n\t").startswith("[") and WORDS.search(ends):
        return f"{path.name} is a JSON list of tasks with annotations, as Label Studio's are."
    return None


def _encode(polygons: bool, tolerance: float, annotated: Annotated) -> Part:
    annotations, written = [], list[Instances]()
    lost, ious = list[str](), list[float]()
    for number, truth in enumerate((annotated.truth, *annotated.other_truths), 1):
        if not isinstance(truth, Instances):
            raise SegmentationError(f"{annotated.key}: Label Studio's files hold objects, not a {type(truth).__name__}.")
        objects, crowds = without_crowds(truth)
        lost += crowds
        written.append(objects)
        result = []
        for index, crop in enumerate(placed_crops(objects)):
            value, iou = _outline(objects, index, crop, tolerance) if polygons else (_brush(objects, index), None)
            ious += [] if iou is None else [iou]
            kind = "polygonlabels" if polygons else "brushlabels"
            result.append(
                {
                    "id": f"object_{number}_{index + 1}",
                    "type": kind,
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": objects.size_hw[1],
                    "original_height": objects.size_hw[0],
                    "image_rotation": 0,
                    "value": {**value, kind: [objects.classes.names[objects.class_id[index]]]},
                }
            )
        annotations.append({"was_cancelled": False, "result": result})
    height, width = annotated.size_hw
    content = [{"width": width, "height": height}, annotations]
    return Part.of(replace(annotated, truth=written[0]), content, lost=lost, ious=ious)


def _outline(objects: Instances, index: int, crop: Crop, tolerance: float) -> tuple[dict[str, Any], float]:
    scale = np.array(objects.size_hw[::-1], np.float64) / 100
    points = joined_ring(polygons_of_object(objects, index, tolerance)) / scale
    return {"points": points.tolist(), "closed": True}, crop_iou(crop, mask_of_rings([points * scale], objects.size_hw))


def _brush(objects: Instances, index: int) -> dict[str, Any]:
    return {"format": "rle", "rle": encode_brush(objects.masks.mask(index))}


def _task(entry: Mapping[str, Any]) -> _Task:
    """A task of either export."""
    if "data" not in entry:
        results = [
            {"value": value, **{name: value.get(name) for name in ("original_width", "original_height", "image_rotation")}}
            for field in entry.values()
            if isinstance(field, list)
            for value in field
            if isinstance(value, dict)
        ]
        return _Task(_address(entry), entry, () if entry.get("was_cancelled") else (results,))
    annotations = [each for each in entry.get("annotations") or entry.get("completions") or () if not each.get("was_cancelled")]
    return _Task(_address(entry["data"]), entry["data"], tuple(_labelled(each["result"]) for each in annotations))


def _labelled(results: Iterable[Region]) -> Sequence[Region]:
    """The regions of an annotation; one whose labels are a result of their own, of the same id, gets them."""
    of_id: dict[str, Any] = {}
    regions = []
    for result in results:
        if result.get("type") == "labels":
            of_id[str(result.get("id"))] = result["value"]["labels"]
        else:
            regions.append(result)
    return [{**region, "labels": of_id.get(str(region.get("id")))} for region in regions]


def _address(data: Mapping[str, Any]) -> str:
    """Where a task says that its image is: in the field `image`, or the first that names one."""
    found = [data.get("image"), *data.values()]
    is_image = re.compile(r"\.(png|jpe?g|tiff?|bmp|webp)\b", re.IGNORECASE)
    said = next((value for value in found if isinstance(value, str) and (value == found[0] or is_image.search(value))), None)
    if said is None:
        raise ValueError(f"a task names no image, but {', '.join(map(str, data))}")
    return said


def _names(addresses: Sequence[str]) -> list[str]:
    """The name of the image at each address: the path that Label Studio serves, else its last part if that tells all apart."""
    paths, short = [], []
    for address in addresses:
        parts = urlsplit(address.replace("\\", "/"))
        served = parse_qs(parts.query).get("d")
        path = served[-1] if served else unquote(parts.path)
        is_name = served or not (parts.scheme or parts.netloc or path.startswith("/"))
        paths.append(path.lstrip("/").removeprefix("images/"))
        short.append(paths[-1] if is_name else PurePosixPath(path).name)
    return short if len(set(short)) == len(short) else paths


def _place(name: str, is_unique: bool, folders: Sequence[Path], path: Path) -> Path:
    """Where an image is; under its name in the first folder if it is in none."""
    last = PurePosixPath(name.replace("\\", "/")).name
    names = [name, *((last, UPLOADED.sub("", last)) if is_unique else ())]
    places = [safe_join(folder, each, path) for each in names if each for folder in folders]
    return first_file(places)


def _size(task: _Task, where: str) -> tuple[int, int] | None:
    """The size that regions or the task say."""
    said = [(region.get("original_height"), region.get("original_width")) for regions in task.annotations for region in regions]
    for height, width in [*said, (task.data.get("height"), task.data.get("width"))]:
        if height is not None and width is not None:
            return require_size(height, width, where)
    return None


def _label(region: Region) -> str | None:
    """The class of a region; None unless it is one."""
    value = region.get("value") or {}
    labels = next((value[name] for name in value if name.endswith("labels")), None) or region.get("labels")
    return str(labels[0]) if isinstance(labels, list) and len(labels) == 1 else None


def _drawn(regions: Iterable[Region], size_hw: tuple[int, int], lost: list[str]) -> Iterator[Drawn]:
    for region in regions:
        value = region.get("value") or {}
        crop = _crop(value, size_hw) if not region.get("image_rotation") else TURNED
        if isinstance(crop, str):
            lost.append(crop)
        elif (label := _label(region)) is None:
            lost.append(NO_CLASS)
        else:
            yield Drawn(label, crop)


def _crop(value: Mapping[str, Any], size_hw: tuple[int, int]) -> Crop | str:
    """The mask of a region, or why it has none."""
    height, width = size_hw
    scale = np.array([width, height], np.float64) / 100
    if "rle" in value:
        return _smallest(decode_brush(value["rle"], size_hw))
    if "points" in value:
        return mask_of_rings([points_of(value["points"]) * scale], size_hw)
    if not {"x", "y"} <= set(value):
        return NO_REGION
    corner = np.array([float(value["x"]), float(value["y"])]) * scale
    angle = math.radians(float(value.get("rotation") or 0))
    if "radiusX" in value:
        radii = float(value["radiusX"]) * width / 100, float(value["radiusY"]) * height / 100
        return mask_of_ellipse((float(corner[0]), float(corner[1])), radii, size_hw, angle)
    if "height" not in value:
        return NO_AREA
    along, down = float(value["width"]) * width / 100, float(value["height"]) * height / 100
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return mask_of_rings([np.array([[0, 0], [along, 0], [along, down], [0, down]]) @ turn + corner], size_hw)


def _smallest(mask: BoolArray) -> Crop:
    """A mask in its smallest box, so that many of large images stay small."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return (0, 0), mask[:0, :0]
    return (int(rows[0]), int(columns[0])), mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()


def _config(classes: ClassSpace, polygons: bool) -> bytes:
    """The labelling interface."""
    view = ET.Element("View")
    ET.SubElement(view, "Image", {"name": "image", "value": "$image"})
    labels = ET.SubElement(view, "PolygonLabels" if polygons else "BrushLabels", {"name": "label", "toName": "image"})
    for entry in classes.classes:
        ET.SubElement(labels, "Label", {"value": entry.name, "background": hex_of(entry.color)})
    content: bytes = ET.tostring(view, "utf-8")
    return content


def _configured(path: Path) -> dict[str, str]:
    """The classes of the labelling interface in order, with their colours; none without it."""
    if not path.is_file():
        return {}
    return {label.attrib["value"]: label.attrib.get("background", "") for label in read_xml(path).iter("Label")}
