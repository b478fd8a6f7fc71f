"""CVAT's segmentation mask 1.1: a PNG of class colours and one of object colours for each image, in a folder or a ZIP archive.

    EXPORT/labelmap.txt                            cat:255,0,0::    a class and its colour on each line
    EXPORT/SegmentationClass/photo.png             EXPORT/SegmentationObject/photo.png
    EXPORT/ImageSets/Segmentation/default.txt      names without ending; other lists than `default` are splits
    EXPORT/JPEGImages/photo.jpg                    or EXPORT/images/photo.jpg; of an archive beside it

Objects are numbered by the colours of PASCAL VOC; black is none. Masks may also be palettes, or grey with the line of the class
and the number of the object. The class of an object is that of most of its pixels; "background" is no class of objects. Without
SegmentationObject the truth is a label map, where the class "ignored" is the ignore id.

Written are objects or label maps; a name that ends in .zip gives an archive, which CVAT imports. A pixel holds one object: of
several the last, and what it covers is counted. Crowds are left out.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-smask.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
from PIL import Image, PngImagePlugin

from intarsia.core import (
    Array,
    ClassSpace,
    DataError,
    Instances,
    LabelMap,
    SegmentationClass,
    SegmentationError,
    default_color,
)
from intarsia.core.class_space import Color
from intarsia.core.whole_file import written_whole
from intarsia.data.formats._annotated import (
    OTHER_TRUTH,
    Annotated,
    AnnotatedSet,
    Kind,
    Part,
    Tally,
    WriteReport,
    require_safe_key,
)
from intarsia.data.formats._decode import pillow_pixels, refuse_huge
from intarsia.data.formats._files import read_bytes, write_bytes
from intarsia.data.formats._hostile import ends_of_file, open_zip, refused, safe_join
from intarsia.data.formats._images_beside import images_beside
from intarsia.data.formats._shapes import without_crowds
from intarsia.data.formats._views import COVERED, HIDDEN

__all__ = ["read_cvat_masks", "recognizes_cvat_masks", "write_cvat_masks"]

KINDS = ("instance", "semantic")
LABELS = "labelmap.txt"
LISTS = "ImageSets/Segmentation/"
CLASS, OBJECT = "SegmentationClass/", "SegmentationObject/"
BACKGROUND, IGNORED = "background", "ignored"
BLACK: Color = (0, 0, 0)
IGNORED_COLOR: Color = (224, 224, 192)
SPLIT_OF_LIST = {"validation": "val", "default": ""}
NO_CLASS = "an object without a class was left out"
NO_OBJECT = "pixels of a class that belong to no object were left out"


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image; travels to other processes. `listed` are the classes of the label map, `classes` those of the truth."""

    path: Path
    listed: ClassSpace
    classes: ClassSpace
    has_objects: bool

    def __call__(self, key: str) -> Annotated:
        names = [f"{folder}{key}.png" for folder in ((CLASS, OBJECT) if self.has_objects else (CLASS,))]
        masks = [_decoded(data, f"{self.path}, {name},") for name, data in _files(self.path, names)]
        with refused(self.path, "export of CVAT's masks"):
            ids = _class_ids(self.listed, f"{CLASS}{key}.png", *masks[0])
            if not self.has_objects:
                return Annotated(key, LabelMap(ids.astype(self.classes.id_dtype), self.classes))
            numbers = _numbers(masks[1][0])
            if numbers.shape != ids.shape:
                raise DataError(f"{self.path}: the masks of {key} are of different sizes, {ids.shape} and {numbers.shape}.")
            return Annotated(key, *_objects(numbers, ids, self.listed, self.classes))


