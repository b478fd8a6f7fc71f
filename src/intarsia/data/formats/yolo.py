"""YOLO's outlines: a text file for each image, a line for each object, and a YAML file that names classes and splits.

    EXPORT/data.yaml                    names: classes by number; train, val, test: a folder, a list of images, or several
    EXPORT/images/train/photo.jpg       the image; a folder `images` may lie anywhere, as in train/images/
    EXPORT/labels/train/photo.txt       its objects: CLASS x y x y ..., where `images` is replaced by `labels`; none: no object

x and y are shares of width and height from the corner of the image, so the centre of the first pixel is at half a pixel of each.
An object is one line. Its holes are reached by slits, its further pieces by lines there and back, which cover nothing by the
even-odd rule: nothing is lost here. Programs that draw the line itself give the way between two pieces a pixel's width.

Written are six digits behind the point, which tell every corner of images of up to 500,000 pixels a side. Crowds are left out.
Source: https://docs.ultralytics.com/datasets/segment, the label format; a YAML file without `path` means its own folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from intarsia.core import Array, ClassSpace, DataError, Instances, SegmentationError
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Part, Tally, WriteReport, keys_of_names
from intarsia.data.formats._files import read_bytes, write_bytes
from intarsia.data.formats._hostile import ends_of_file, refused, safe_join
from intarsia.data.formats._polygons import crop_iou, joined_ring, mask_of_rings, polygons_of_object
from intarsia.data.formats._shapes import Drawn, objects_of_drawn, placed_crops, without_crowds
from intarsia.data.formats.image import IMAGE_SUFFIXES, read_image_size

__all__ = ["read_yolo", "recognizes_yolo", "write_yolo"]

DATA = "data.yaml"
SPLITS = ("train", "val", "test")
DIGITS = 6
FORM = "names: {0: cat, 1: dog}, train: images/train, val: images/val"
MOST_YAML = 2**24


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image; travels to other processes."""

    root: Path
    images: Mapping[str, Path]
    classes: ClassSpace
    id_of_number: Mapping[int, int]

    def __call__(self, key: str) -> Annotated:
        image = self.images[key]
        path = _label_file(image, self.root)
        if not path.is_file():
            return Annotated(key, objects_of_drawn([], read_image_size(image), self.classes)[0])
        size_hw = read_image_size(image)
        with refused(path, "file of YOLO outlines", "CLASS x y x y x y ... on each line"):
            objects, lost = objects_of_drawn(self._drawn(path, size_hw), size_hw, self.classes)
        return Annotated(key, objects, lost)

    def _drawn(self, path: Path, size_hw: tuple[int, int]) -> Iterator[Drawn]:
        scale = np.array(size_hw[::-1], np.float64)
        for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), 1):
            words = line.split()
            if not words:
                continue
            class_number, points = int(float(words[0])), np.array(words[1:], np.float64)
            if len(points) == 4:
                raise DataError(
                    f"{path}, line {number}, is a box of class {class_number}: a label for detection. Boxes alone cannot be "
                    "read as objects; export the outlines too."
                )
            if class_number not in self.id_of_number:
                known = ", ".join(map(str, list(self.id_of_number)[:20]))
                raise DataError(f"{path}, line {number}: the class {class_number} is not among the names; those are {known}.")
            if len(points) < 6 or len(points) % 2 or not (np.abs(points - 0.5) < 1).all():
                raise DataError(
                    f"{path}, line {number}, holds {len(points)} numbers from {points.min(initial=np.inf):g} to "
                    f"{points.max(initial=-np.inf):g}; at least three pairs of shares of width and height, 0 to 1, were expected."
                )
            yield Drawn(
                self.classes.names[self.id_of_number[class_number]], mask_of_rings([points.reshape(-1, 2) * scale], size_hw)
            )


def read_yolo(path: str | Path, *, root: str | Path | None = None) -> AnnotatedSet:
    """Read a data set by its YAML file.

    Args:
        path: the YAML file, or the folder that it is in.
        root: the folder of the data, if it is not that of the YAML file.

    Raises:
        DataError: a file that cannot be read or says something else, images that are not where it says, or out of the folder.
    """
    path = Path(path)
    file = _yaml_file(path) if path.is_dir() else path
    if file is None:
        raise DataError(f"{path} holds no {DATA}, which names the classes and the images of YOLO. Expected there: {FORM}.")
    folder = file.parent if root is None else Path(root)
    with refused(file, "YAML file of YOLO", FORM):
        content = _yaml(file)
        numbered = content["names"]
        named = dict(numbered) if isinstance(numbered, dict) else dict(enumerate(numbered))
        numbers = sorted(int(number) for number in named)
        names = [str(named[number]) for number in sorted(named, key=int)]
        classes = ClassSpace.from_names(names, things=names)
        given = {split: content[split] for split in SPLITS if content.get(split)}
        notes: tuple[str, ...] = ()
        if given.get("val") == given.get("train"):
            given.pop("val", None)
            notes = (f"{file.name} says the same images for train and val, so they are no split.",)
        base = folder / str(content.get("path") or "") if root is None else folder
        found = {split: list(_images(entries, (base, folder), folder, file)) for split, entries in given.items()}
    images = sorted({image for of_split in found.values() for image in of_split})
    keys = keys_of_names([_key_name(image, folder) for image in images], file)
    key_of = dict(zip(images, keys.values(), strict=True))
    of_key = {key: image for image, key in key_of.items()}
    if not images:
        raise DataError(f"{file} leads to no image below {folder}. Expected: images/ with the images, or train/images/ ...")
    return AnnotatedSet(
        name=folder.resolve().name,
        kind="instance",
        classes=classes,
        keys=tuple(of_key),
        reader=_Read(folder, of_key, classes, {number: index for index, number in enumerate(numbers)}),
        images=of_key,
        splits={split: tuple(key_of[image] for image in of_split) for split, of_split in found.items()} if len(found) > 1 else {},
        notes=notes,
    )


