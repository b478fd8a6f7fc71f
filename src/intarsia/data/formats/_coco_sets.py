"""COCO's two kinds of JSON file as annotated sets: instances, and panoptic segments with their folder of PNG files.

Image ids and category ids count from 1 in what is written, in the order of the images and the classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from intarsia.core import Instances, Panoptic, SegmentationError
from intarsia.core.rle import crop_of_runs
from intarsia.data.formats._annotated import (
    OTHER_TRUTH,
    Annotated,
    AnnotatedSet,
    Part,
    Tally,
    WriteReport,
    keys_of_names,
    require_safe_key,
)
from intarsia.data.formats._hostile import ends_of_file
from intarsia.data.formats._polygons import crop_iou, joined_ring, polygons_of_object
from intarsia.data.formats.coco import CocoFile, CocoWriter, entries_of_objects, read_coco, runs_of_entry
from intarsia.data.formats.coco_panoptic import (
    CocoPanopticFile,
    CocoPanopticWriter,
    entries_of_segments,
    read_coco_panoptic,
    write_segment_ids,
)

__all__ = [
    "read_coco_panoptic_set",
    "read_coco_set",
    "recognizes_coco",
    "recognizes_coco_panoptic",
    "write_coco_panoptic_set",
    "write_coco_set",
]

NO_PIXEL = "an object without a pixel was left out"


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image of a file; travels to other processes."""

    file: CocoFile | CocoPanopticFile
    name_of_key: dict[str, str] = field(repr=False)

    def __call__(self, key: str) -> Annotated:
        name = self.name_of_key[key]
        if isinstance(self.file, CocoPanopticFile):
            return Annotated(key, self.file.read(name))
        objects = self.file.instances[name]
        has_pixels = objects.masks.areas() > 0
        lost = (NO_PIXEL,) * int((~has_pixels).sum())
        return Annotated(key, objects.select(has_pixels) if lost else objects, lost)

    def alone(self, key: str) -> _Read:
        """A reader of one image, which other processes take in place of the whole file."""
        name = self.name_of_key[key]
        file = self.file.limited(name)
        return _Read(file, {key: name})


def read_coco_set(path: str | Path, *, images: str | Path | None = None) -> AnnotatedSet:
    """Read a JSON file of COCO instances.

    Args:
        path: the file.
        images: the folder that the file names in it are in; None: the first that holds the first of
            `images/`, a folder called as the split, others beside the JSON file, or its own folder.

    Raises:
        DataError: a file that cannot be read or contradicts itself, or names images outside the folder.
    """
    path = Path(path)
    file = read_coco(path)
    keys = keys_of_names(file.instances, path)
    root = _image_root(path, images, file.instances)
    return AnnotatedSet(
        name=path.stem,
        kind="instance",
        classes=file.classes,
        keys=tuple(keys.values()),
        reader=_Read(file, {key: name for name, key in keys.items()}),
        images={key: root / name for name, key in keys.items()},
    )


def write_coco_set(path: str | Path, annotated: AnnotatedSet, *, polygons: bool = False, tolerance: float = 0.0) -> WriteReport:
    """Write objects as one JSON file, image by image.

    Args:
        path: the file.
        annotated: of kind instance.
        polygons: write outlines in place of run lengths, for programs that take nothing else; crowds stay run lengths. A piece of
            an object is one polygon, and its holes are reached by slits. The COCO API draws polygons in its own way, on a grid
            five times finer, so the IoU with what it reads is measured.
        tolerance: pixels that outlines may move to have fewer corners.
    """
    tally = Tally()
    with CocoWriter(path, annotated.classes) as file:
        for key, part in annotated.each(partial(_encode_objects, polygons, tolerance)):
            file.add_entries(annotated.image_name(key), part.content["size"], part.content["objects"])
            tally.add(part)
    return tally.report()


def recognizes_coco(path: Path) -> str | None:
    """Why this is a JSON file of COCO instances, or None."""
    ends = _ends_of_json(path)
    if "segments_info" in ends or not _names(ends, "annotations", "images", "categories"):
        return None
    return f"{path.name} is a JSON object with `annotations`, `images` and `categories`, as COCO's files of instances are."


