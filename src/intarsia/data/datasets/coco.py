"""COCO's own layout, and any folder with a JSON file of its kind: objects, or panoptic maps, of listed images.

    ROOT/annotations/instances_train2017.json      ROOT/train2017/NAME.jpg           COCO's, and the same for val2017, or
    ROOT/instances_train.json                      ROOT/images/train/NAME.png        and the same for val and test, or
    ROOT/panoptic_train.json, panoptic_train/      ROOT/images/train/NAME.jpg        segments, with a PNG for each image
    ROOT/annotations/stuff_train2017.json          ROOT/train2017/NAME.jpg           stuff, for the view "stuff"

Files without train, val or test in their name are split by a hash of the image's name. A single JSON file can be named in place
of the folder. The classes are the file's categories: all things in a file of instances, as `isthing` says in a panoptic one.

Licence and citation: those of the data. COCO: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; annotations
CC BY 4.0, images under the terms of Flickr. Panoptic: Kirillov et al., "Panoptic Segmentation", CVPR 2019. Stuff: Caesar et al.,
"COCO-Stuff: Thing and Stuff Classes in Context", CVPR 2018.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from intarsia.core import (
    ClassSpace,
    DataError,
    Instances,
    LabelMap,
    Sample,
    SegmentationClass,
    SettingsError,
    Task,
    default_color,
    nearest_names,
)
from intarsia.data.datasets._pairs import seeded_split
from intarsia.data.formats import IMAGE_SUFFIXES, read_image
from intarsia.data.formats.coco import CocoFile, read_coco
from intarsia.data.formats.coco_panoptic import CocoPanopticFile, read_coco_panoptic

__all__ = ["Coco"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance", "panoptic": "panoptic", "stuff": "semantic"}
TRUTHS = ("instances", "masks", "annotations", "panoptic", "stuff")
"""Folders that hold no images."""
EXPECTED = """\
ROOT/annotations/instances_train2017.json (or ROOT/instances_train.json, panoptic_train.json with a folder panoptic_train)
ROOT/train2017/NAME.jpg (or ROOT/images/train/NAME.jpg), and the same for val"""


class _Item(NamedTuple):
    """One image: its file, the annotations it is in, and its name there."""

    image: Path
    file: CocoFile | CocoPanopticFile
    name: str


class Coco:
    """Images with objects or panoptic maps in COCO's JSON files.

    Args:
        root: the folder, or one JSON file.
        view: "instance" for objects (of panoptic maps the things), "panoptic", or "semantic" for the class of each pixel, which
            is "background" where a file of instances has no object; of objects that overlap the later one is taken. "stuff" is
            the class of each pixel in files of stuff, where things are "other" and pixels without a class are ignored.
        seed: of the split into train and val, where file names do not say it.
        val_fraction: share of the images that go to val, where file names do not say it.

    Raises:
        DataError: no such file, one that cannot be read or contradicts itself, or images that are missing.
        SettingsError: another view, or panoptic maps of files of instances.
    """

    name = "coco"

    def __init__(self, root: str | Path, *, view: str = "instance", seed: int = 0, val_fraction: float = 0.2) -> None:
        if view not in VIEWS:
            raise SettingsError(f"COCO files have no {view} truth; their views are {', '.join(VIEWS)}.")
        root = Path(root)
        self.task: Task = VIEWS[view]
        files = [_read(path) for path in _annotations(root, view)]
        if not files:
            raise DataError(f"{root} holds no JSON file of {_wanted(view)}. Expected:\n{EXPECTED}")
        self._first = int(view == "semantic")  # id of the first category, behind the background
        self._as_stuff = self.task == "semantic" and isinstance(files[0], CocoFile)
        self.classes = _as_semantic(files[0].classes, view) if self._as_stuff else files[0].classes
        self._items: dict[str, _Item] = {}
        splits: dict[str, list[str]] = {}
        for file, path in zip(files, _annotations(root, view), strict=True):
            if file.classes.names != files[0].classes.names:
                raise DataError(
                    f"{path} has the categories {', '.join(file.classes.names[:8])}, and another file beside it "
                    f"{', '.join(files[0].classes.names[:8])}; one data set has one list of classes."
                )
            split = _split_of(path)
            for item in _items(file, path, root if root.is_dir() else root.parent, split):
                key = f"{split}/{Path(item.name).with_suffix('').as_posix()}".lstrip("/")
                self._items[key] = item
                splits.setdefault(split, []).append(key)
        said = _about_flat(files)
        if "val" not in splits and (keys := splits.pop("train", None) or splits.pop("", None)):
            train, val = seeded_split(keys, val_fraction, seed)
            splits = {"train": train, **({"val": val} if val else {}), **splits}
            said.append(f"val is {len(val)} of {len(keys)} images, chosen by a hash of the name with seed {seed}.")
        self.splits: Mapping[str, Sequence[str]] = {split: tuple(keys) for split, keys in splits.items()}
        counts = ", ".join(f"{len(keys)} {split}" for split, keys in self.splits.items())
        names = ", ".join(self.classes.names[:12]) + (f" and {len(self.classes) - 12} more" if len(self.classes) > 12 else "")
        self.notes: Sequence[str] = (f"COCO files: {counts} images; {len(self.classes)} classes: {names}.", *said)

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether this is a JSON file, or a folder with files of COCO's names and without masks beside its images."""
        if root.is_file():
            return root.suffix.lower() == ".json"
        has_masks = (root / "images").is_dir() and any((root / truth).is_dir() for truth in ("masks", "instances"))
        return not has_masks and any(True for view in ("instance", "panoptic", "stuff") for _ in _annotations(root, view))

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        return self._item(key).image

    def read(self, key: str) -> Sample:
        """The image and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
        """
        item = self._item(key)
        image = read_image(item.image)
        if isinstance(item.file, CocoPanopticFile):
            whole = item.file.read(item.name)
            views = {"panoptic": lambda: whole, "instance": whole.to_instances, "semantic": whole.to_label_map}
            return Sample(image, (views[self.task](),), key)
        objects = item.file.instances[item.name]
        objects = objects.select(objects.masks.areas() > 0)
        return Sample(image, (self._as_labels(objects) if self._as_stuff else objects,), key)

    def _item(self, key: str) -> _Item:
        item = self._items.get(key)
        if item is None:
            near = ", ".join(nearest_names(key, self._items)) or "none"
            raise DataError(f"{self.name} has no sample {key!r}. Nearest: {near}.")
        return item

    def _as_labels(self, objects: Instances) -> LabelMap:
        ids = np.full(objects.size_hw, 0 if self._first else self.classes.ignore_id, self.classes.id_dtype)
        for class_id, (where, crop) in zip(objects.class_id.tolist(), objects.masks.crops(), strict=True):
            ids[where][crop] = class_id + self._first
        if objects.is_crowd is not None:
            for where, crop in objects.select(objects.is_crowd).masks.crops():
                ids[where][crop] = self.classes.ignore_id
        return LabelMap(ids, self.classes)


