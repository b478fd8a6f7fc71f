"""CVAT for images 1.1: one XML file with the shapes of all images, `annotations.xml`, of a task, a job or a project.

    EXPORT/annotations.xml      EXPORT/images/photo.jpg      of a project EXPORT/images/SUBSET/photo.jpg

Coordinates are x, y from the corner of the image: the canvas paints the image at (0, 0), so the centre of the first pixel is
(0.5, 0.5). A mask is the run lengths of its box, row by row, beginning with pixels that are not in it.

Read are masks, polygons, and boxes and ellipses, also turned; polylines, points, cuboids, skeletons and tags have no area and are
left out. Shapes of one label and one `group_id` are one object, as in CVAT's export of COCO, where a true `is_crowd` is a crowd.
Objects come in the order of `z_order`, the highest last, where label maps show it. Their attributes are kept. The classes are the
labels in the order of the file. Written are masks, which keep every pixel, or polygons, whose holes are reached by a slit.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat and the XML annotation format, version 1.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from intarsia.core import ClassSpace, DataError, Instances, SegmentationError
from intarsia.core.whole_file import written_whole
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Part, Tally, WriteReport, keys_of_names
from intarsia.data.formats._class_colors import hex_of, with_colors
from intarsia.data.formats._hostile import ends_of_file, read_xml, refused, safe_join
from intarsia.data.formats._images_beside import first_file
from intarsia.data.formats._polygons import Crop, crop_iou, joined_ring, mask_of_rings, polygons_of_object, united
from intarsia.data.formats._shapes import (
    NO_PIXEL,
    Drawn,
    mask_of_box,
    mask_of_ellipse,
    objects_of_drawn,
    placed_crops,
    points_of,
    require_size,
    sorted_classes,
)

__all__ = ["read_cvat", "recognizes_cvat", "write_cvat"]

FILE = "annotations.xml"
FORM = '<annotations><image name="" width="" height=""><polygon label="" points="x,y;x,y"/></image></annotations>'
CROWD_ATTRIBUTE = "is_crowd"
SPLIT_OF_SUBSET = {"validation": "val"}
UNKNOWN = "a shape of an unknown type was left out"
LOST = {
    "polyline": "a polyline has no area and was left out",
    "points": "points have no area and were left out",
    "cuboid": "a cuboid is no outline and was left out",
    "skeleton": "a skeleton has no area and was left out",
    "tag": "a tag of a whole image was left out",
}
NO_ATTRIBUTES = "attributes of objects were left out: the objects are not those that were read"

Attributes = dict[str, str]


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image of a file; travels to other processes."""

    path: Path
    entries: Mapping[str, str]
    classes: ClassSpace

    def __call__(self, key: str) -> Annotated:
        lost: list[str] = []
        attributes: list[Attributes] = []
        with refused(self.path, "file of CVAT", FORM):
            image = ET.fromstring(self.entries[key])
            size_hw = require_size(image.attrib["height"], image.attrib["width"], f"{self.path}, {key},")
            objects, _ = objects_of_drawn(_drawn(image, size_hw, attributes, lost), size_hw, self.classes)
        return Annotated(key, objects, tuple(lost), {"attributes": attributes} if any(attributes) else {})

    def alone(self, key: str) -> _Read:
        """A reader of one image, which other processes take in place of the whole file."""
        return replace(self, entries={key: self.entries[key]})