def read_cvat_masks(path: str | Path, *, images: str | Path | None = None) -> AnnotatedSet:
    """Read an export.

    Args:
        path: the folder or the archive.
        images: the folder of the images; None: `JPEGImages/` or `images/`, in the folder or beside the archive.

    Raises:
        DataError: a file that cannot be read or says something else, or no mask.
    """
    path = Path(path)
    names = _names(path)
    if LABELS not in names:
        raise DataError(f"{path} holds no {LABELS}, which says the classes and colours of CVAT's masks.")
    lists = sorted(name for name in names if name.startswith(LISTS) and name.endswith(".txt"))
    (_, text), *listed_text = _files(path, [LABELS, *lists])
    with refused(path / LABELS, "label map of CVAT", "name:red,green,blue:: on each line"):
        listed = _label_map(text.decode("utf-8-sig"))
    masks = {name.removeprefix(CLASS)[:-4] for name in names if name.startswith(CLASS) and name.endswith(".png")}
    has_objects = any(name.startswith(OBJECT) for name in names)
    splits: dict[str, tuple[str, ...]] = {}
    keys: list[str] = []
    for name, data in listed_text:
        found = [line.strip().strip('"') for line in data.decode("utf-8-sig", "replace").splitlines()]
        of_list = tuple(key for key in dict.fromkeys(found) if key in masks)
        keys += of_list
        split = Path(name).stem.lower()
        splits[SPLIT_OF_LIST.get(split, split)] = of_list
    splits.pop("", None)
    keys = sorted(masks) if not lists else list(dict.fromkeys(keys))
    if not keys:
        raise DataError(f"{path} holds no mask. Expected: {CLASS} with a PNG for each image that {LISTS}*.txt lists.")
    for key in keys:
        require_safe_key(key, path)
    classes = _of_objects(listed) if has_objects else listed
    inside = path if path.is_dir() else path.parent
    return AnnotatedSet(
        name=path.stem,
        kind="instance" if has_objects else "semantic",
        classes=classes,
        keys=tuple(keys),
        reader=_Read(path, listed, classes, has_objects),
        images=images_beside(keys, [Path(images)] if images is not None else [inside / "images", inside / "JPEGImages"]),
        splits=splits,
    )


def write_cvat_masks(path: str | Path, annotated: AnnotatedSet) -> WriteReport:
    """Write masks, as a folder or an archive.

    Args:
        path: the folder, or a name that ends in .zip.
        annotated: of kind instance or semantic.
    """
    path, tally = Path(path), Tally()
    listed = _listed_colors(annotated.classes, annotated.kind)
    texts = {LABELS: "# label:color_rgb:parts:actions\n" + "".join(f"{n}:{r},{g},{b}::\n" for n, (r, g, b) in listed.items())}
    of_split = {split: list(keys) for split, keys in annotated.splits.items() if keys}
    in_split = {key for keys in of_split.values() for key in keys}
    if rest := [key for key in annotated.keys if key not in in_split]:
        of_split["default"] = [*of_split.get("default", ()), *rest]
    for split, keys in of_split.items():
        texts[f"{LISTS}{split}.txt"] = "".join(f'"{key}"\n' if " " in key else f"{key}\n" for key in keys)
    colors = tuple(listed[name] for name in annotated.classes.names)
    if path.suffix.lower() != ".zip":
        for _, part in annotated.each(partial(_encode, path, colors)):
            tally.add(part)
        for name, text in texts.items():
            write_bytes(path / name, text.encode())
        return tally.report()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished, ZipFile(unfinished, "w") as archive:
        for name, text in texts.items():
            archive.writestr(ZipInfo(name), text)
        for _, part in annotated.each(partial(_encode, None, colors)):
            for name, content in part.content.items():
                archive.writestr(ZipInfo(name), b64decode(content))
            tally.add(part)
    return tally.report()


def recognizes_cvat_masks(path: Path) -> str | None:
    """Why this is a folder or an archive of CVAT's masks, or None."""
    if path.is_dir():
        if (path / LABELS).is_file() and (path / CLASS).is_dir() and not (path / "Annotations").is_dir():  # which are VOC's
            return f"{path.name} holds {LABELS} and {CLASS}, as CVAT's segmentation masks do."
    elif CLASS in ends_of_file(path, ".zip"):
        return f"{path.name} is an archive with {CLASS}, as CVAT's segmentation masks are."
    return None