def _annotations(root: Path, view: str) -> list[Path]:
    """The JSON files that serve a view: of panoptic segments where they are wanted or are all there is, else of instances."""
    if root.is_file():
        return [root]
    found = [path for folder in (root, root / "annotations") if folder.is_dir() for path in sorted(folder.glob("*.json"))]
    panoptic = [path for path in found if path.stem.startswith("panoptic") and path.with_suffix("").is_dir()]
    instances = [path for path in found if path.stem.startswith("instances")]
    if view in ("panoptic", "stuff"):
        return panoptic if view == "panoptic" else [path for path in found if path.stem.startswith("stuff")]
    return (instances or panoptic) if view == "instance" else (panoptic or instances)


def _read(path: Path) -> CocoFile | CocoPanopticFile:
    return read_coco_panoptic(path) if path.with_suffix("").is_dir() else read_coco(path)


def _about_flat(files: Sequence[CocoFile | CocoPanopticFile]) -> list[str]:
    flat = [entry for file in files if isinstance(file, CocoFile) for entry in file.flat]
    if not flat:
        return []
    objects = "1 object whose box has" if len(flat) == 1 else f"{len(flat)} objects whose boxes have"
    return [f"{objects} no width or height left aside where there is no pixel either: {'; '.join(flat[:4])}."]


def _wanted(view: str) -> str:
    kinds = {"panoptic": "panoptic segments with its folder of PNG files", "stuff": "stuff"}
    return kinds.get(view, "instances or panoptic segments")


def _split_of(path: Path) -> str:
    found = re.search(r"(?:^|[_\-.])(train|val|test)", path.stem.lower())
    return found[1] if found else ""


def _as_semantic(classes: ClassSpace, view: str) -> ClassSpace:
    """The categories behind a background, or those of stuff, of which none is a thing."""
    entries = [SegmentationClass("background", default_color(0))] if view == "semantic" else []
    for index, entry in enumerate(classes.classes, len(entries)):
        entries.append(replace(entry, color=default_color(index), is_thing=entry.is_thing and view == "semantic"))
    return ClassSpace(tuple(entries), ignore_id=255 if len(entries) <= 255 else 65535)


def _items(file: CocoFile | CocoPanopticFile, path: Path, root: Path, split: str) -> Iterator[_Item]:
    """The images of one file, found in the first folder that holds the first of them.

    Raises:
        DataError: images that are in no folder.
    """
    if isinstance(file, CocoPanopticFile):
        named = {name: file.images.get(name, name) for name in file.segments}
    else:
        named = {name: name for name in file.instances}
    folders = _image_folders(root, path, split)
    present: dict[str, Path] = {}
    for folder in folders:
        for entry in os.scandir(folder):
            present.setdefault(entry.name, folder / entry.name)
            present.setdefault(Path(entry.name).stem, folder / entry.name) if entry.is_file() else None
    missing = []
    for name, image in named.items():
        direct = next((folder / image for folder in folders if "/" in image and (folder / image).is_file()), None)
        found = direct or present.get(image) or (present.get(Path(image).stem) if image == name else None)
        if found is None or found.suffix.lower() not in IMAGE_SUFFIXES:
            missing.append(image)
        else:
            yield _Item(found, file, name)
    if missing:
        places = ", ".join(map(str, folders)) or str(root)
        raise DataError(
            f"{path} lists {len(named)} images, of which {len(missing)} are not there: {', '.join(missing[:6])}. Looked in "
            f"{places}."
        )


def _image_folders(root: Path, path: Path, split: str) -> list[Path]:
    """Where the images of a file may be, the likeliest first."""
    tail = re.sub(r"^(instances|panoptic|stuff)_?", "", path.stem)
    likely = [root / "images" / part for part in (tail, split) if part] + [root / part for part in (tail, split) if part]
    others = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.name.startswith((".", *TRUTHS))]
    likely += [root / "images", root / "val2017" if split == "val" else root / "train2017", *others, root]
    segments = path.with_suffix("")
    return [folder for folder in dict.fromkeys(likely) if folder.is_dir() and folder != segments]