def write_yolo(path: str | Path, annotated: AnnotatedSet, *, tolerance: float = 0) -> WriteReport:
    """Write a text file for each image into `labels/`, lists of the splits, and `data.yaml`; the images belong into `images/`.

    Args:
        path: the folder.
        annotated: of kind instance.
        tolerance: pixels that outlines may move to have fewer corners; 0 keeps every pixel.
    """
    path, tally = Path(path), Tally()
    for _, part in annotated.each(partial(_encode, path / "labels", tolerance)):
        tally.add(part)
    splits = {split: keys for split in SPLITS if (keys := annotated.splits.get(split))}
    for split, keys in splits.items():
        write_bytes(path / f"{split}.txt", "".join(f"./images/{annotated.image_name(key)}\n" for key in keys).encode())
    where = {split: f"{split}.txt" for split in splits} or {"train": "images", "val": "images"}
    content = {**where, "names": dict(enumerate(annotated.classes.names))}
    write_bytes(path / DATA, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    return tally.report()


def recognizes_yolo(path: Path) -> str | None:
    """Why this is a YAML file of YOLO, or a folder with one; or None."""
    file = _yaml_file(path) if path.is_dir() else path
    if file is None or not _is_ours(file):
        return None
    return f"{file.name} has `names` and says where the images of train or val are, as YOLO's files do."


def _is_ours(file: Path) -> bool:
    text = ends_of_file(file, file.suffix.lower() if file.suffix.lower() in (".yaml", ".yml") else ".yaml")
    return all(re.search(rf"^{key}\s*:", text, re.MULTILINE) is not None for key in ("names", "(train|val)"))


def _yaml_file(folder: Path) -> Path | None:
    """The YAML file of a folder: data.yaml, else the first by name that looks like one."""
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")], key=lambda file: (file.name != DATA, file.name))
    return next((file for file in files[:20] if _is_ours(file)), None)


def _yaml(file: Path) -> dict[str, Any]:
    data = read_bytes(file)
    if len(data) > MOST_YAML:
        raise DataError(f"{file} has {len(data):,} bytes; a YAML file of YOLO is small.")
    try:
        content = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise DataError(f"{file} is no YAML file ({' '.join(str(error).split())[:200]}).") from error
    if not isinstance(content, dict):
        raise DataError(f"{file} is no YAML file of YOLO, but a {type(content).__name__}. Expected: {FORM}.")
    return content


def _images(entries: object, bases: Sequence[Path], folder: Path, file: Path) -> Iterator[Path]:
    """The images of a split: those of a folder, of a list of names in a file, or of several of them."""
    for entry in entries if isinstance(entries, list) else [entries]:
        place = _found(str(entry), bases, folder, file)
        if place.is_dir():
            yield from sorted(image for image in place.rglob("*") if image.suffix.lower() in IMAGE_SUFFIXES)
        else:
            names = [line.strip() for line in read_bytes(place).decode("utf-8-sig").splitlines() if line.strip()]
            yield from (_found(name, (place.parent, *bases), folder, place, is_image=True) for name in names)


def _found(name: str, bases: Sequence[Path], folder: Path, where: Path, *, is_image: bool = False) -> Path:
    """Where a name leads, below the folder; exports with ../train/images for train/images are known."""
    plain = name.replace("\\", "/")
    outside = DataError(
        f"{where} names {name[:120]!r}, which is not below {folder}. If the data lie elsewhere, say the folder (root)."
    )
    for base in bases:
        for said in (plain, re.sub(r"^(\.\./)+", "", plain)):
            inside = os.path.relpath(os.path.normpath(base / said), folder)
            if not inside.startswith("..") and (is_image or (folder / inside).exists()):
                return safe_join(folder, inside, where)
    raise outside


def _key_name(image: Path, folder: Path) -> str:
    """The name of an image in the set: its path without the last folder called `images`."""
    parts = list(image.relative_to(folder).parts)
    if "images" in parts[:-1]:
        del parts[_last_images(parts)]
    return "/".join(parts)


def _label_file(image: Path, folder: Path) -> Path:
    parts = list(image.relative_to(folder).parts)
    if "images" in parts[:-1]:
        parts[_last_images(parts)] = "labels"
    return folder.joinpath(*parts).with_suffix(".txt")


def _last_images(parts: Sequence[str]) -> int:
    return max(index for index, part in enumerate(parts[:-1]) if part == "images")


def _encode(folder: Path, tolerance: float, annotated: Annotated) -> Part:
    if not isinstance(annotated.truth, Instances):
        raise SegmentationError(f"{annotated.key}: YOLO's files hold objects, not a {type(annotated.truth).__name__}.")
    objects, lost = without_crowds(annotated.truth)
    scale = np.array(objects.size_hw[::-1], np.float64)
    lines, ious = [], []
    for index, crop in enumerate(placed_crops(objects)):
        shares = (joined_ring(polygons_of_object(objects, index, tolerance)) / scale).round(DIGITS)
        ious.append(crop_iou(crop, mask_of_rings([shares * scale], objects.size_hw)))
        lines.append(f"{objects.class_id[index]} {_text(shares)}\n")
    write_bytes(folder / f"{annotated.key}.txt", "".join(lines).encode())
    return Part.of(replace(annotated, truth=objects), lost=lost, ious=ious)


def _text(shares: Array) -> str:
    return " ".join(f"{value:.{DIGITS}f}".rstrip("0").rstrip(".") for value in shares.ravel().tolist())
