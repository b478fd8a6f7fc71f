"""The arrangement of PASCAL VOC: an XML file for each image, and PNG masks of its classes and of its objects.

    ROOT/JPEGImages/NAME.jpg                 or ROOT/images/NAME.*
    ROOT/Annotations/NAME.xml                size, and name and box of each object
    ROOT/SegmentationClass/NAME.png          class of each pixel, 255 without truth
    ROOT/SegmentationObject/NAME.png         number of the object; without this folder the set is of kind semantic
    ROOT/ImageSets/Segmentation/train.txt    names of a split; also val and test
    ROOT/labelmap.txt                        NAME:R,G,B:: on each line in order, as CVAT exports it

The masks are the truth, and boxes are not read: in VOC they count pixels from 1 and include the last. Classes are those stored in
masks of ours, else of labelmap.txt, else of class_names.txt (labelme's export), else VOC's own 21. All but "background" are
things; pixels of a thing without a number are a crowd, and what is void stays so. Masks of more than 255 values are 16 bits deep,
which VOC's never are.

Source: Everingham et al., "The PASCAL Visual Object Classes Challenge 2012 (VOC2012) Development Kit", sections 3 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from intarsia.core import (
    ClassSpace,
    ClassSpaceError,
    DataError,
    Instances,
    LabelMap,
    Panoptic,
    SegmentationClass,
    SegmentationError,
    default_color,
)
from intarsia.data.formats import write_mask
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Part, Tally, WriteReport, keys_of_names
from intarsia.data.formats._files import read_bytes, write_bytes
from intarsia.data.formats._find_image import find_image
from intarsia.data.formats._hostile import read_xml, refused
from intarsia.data.formats._masks import label_map, palette_of, read_mask_values, require_kind, write_ids
from intarsia.data.formats._views import View, renumbered
from intarsia.data.formats.class_instance import segments_of

__all__ = ["read_voc", "VOC_CLASSES", "recognizes_voc", "write_voc"]  # noqa: RUF022 - the catalogue offers the first

KINDS = ("panoptic", "instance", "semantic")
BACKGROUND = "background"
VOID = 255
VOID_COLOR = (224, 224, 192)
NAMES = (
    *(BACKGROUND, "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable"),
    *("dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOC_CLASSES = ClassSpace(
    tuple(SegmentationClass(name, default_color(index), is_thing=index > 0) for index, name in enumerate(NAMES)),
    ignore_id=VOID,
    ignore_sources=(VOID_COLOR,),
)
"""Background and the 20 classes with VOC's colours."""