def _encode(folder: Path | None, colors: Sequence[Color], annotated: Annotated) -> Part:
    truth, lost, ious = annotated.truth, [OTHER_TRUTH] * len(annotated.other_truths), list[float]()
    masks: dict[str, Array] = {}
    if isinstance(truth, Instances):
        truth, crowds = without_crowds(truth)
        has_class = np.array([colors[index] != BLACK for index in truth.class_id], np.bool_)
        truth = truth.select(has_class)
        numbers = np.zeros(truth.size_hw, np.int32)
        for index, (where, crop) in enumerate(truth.masks.crops()):
            numbers[where][crop] = index + 1
        seen, areas = np.bincount(numbers.ravel(), minlength=len(truth) + 1)[1:], truth.masks.areas()
        ious = (seen / np.maximum(areas, 1)).tolist()
        lost += [
            *crowds,
            *[NO_CLASS] * int((~has_class).sum()),
            *[HIDDEN] * int((seen == 0).sum()),
            *[COVERED] * int(((seen > 0) & (seen < areas)).sum()),
        ]
        of_number = np.array([BLACK, *(colors[index] for index in truth.class_id)], np.uint8)
        masks = {CLASS: of_number[numbers], OBJECT: np.array(list(map(default_color, range(len(truth) + 1))), np.uint8)[numbers]}
        truth = truth.select(seen > 0)
    elif isinstance(truth, LabelMap) and truth.classes is not None:
        table = np.zeros((max(len(colors), truth.classes.ignore_id + 1), 3), np.uint8)
        table[: len(colors)] = colors
        table[truth.classes.ignore_id] = IGNORED_COLOR
        masks = {CLASS: table[truth.ids]}
    else:
        raise SegmentationError(f"{annotated.key}: CVAT's masks hold objects or classes, not a {type(truth).__name__}.")
    content: dict[str, Any] = {}
    for kind, pixels in masks.items():
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        name = f"{kind}{annotated.key}.png"
        if folder is None:
            content[name] = b64encode(buffer.getvalue()).decode()
        else:
            write_bytes(folder / name, buffer.getvalue())
    return Part.of(replace(annotated, truth=truth), content or None, lost=lost, ious=ious)


def _listed_colors(classes: ClassSpace, kind: Kind) -> dict[str, Color]:
    """The lines of the label map: each class with a colour of its own, objects also with the black background."""
    own = {entry.name: entry.color for entry in classes.classes if kind == "semantic" or entry.name != BACKGROUND}
    taken = {IGNORED_COLOR} if kind == "semantic" else {IGNORED_COLOR, BLACK}
    if len(set(own.values()) | taken) < len(own) + len(taken):
        free = (color for color in map(default_color, count(1)) if color != IGNORED_COLOR)
        own = dict(zip(own, islice(free, len(own)), strict=True))
    return {**own, IGNORED: IGNORED_COLOR} if kind == "semantic" else {BACKGROUND: BLACK, **own}


def _label_map(text: str) -> ClassSpace:
    lines = [line.rstrip("\r") for line in text.split("\n")]
    entries: list[SegmentationClass] = []
    ignored: tuple[Color, ...] = ()
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        name, numbers, *_ = line.rsplit(":", 3)
        red, green, blue = map(int, numbers.split(",")) if numbers.strip() else default_color(len(entries))
        if name == IGNORED:
            ignored = ((red, green, blue),)
        else:
            entries.append(SegmentationClass(name, (red, green, blue), ((red, green, blue),), name != BACKGROUND))
    return ClassSpace(tuple(entries), 255 if len(entries) <= 255 else 65535, ignored)


def _of_objects(listed: ClassSpace) -> ClassSpace:
    entries = tuple(entry for entry in listed.classes if entry.name != BACKGROUND)
    if not entries:
        raise DataError(f"The {LABELS} names no class but {BACKGROUND}.")
    return ClassSpace(entries, listed.ignore_id, listed.ignore_sources)