def read_cvat(path: str | Path, *, images: str | Path | None = None) -> AnnotatedSet:
    """Read an export.

    Args:
        path: the XML file, or the folder that holds it.
        images: the folder of the images; None: that of the file, or `images/` beside it.

    Raises:
        DataError: a file that cannot be read or is of another kind, or one without a label.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    root = read_xml(path)
    if root.tag != "annotations" or (root.find("track") is not None and root.find("image") is None):
        raise DataError(
            f"{path} is no file of CVAT for images ({'it holds tracks' if root.tag == 'annotations' else f'<{root.tag}>'}). "
            "Export it as `CVAT for images 1.1`."
        )
    with refused(path, "file of CVAT", FORM):
        found = root.findall("image")
        subsets = [image.attrib.get("subset", "").lower() for image in found]
        names = [image.attrib["name"] for image in found]
        if len(set(names)) < len(names):  # of a project, whose tasks may use a name twice
            names = [f"{subset}/{name}" if subset else name for subset, name in zip(subsets, names, strict=True)]
        if len(set(names)) < len(names):
            raise DataError(f"{path} holds images of one name twice; export its tasks one by one.")
        keys = keys_of_names(names, path)
        labels = [label for label in root.findall("meta/*/labels/label") if not label.findtext("parent")]
        colors = {_text(label, "name"): _text(label, "color") for label in labels}
        drawn = {shape.attrib["label"] for image in found for shape in image if shape.tag not in LOST}
        classes = sorted_classes(drawn, [name for name in colors if name])
        if classes is None:
            raise DataError(f"{path} holds {len(found)} images and no label.")
        folders = [Path(images)] if images is not None else [path.parent / "images", path.parent]
        places = {keys[name]: _place(image.attrib, folders, path) for name, image in zip(names, found, strict=True)}
        entries = {keys[name]: ET.tostring(image, "unicode") for name, image in zip(names, found, strict=True)}
    splits: dict[str, list[str]] = {}
    for name, subset in zip(names, subsets, strict=True):
        if subset not in ("", "default"):
            splits.setdefault(SPLIT_OF_SUBSET.get(subset, subset), []).append(keys[name])
    classes = with_colors(classes, colors)
    return AnnotatedSet(
        path.stem, "instance", classes, tuple(entries), _Read(path, entries, classes), images=places, splits=splits
    )


def write_cvat(path: str | Path, annotated: AnnotatedSet, *, polygons: bool = False, tolerance: float = 0) -> WriteReport:
    """Write a file that CVAT takes as `CVAT 1.1`; the images belong into `images/` beside.

    Args:
        path: the file.
        annotated: of kind instance.
        polygons: write outlines, whose corners can be moved in CVAT, and not masks.
        tolerance: pixels that outlines may move to have fewer corners; 0 keeps every pixel.
    """
    path, tally = Path(path), Tally()
    path.parent.mkdir(parents=True, exist_ok=True)
    subset_of = {split: subset.capitalize() for subset, split in SPLIT_OF_SUBSET.items()}
    of_key = {key: subset_of.get(split, split.capitalize()) for split, keys in annotated.splits.items() for key in keys}
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        file.write(f"{_meta(annotated)}\n")
        for number, (key, part) in enumerate(annotated.each(partial(_encode, polygons, tolerance))):
            size, shapes = part.content
            subset = {"subset": of_key[key]} if key in of_key else {}
            image = _element("image", {"id": number, "name": annotated.image_name(key), **subset, **size})
            for tag, attributes, notes in shapes:
                shape = _below(image, tag, attributes)
                for name, value in notes.items():
                    _below(shape, "attribute", {"name": name}).text = value
            file.write(f"{ET.tostring(image, 'unicode')}\n")
            tally.add(part)
        file.write("</annotations>\n")
    return tally.report()


def recognizes_cvat(path: Path) -> str | None:
    """Why this is an XML file of CVAT, or a folder with one; or None."""
    file = path / FILE if path.is_dir() else path
    ends = ends_of_file(file, ".xml")
    if "<annotations>" in ends[:400] and ("<image " in ends or "<meta>" in ends):
        return f"{file.name} is an XML file of `annotations` with images, as CVAT's are."
    return None


def _encode(polygons: bool, tolerance: float, annotated: Annotated) -> Part:
    objects = annotated.truth
    if not isinstance(objects, Instances):
        raise SegmentationError(f"{annotated.key}: CVAT's files hold objects, not a {type(objects).__name__}.")
    kept: Sequence[Attributes] = annotated.properties.get("attributes") or []
    lost = [NO_ATTRIBUTES] if kept and len(kept) != len(objects) else []
    shapes: list[Any] = []
    ious: list[float] = []
    for index, crop in enumerate(placed_crops(objects)):
        notes = dict(kept[index]) if len(kept) == len(objects) else {}
        if objects.is_crowd is not None and objects.is_crowd[index]:
            notes[CROWD_ATTRIBUTE] = "true"
        common = {"label": objects.classes.names[objects.class_id[index]], "source": "manual", "occluded": "0"}
        if polygons:
            line = joined_ring(polygons_of_object(objects, index, tolerance))
            ious.append(crop_iou(crop, mask_of_rings([line], objects.size_hw)))
            shape = [
                "polygon",
                {**common, "points": ";".join(f"{x:.9g},{y:.9g}" for x, y in line.tolist()), "z_order": "0"},
                notes,
            ]
        else:
            shape = ["mask", {**common, **_run_lengths(crop), "z_order": "0"}, notes]
        shapes.append(shape)
    height, width = objects.size_hw
    return Part.of(annotated, [{"width": width, "height": height}, shapes], lost=lost, ious=ious)


def _drawn(image: ET.Element, size_hw: tuple[int, int], attributes: list[Attributes], lost: list[str]) -> Iterator[Drawn]:
    """The objects that have a pixel, by height; what is said of each is appended to `attributes`."""
    groups: dict[tuple[str, int], list[tuple[ET.Element, Crop]]] = {}
    for number, shape in enumerate(sorted(image, key=lambda shape: int(shape.attrib.get("z_order") or 0))):
        crop = LOST.get(shape.tag) or _crop(shape, size_hw)
        if isinstance(crop, str):
            lost.append(crop)
            continue
        group = int(shape.attrib.get("group_id") or 0)
        groups.setdefault((shape.attrib["label"], group or -1 - number), []).append((shape, crop))
    for (label, _), parts in groups.items():
        crop = united([crop for _, crop in parts])
        if not crop[1].any():
            lost.append(NO_PIXEL)
            continue
        notes = {note.attrib["name"]: note.text or "" for shape, _ in parts for note in shape.findall("attribute")}
        is_crowd = notes.pop(CROWD_ATTRIBUTE, "").strip().lower() in ("true", "1")
        attributes.append(notes)
        yield Drawn(label, crop, is_crowd)


def _crop(shape: ET.Element, size_hw: tuple[int, int]) -> Crop | str:
    """The mask of a shape, or why it has none."""
    said = shape.attrib
    if shape.tag == "mask":
        return _mask(said, size_hw)
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in said["points"].split(";")]
        return mask_of_rings([points_of([[float(v) for v in pair] for pair in pairs])], size_hw)
    angle = math.radians(float(said.get("rotation") or 0))
    if shape.tag == "box":
        x0, y0, x1, y1 = (float(said[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        if not angle:
            return mask_of_box(x0, y0, x1, y1, size_hw)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        center = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        return mask_of_rings([(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) - center) @ turn + center], size_hw)
    if shape.tag == "ellipse":
        cx, cy, rx, ry = (float(said[name]) for name in ("cx", "cy", "rx", "ry"))
        return mask_of_ellipse((cx, cy), (rx, ry), size_hw, angle)
    return UNKNOWN


def _mask(said: Mapping[str, str], size_hw: tuple[int, int]) -> Crop:
    """Run lengths in a box of the image."""
    x, y, width, height = (int(said[name]) for name in ("left", "top", "width", "height"))
    if min(x, y) < 0 or min(width, height) < 1 or x + width > size_hw[1] or y + height > size_hw[0]:
        raise SegmentationError(f"A mask of {height} x {width} pixels at row {y}, column {x} leaves its image of {size_hw}.")
    runs = np.array([int(run) for run in said["rle"].split(",")], np.int64)
    if runs.min() < 0 or runs.max() > height * width or runs.sum() != height * width:
        raise SegmentationError(f"The run lengths of a mask add up to {runs.sum()}, and its box has {height} x {width} pixels.")
    return (y, x), np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)


def _run_lengths(crop: Crop) -> dict[str, str]:
    (y, x), mask = crop
    flat = mask.ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    box = {"left": x, "top": y, "width": mask.shape[1], "height": mask.shape[0]}
    return {"rle": ", ".join(map(str, runs)), **{name: str(value) for name, value in box.items()}}


def _meta(annotated: AnnotatedSet) -> str:
    meta = ET.Element("meta")
    task = _below(meta, "task", {})
    _below(task, "name", {}).text = annotated.name
    _below(task, "size", {}).text = str(len(annotated))
    labels = _below(task, "labels", {})
    for entry in annotated.classes.classes:
        label = _below(labels, "label", {})
        for name, text in (("name", entry.name), ("color", hex_of(entry.color)), ("type", "any"), ("attributes", "")):
            _below(label, name, {}).text = text
    return ET.tostring(meta, "unicode")


def _element(tag: str, attributes: Mapping[str, object]) -> ET.Element:
    return ET.Element(tag, {name: str(value) for name, value in attributes.items()})


def _below(parent: ET.Element, tag: str, attributes: Mapping[str, object]) -> ET.Element:
    element = _element(tag, attributes)
    parent.append(element)
    return element


def _text(element: ET.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _place(said: Mapping[str, str], folders: Sequence[Path], path: Path) -> Path:
    """Where an image is; in the first folder if it is in none."""
    names = [said["name"], *([f"{said['subset']}/{said['name']}"] if said.get("subset") else [])]
    places = [safe_join(folder, name, path) for folder in folders for name in names]
    return first_file(places)