CLASS_MASKS, OBJECT_MASKS, XML, LISTS = "SegmentationClass", "SegmentationObject", "Annotations", "ImageSets/Segmentation"
LABEL_MAP, LABELME_NAMES = "labelmap.txt", "class_names.txt"
SPLITS = ("train", "val", "test")
FLAGS = {"pose": "Unspecified", "truncated": "0", "difficult": "0"}

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image; travels to other processes."""

    root: Path
    classes: ClassSpace
    has_objects: bool

    def __call__(self, key: str) -> Annotated:
        path = self.root / CLASS_MASKS / f"{key}.png"
        labels = self._labels(path)
        file = self.root / XML / f"{key}.xml"
        properties = {"objects": flags} if file.is_file() and (flags := _flags(file)) else {}
        if not self.has_objects:
            return Annotated(key, labels, (), properties)
        object_path = self.root / OBJECT_MASKS / f"{key}.png"
        numbers = read_mask_values(object_path)
        require_kind(numbers, object_path, "index", "palette")
        if numbers.values.shape != labels.ids.shape:
            raise DataError(
                f"{object_path} is {numbers.values.shape} and {path} {labels.ids.shape} (height, width); they must agree."
            )
        known = np.where(labels.ids == self.classes.ignore_id, 0, numbers.values.astype(np.int64))
        return Annotated(key, segments_of(labels, known, path, object_path), (), properties)

    def _labels(self, path: Path) -> LabelMap:
        """The class of each pixel, by its colour where that is known, else by its number."""
        mask = read_mask_values(path)
        if mask.classes is None and mask.kind != "index":
            try:
                return LabelMap(label_map(mask, _by_color(self.classes), path).ids, self.classes)
            except ClassSpaceError:
                require_kind(mask, path, "palette")
        return label_map(mask, self.classes, path)


def read_voc(path: str | Path, *, classes: ClassSpace | None = None) -> AnnotatedSet:
    """Read a folder.

    Args:
        path: the folder.
        classes: what the values of SegmentationClass mean; None: as said above.

    Raises:
        DataError: no masks, one that cannot be read, or a list of names that cannot be read.
    """
    path = Path(path)
    files = sorted((path / CLASS_MASKS).rglob("*.png"))
    if not files:
        raise DataError(f"{path} holds no masks {CLASS_MASKS}/NAME.png, as PASCAL VOC has. Boxes (XML) are no segmentation.")
    keys = tuple(keys_of_names([file.relative_to(path / CLASS_MASKS).as_posix() for file in files], path).values())
    notes: list[str] = []
    if classes is None:
        classes, why = _classes(path, files[0])
        notes.append(why)
    has_objects = (path / OBJECT_MASKS).is_dir() and bool(classes.thing_ids)
    missing = [key for key in keys if has_objects and not (path / OBJECT_MASKS / f"{key}.png").is_file()]
    if missing:
        raise DataError(f"{path / OBJECT_MASKS} lacks {len(missing)} of {len(keys)} masks: {', '.join(missing[:5])}.")
    splits, given = _splits(path, frozenset(keys), notes), path / "JPEGImages"
    boxes_only = len({file.stem for file in (path / XML).glob("*.xml")}.difference(key.rpartition("/")[2] for key in keys))
    notes += [f"{boxes_only} images have boxes only and were left out."] if boxes_only else []
    return AnnotatedSet(
        name=path.resolve().name,
        kind="panoptic" if has_objects else "semantic",
        classes=classes,
        keys=keys,
        reader=_Read(path, classes, has_objects),
        images={key: find_image(given / key, path / "images" / key) or given / f"{key}.jpg" for key in keys},
        splits=splits,
        notes=tuple(notes),
    )


def write_voc(path: str | Path, annotated: AnnotatedSet) -> WriteReport:
    """Write masks, XML, lists and `labelmap.txt`; the images belong into JPEGImages/ or images/.

    Objects get a class "background" in front of theirs if they have none. A pixel belongs to one object, the earlier one.
    """
    path, tally = Path(path), Tally()
    classes = annotated.classes
    if annotated.kind == "instance" and BACKGROUND not in classes.names:
        entries = (SegmentationClass(BACKGROUND, default_color(0)), *(replace(c, is_thing=True) for c in classes.classes))
        colored = tuple(replace(c, color=default_color(index), sources=()) for index, c in enumerate(entries))
        classes = ClassSpace(colored, ignore_id=255 if len(entries) <= 255 else 65535)
    names = {key: annotated.image_name(key) for key in annotated.keys}
    for _, part in annotated.each(partial(_encode, path, classes, names)):
        tally.add(part)
    for split, keys in annotated.splits.items():
        if keys:
            write_bytes(path / LISTS / f"{split}.txt", "".join(f"{key}\n" for key in keys).encode())
    lines = [f"{c.name}:{','.join(map(str, c.color))}::\n" for c in classes.classes]
    write_bytes(path / LABEL_MAP, "".join(["# label:color_rgb:parts:actions\n", *lines]).encode())
    return tally.report()


def recognizes_voc(path: Path) -> str | None:
    """Why this is a folder in the arrangement of PASCAL VOC, or None."""
    if not ((path / CLASS_MASKS).is_dir() and (path / XML).is_dir()):
        return None
    return f"It has the folders {XML}/ and {CLASS_MASKS}/, as PASCAL VOC has."


def _encode(path: Path, classes: ClassSpace, names: Mapping[str, str], annotated: Annotated) -> Part:
    truth = annotated.truth
    lost: tuple[str, ...] = ()
    if isinstance(truth, Instances):
        truth, lost = View("instance", "panoptic", classes).of(renumbered(truth, classes))
    objects: list[tuple[str, Box]] = []
    if isinstance(truth, Panoptic):
        labels = truth.to_label_map()
        objects = _write_numbers(path / OBJECT_MASKS / f"{annotated.key}.png", truth)
    elif isinstance(truth, LabelMap):
        labels = truth
    else:
        raise SegmentationError(f"{annotated.key}: VOC's masks hold no {type(truth).__name__}.")
    write_mask(path / CLASS_MASKS / f"{annotated.key}.png", labels)
    known = annotated.properties.get("objects") or ()
    flags = known if len(known) == len(objects) else [{}] * len(objects)
    xml = _xml(names[annotated.key], labels.size_hw, objects, flags)
    write_bytes(path / XML / f"{annotated.key}.xml", xml)
    return Part.of(annotated, lost=lost)


def _write_numbers(path: Path, panoptic: Panoptic) -> list[tuple[str, Box]]:
    """Write the mask of objects; returns class and box of each."""
    from scipy import ndimage

    classes = panoptic.classes.classes
    counted = [segment for segment in panoptic.segments if classes[segment.class_id].is_thing and not segment.is_crowd]
    number_of = {segment.id: number for number, segment in enumerate(counted, 1)}
    values, inverse = np.unique(panoptic.ids, return_inverse=True)
    numbers = np.array([number_of.get(value, 0) for value in values.tolist()], np.int32)[inverse].reshape(panoptic.ids.shape)
    found = ndimage.find_objects(numbers, max_label=len(counted))
    if len(counted) < VOID:
        numbers[panoptic.ids == 0] = VOID
        write_ids(path, numbers, bits=8, palette=palette_of(None))
    else:
        write_ids(path, numbers, bits=16)
    return [
        (classes[segment.class_id].name, (where[1].start, where[0].start, where[1].stop, where[0].stop))
        for segment, where in zip(counted, found, strict=True)
        if where is not None
    ]


def _xml(name: str, size_hw: tuple[int, int], objects: Sequence[tuple[str, Box]], flags: Sequence[Mapping[str, Any]]) -> bytes:
    root = ET.Element("annotation")
    _add(root, folder=str(PurePosixPath("images") / PurePosixPath(name).parent), filename=PurePosixPath(name).name)
    _add(ET.SubElement(root, "source"), database="Unknown")
    _add(ET.SubElement(root, "size"), width=size_hw[1], height=size_hw[0], depth=3)
    _add(root, segmented=1)
    for (label, (x0, y0, x1, y1)), known in zip(objects, flags, strict=True):
        entry = ET.SubElement(root, "object")
        _add(entry, name=label, **{flag: known.get(flag, default) for flag, default in FLAGS.items()})
        _add(ET.SubElement(entry, "bndbox"), xmin=x0 + 1, ymin=y0 + 1, xmax=x1, ymax=y1)
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode").encode() + b"\n"


def _add(parent: ET.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = str(text)


def _flags(path: Path) -> list[dict[str, str]]:
    """What the XML file says of each object beside its class and box."""
    entries = read_xml(path).iter("object")
    return [{flag: (entry.findtext(flag) or default).strip() for flag, default in FLAGS.items()} for entry in entries]


def _classes(path: Path, mask_path: Path) -> tuple[ClassSpace, str]:
    """The classes, and a sentence that says whence."""
    stored = read_mask_values(mask_path).classes
    if stored is not None:
        return stored, f"Classes are those stored in {mask_path.name}."
    for name, parse in ((LABEL_MAP, _named_and_colored), (LABELME_NAMES, _named)):
        file = path / name
        if file.is_file():
            with refused(file, "list of classes", "NAME:R,G,B:: on each line" if name == LABEL_MAP else "a name on each line"):
                entries = parse(read_bytes(file).decode("utf-8-sig").splitlines())
                ignore_id = VOID if len(entries) <= VOID else 65535
                return ClassSpace(tuple(entries), ignore_id), f"Classes are those of {name}."
    return VOC_CLASSES, f"Neither {LABEL_MAP} nor {LABELME_NAMES} names the classes, so they are VOC's own."


def _named_and_colored(lines: Sequence[str]) -> list[SegmentationClass]:
    entries = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            name, color = line.strip().rsplit(":", 3)[:2]
            red, green, blue = (int(value) for value in color.split(","))
            entries.append(SegmentationClass(name, (red, green, blue), is_thing=name != BACKGROUND))
    return entries


def _named(lines: Sequence[str]) -> list[SegmentationClass]:
    names = [BACKGROUND if name == "_background_" else name for line in lines if (name := line.strip()) not in ("", "__ignore__")]
    return [SegmentationClass(name, default_color(index), is_thing=name != BACKGROUND) for index, name in enumerate(names)]


def _by_color(classes: ClassSpace) -> ClassSpace:
    entries = tuple(replace(entry, sources=(entry.color,)) for entry in classes.classes)
    colors = {entry.color for entry in entries}
    return ClassSpace(entries, classes.ignore_id, () if VOID_COLOR in colors else (VOID_COLOR,))


def _splits(path: Path, keys: frozenset[str], notes: list[str]) -> dict[str, list[str]]:
    splits = {}
    for split in SPLITS:
        file = path / LISTS / f"{split}.txt"
        if file.is_file() and file.stat().st_size:
            with refused(file, "list of names"):
                names = list(dict.fromkeys(line.strip() for line in read_bytes(file).decode("utf-8-sig").splitlines()))
            splits[split] = [name for name in names if name in keys]
            without = sum(name not in keys for name in names if name)
            notes += [f"{without} names in {file.name} have no mask and were left out."] if without else []
    return splits