def read_coco_panoptic_set(path: str | Path, *, images: str | Path | None = None) -> AnnotatedSet:
    """Read a JSON file of COCO panoptic segments, whose PNG files are in the folder of its name.

    Args:
        path: the JSON file.
        images: the folder that the images are in; None: the first that holds the first of
            `images/`, a folder called as the split, others beside the JSON file, or its own folder.

    Raises:
        DataError: a file that cannot be read or contradicts itself, PNG files that are missing, or names outside the folder.
    """
    path = Path(path)
    file = read_coco_panoptic(path)
    keys = keys_of_names(file.segments, path)
    for image in file.images.values():
        require_safe_key(image, path)
    root = _image_root(path, images, (file.images.get(name, name) for name in file.segments))
    return AnnotatedSet(
        name=path.stem,
        kind="panoptic",
        classes=file.classes,
        keys=tuple(keys.values()),
        reader=_Read(file, {key: name for name, key in keys.items()}),
        images={key: root / file.images.get(name, name) for name, key in keys.items()},
    )


def write_coco_panoptic_set(path: str | Path, annotated: AnnotatedSet) -> WriteReport:
    """Write panoptic maps as one JSON file, and their PNG files into the folder of its name.

    Raises:
        SegmentationError: an id above 2**24 - 1.
    """
    folder, tally = Path(path).with_suffix(""), Tally()
    with CocoPanopticWriter(path, annotated.classes) as file:
        for key, part in annotated.each(partial(_encode_segments, folder)):
            file.add_entries(f"{key}.png", annotated.image_name(key), part.content["size"], part.content["segments"])
            tally.add(part)
    return tally.report()


def recognizes_coco_panoptic(path: Path) -> str | None:
    """Why this is a JSON file of COCO panoptic segments, or None."""
    ends = _ends_of_json(path)
    if "segments_info" not in ends or not path.with_suffix("").is_dir():
        return None
    return f"{path.name} is a JSON file with `segments_info`, and {path.stem}/ lies beside it, as COCO's panoptic files do."


def _encode_objects(polygons: bool, tolerance: float, annotated: Annotated) -> Part:
    objects = annotated.truth
    if not isinstance(objects, Instances):
        raise SegmentationError(f"{annotated.key}: COCO instances hold objects, not a {type(objects).__name__}.")
    entries, ious = list(entries_of_objects(objects)), []
    for index, entry in enumerate(entries if polygons else ()):
        outlines = [] if entry["iscrowd"] else polygons_of_object(objects, index, tolerance)
        if outlines:
            entry["segmentation"] = [joined_ring([outline]).ravel().tolist() for outline in outlines]
            drawn = crop_of_runs(runs_of_entry(entry, objects.size_hw), objects.size_hw)
            x, y = objects.masks.boxes_xyxy[index, :2].tolist()
            ious.append(crop_iou(((y, x), objects.masks.crop(index)), drawn))
    content = {"size": list(annotated.size_hw), "objects": entries}
    return Part.of(annotated, content, lost=[OTHER_TRUTH] * len(annotated.other_truths), ious=ious)


def _encode_segments(folder: Path, annotated: Annotated) -> Part:
    panoptic = annotated.truth
    if not isinstance(panoptic, Panoptic):
        raise SegmentationError(f"{annotated.key}: COCO panoptic files hold panoptic maps, not a {type(panoptic).__name__}.")
    write_segment_ids(folder / f"{annotated.key}.png", panoptic)
    segments = entries_of_segments(panoptic)
    lost = [OTHER_TRUTH] * len(annotated.other_truths) + [NO_PIXEL] * (len(panoptic.segments) - len(segments))
    return Part.of(annotated, {"size": list(panoptic.size_hw), "segments": segments}, lost=lost)


def _ends_of_json(path: Path) -> str:
    """The beginning and the end of a JSON object in a file; empty where it is none."""
    text = ends_of_file(path, ".json")
    return text if text.lstrip("\ufeff \t\r\n").startswith("{") else ""


def _names(text: str, *keys: str) -> bool:
    """Whether two or more of these keys stand in the text: the ends of a large file need not show the third."""
    return sum(re.search(rf'"{key}"\s*:\s*\[', text) is not None for key in keys) >= 2


def _image_root(path: Path, images: str | Path | None, names: Iterable[str]) -> Path:
    """The first of the usual folders that holds the first image."""
    if images is not None:
        return Path(images)
    tail, first = re.sub(r"^(instances|panoptic)_?", "", path.stem), next(iter(names), "")
    beside, above = path.parent, path.parent.parent
    usual = [beside / "images" / tail, beside / "images", beside, beside / tail, above / tail, above / "images"]
    usual += sorted(folder for folder in beside.iterdir() if folder.is_dir() and folder != path.with_suffix(""))
    return next((folder for folder in usual if first and (folder / first).is_file()), usual[1] if usual[1].is_dir() else beside)