def _objects(numbers: Array, ids: Array, listed: ClassSpace, classes: ClassSpace) -> tuple[Instances, tuple[str, ...]]:
    """The object of each number, of the class that most of its pixels have."""
    span = max(listed.ignore_id, len(listed)) + 1
    pairs, pixels = np.unique(numbers.astype(np.int64) * span + ids, return_counts=True)
    class_of: dict[int, int] = {}
    best: dict[int, int] = {}
    lost = list[str]()
    for pair, area in zip(pairs.tolist(), pixels.tolist(), strict=True):
        number, index = divmod(pair, span)
        name = BACKGROUND if index == listed.ignore_id else listed.names[index]
        best.setdefault(number, 0)
        if name == BACKGROUND:
            continue
        if number == 0:
            lost = [NO_OBJECT]
        elif area > best[number]:
            best[number], class_of[number] = area, classes.index(name)
    without = [number for number in best if number and number not in class_of]
    kept = np.where(np.isin(numbers, without), 0, numbers) if without else numbers
    return Instances.from_ids(kept, classes, class_of), (*lost, *[NO_CLASS] * len(without))


def _class_ids(listed: ClassSpace, where: str, values: Array, palette: Array | None) -> Array:
    """The line of the label map that each pixel means."""
    if palette is not None:
        values = palette[values]
    if values.ndim == 3:
        return listed.ids_from_colors(values, where=where)
    if values.max(initial=0) >= len(listed):
        raise DataError(f"{where} holds the value {values.max()}, and the {LABELS} has {len(listed)} classes, counted from 0.")
    return values


def _numbers(values: Array) -> Array:
    """Numbers of objects: the value, or the number of a colour of PASCAL VOC, whose bits 7-k in channel c are its bits 3k+c."""
    if values.ndim == 2:
        return values.astype(np.int32)
    bits = np.arange(256)[:, None] >> (7 - np.arange(8)) & 1
    tables = [(bits << (3 * np.arange(8) + channel)).sum(1).astype(np.int32) for channel in range(3)]
    numbers: Array = tables[0][values[..., 0]] + tables[1][values[..., 1]] + tables[2][values[..., 2]]
    return numbers


def _decoded(data: bytes, where: str) -> tuple[Array, Array | None]:
    """Values (H, W) or colours (H, W, 3) of a PNG, and its palette (256, 3)."""
    try:
        image = PngImagePlugin.PngImageFile(BytesIO(data))
        refuse_huge(image.height, image.width, len(data))
        pixels = pillow_pixels(image, "PNG")
    except Exception as error:  # Pillow raises whatever it likes on damaged data
        raise DataError(f"{where} cannot be read ({error}). It is no PNG, or was cut off.") from error
    values = pixels.values[..., :3] if pixels.values.ndim == 3 and pixels.values.shape[2] > 2 else pixels.values
    if values.ndim not in (2, 3) or values.shape[2:] not in ((), (3,)):
        raise DataError(f"{where} has the shape {values.shape}; a mask has one channel or three.")
    return values, None if pixels.palette is None else pixels.palette[:, :3]


def _names(path: Path) -> list[str]:
    """The files, relative to the folder; of an archive those in it."""
    if path.is_dir():
        below = [path / LABELS, *(file for folder in (LISTS, CLASS, OBJECT) for file in sorted((path / folder).rglob("*")))]
        return [file.relative_to(path).as_posix() for file in below if file.is_file()]
    with open_zip(path) as archive:
        return list(archive.names)


def _files(path: Path, names: Sequence[str]) -> list[tuple[str, bytes]]:
    """Each file with its bytes."""
    if path.is_dir():
        return [(name, read_bytes(safe_join(path, name))) for name in names]
    with open_zip(path) as archive:
        return [(name, archive.read(name)) for name in names]
