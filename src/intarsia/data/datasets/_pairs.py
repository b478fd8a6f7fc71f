"""Which image belongs to which mask, and which of them to train, val and test."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from intarsia.core import ClassSpace, DataError
from intarsia.data.datasets._class_files import group_by_class
from intarsia.data.datasets._faults import Fault, FaultyFolder
from intarsia.data.formats import IMAGE_SUFFIXES
from intarsia.data.formats.class_files import IGNORE

__all__ = ["Pair", "Pairing", "Place", "find_pairs", "folder_places", "seeded_split", "split_by_table", "yaml_places"]

SPLIT_OF_FOLDER = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
MASK_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_seg", "_gt")
NO_CLASSES = {*SPLIT_OF_FOLDER, *(ending[1:] for ending in MASK_ENDINGS)}
EXPECTED = """\
ROOT/images/NAME.jpg   with   ROOT/masks/NAME.png        (or instances/ for object numbers), split at random, or
ROOT/images/train/NAME.jpg    ROOT/masks/train/NAME.png  and the same for val and test, or
ROOT/train/images/NAME.jpg    ROOT/train/masks/NAME.png  and the same for val and test;
in place of NAME.png a binary file per class may be CLASS/NAME.png, or NAME_CLASS.png"""
WITHOUT_LABELS = (
    "Without labels, begin with a classical method: intarsia predict {} --model slic --out regions (`intarsia models` lists all)."
)


class Pair(NamedTuple):
    """The files of one sample; `class_files` by class name stand in place of one `mask`."""

    image: Path
    mask: Path | None
    class_files: Mapping[str, Path]
    instances: Path | None


class Pairing(NamedTuple):
    """What was paired: pairs by key (split and path without ending), keys by split, what was left aside, what is wrong."""

    pairs: dict[str, Pair]
    splits: dict[str, list[str]]
    notes: list[str]
    faults: list[Fault]


class Place(NamedTuple):
    """A folder of images, the folders where their truth may be, and the split it is ("" before a split was made)."""

    split: str
    images: Path
    masks: Path
    instances: Path


def folder_places(root: Path, faults: list[Fault]) -> list[Place]:
    """Where the images and masks of a data set folder are; entries beside split folders go to `faults`.

    Raises:
        DataError: no images/ folder, or two folders of one split; the message shows what was expected and what was found.
    """
    images = root / "images"
    if images.is_dir():
        splits = _split_folders(images)
        if not splits:
            return [Place("", images, root / "masks", root / "instances")]
        stray = sorted(p.name for p in images.iterdir() if p not in splits.values() and (p.is_dir() or _is_image(p)))
        if stray:
            message = (
                f"{images} holds split folders ({', '.join(p.name for p in splits.values())}) and beside them {_listed(stray)}. "
                "Move everything into train, val or test."
            )
            faults.append(Fault("layout", message, tuple(images / name for name in stray)))
        masks, instances = _split_folders(root / "masks"), _split_folders(root / "instances")
        return [
            Place(
                split,
                folder,
                masks.get(split, root / "masks" / folder.name),
                instances.get(split, root / "instances" / folder.name),
            )
            for split, folder in splits.items()
        ]
    splits = {split: folder for split, folder in _split_folders(root).items() if (folder / "images").is_dir()}
    if not splits:
        found = sorted(f"{p.name}/" if p.is_dir() else p.name for p in root.iterdir() if not p.name.startswith("."))
        loose = any(_is_image(path) for path in root.iterdir())
        start = f" {WITHOUT_LABELS.format(root)}" if loose else ""
        raise DataError(f"{root} holds no images/ folder.{start} Expected:\n{EXPECTED}\nFound: {_listed(found) or 'nothing'}.")
    return [Place(split, folder / "images", folder / "masks", folder / "instances") for split, folder in splits.items()]


def yaml_places(content: Mapping[str, Any], path: Path) -> list[Place]:
    """Where a data.yaml says the images and masks are: `masks_dir` takes the place of `images` in the path of the images.

    Raises:
        DataError: no split, a folder that does not exist, or a path without `images` in it.
    """
    base = path.parent / str(content.get("path") or ".")
    masks_dir = str(content.get("masks_dir") or "masks")
    places = []
    for split in ("train", "val", "test"):
        entries = content.get(split) or []
        for entry in [entries] if isinstance(entries, str) else entries:
            folder = base / str(entry)
            if not folder.is_dir() and str(entry).startswith("../"):  # some exporters write paths relative to a folder below
                folder = base / str(entry)[3:]
            if not folder.is_dir():
                raise DataError(
                    f"{path} says {split}: {entry}, and there is no folder {base / str(entry)}. Correct `path` or `{split}`."
                )
            parts = folder.parts
            if "images" not in parts:
                raise DataError(
                    f"{path}: {folder} has no part called images, for which {masks_dir!r} would stand in the path of the masks."
                )
            at = len(parts) - 1 - parts[::-1].index("images")
            masks, instances = (Path(*parts[:at], name, *parts[at + 1 :]) for name in (masks_dir, "instances"))
            places.append(Place(split, folder, masks, instances))
    if not places:
        raise DataError(f"{path} names no folder of images: `train` and `val` are missing.")
    return places


def find_pairs(places: Sequence[Place], view: str, declared: ClassSpace | None) -> Pairing:
    """Pair images with their truth by name; declared classes tell a mask per class from other names.

    What does not pair is a fault, and the rest is paired all the same.
    """
    done = Pairing({}, {}, [], [])
    for place in places:
        images, masks, instances = (_files_by_name(folder, done) for folder in place[1:])
        if not images:
            message = f"{place.images} holds no image that ends in {', '.join(IMAGE_SUFFIXES)}."
            done.faults.append(Fault("missing_image", message, (place.images,)))
            continue
        if not (instances if view == "instance" or not masks else masks):
            done.notes.append(f"{len(images)} images in {place.images} have no truth and were left aside; `predict` takes them.")
            continue
        class_files = _match_class_files(place, images, masks, declared, done.faults)
        masks = _match(place.images, images, place.masks, masks, done.faults) if masks and not class_files else {}
        instances = _match(place.images, images, place.instances, instances, done.faults) if instances else {}
        for name, image in images.items():
            pair = Pair(image, masks.get(name), class_files.get(name, {}), instances.get(name))
            key = f"{place.split}/{name}" if place.split else name
            if key in done.pairs:
                message = f"Two images are called {key}: {done.pairs[key].image} and {image}. Rename one."
                done.faults.append(Fault("duplicate_name", message, (done.pairs[key].image, image)))
            elif _has_truth(pair, view):
                done.pairs[key] = pair
                done.splits.setdefault(place.split, []).append(key)
    if not done.pairs and not done.faults:
        done.faults.append(_unlabelled(places[0], view))
    return done


def _has_truth(pair: Pair, view: str) -> bool:
    has_mask = pair.mask is not None or bool(pair.class_files)
    if view == "panoptic":
        return has_mask and pair.instances is not None
    return pair.instances is not None or (view != "instance" and has_mask)


def _unlabelled(place: Place, view: str) -> Fault:
    missing = place.masks if view == "semantic" or not place.masks.is_dir() else place.instances
    what = "object numbers" if missing == place.instances else "masks"
    labels = Path(*("labels" if part == "images" else part for part in place.images.parts))
    polygons = (
        f" The text files in {labels} look like polygons, which are not read: draw them into masks." if labels.is_dir() else ""
    )
    message = (
        f"The images in {place.images} are unlabelled: there are no {what} in {missing}. They can be predicted; training and "
        f"evaluation need a mask of the same name for each.{polygons} {WITHOUT_LABELS.format(place.images)} Expected:\n{EXPECTED}"
    )
    return Fault("missing_mask", message, (place.images,))


def seeded_split(keys: Iterable[str], fraction: float, seed: int) -> tuple[list[str], list[str]]:
    """Divide keys into train and val by a hash of seed and key, so that neither order nor other files change a key's rank."""
    keys = list(keys)
    ranked = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    count = min(len(keys) - 1, max(1, round(fraction * len(keys)))) if fraction > 0 else 0
    val = set(ranked[:count])
    return [key for key in keys if key not in val], [key for key in keys if key in val]


def split_by_table(keys: Iterable[str], table: Any, path: Path) -> dict[str, list[str]]:
    """Divide keys as the `[split]` table of an intarsia.toml says; keys that it does not name are for training.

    Raises:
        DataError: an unknown split or key, a key in two splits, or a rest beside a listed train.
    """
    owner: dict[str, str] = {}
    known = dict.fromkeys(keys)
    if not isinstance(table, Mapping):
        raise DataError(f"{path}: `split` is {table!r}; a table [split] with lists of image names was expected.")
    for split, listed in table.items():
        if split not in ("train", "val", "test") or not isinstance(listed, list):
            raise DataError(f"{path}: [split] holds {split} = {listed!r}; train, val and test are lists of image names.")
        for key in listed:
            if not isinstance(key, str) or key not in known:
                raise DataError(f"{path}: [split] puts {key!r} into {split}, and there is no such image.")
            if owner.setdefault(key, split) != split:
                raise DataError(f"{path}: [split] puts {key!r} into {owner[key]} and into {split}.")
    rest = [key for key in known if key not in owner]
    if rest and "train" in table:
        raise DataError(f"{path}: [split] does not say where {_listed(rest)} belong.")
    splits = {split: [key for key in known if owner.get(key, "train") == split] for split in ("train", "val", "test")}
    return {split: listed for split, listed in splits.items() if listed}


def _split_folders(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        split = SPLIT_OF_FOLDER.get(entry.name.lower())
        if split and entry.is_dir():
            if split in found:
                raise DataError(f"{folder} holds {found[split].name} and {entry.name}, which are one split. Join them.")
            found[split] = entry
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _files_by_name(folder: Path, done: Pairing) -> dict[str, Path]:
    """Image files below a folder by relative path without ending, sorted; {} where there is no such folder."""
    found: dict[str, Path] = {}
    others = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not _is_image(path):
                others += [name] if not name.startswith(".") and name.lower() not in ("thumbs.db", "desktop.ini") else []
                continue
            # An accent is part of its letter or, in names from a Mac, a sign of its own: the same name in other bytes.
            key = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
            if key in found:
                message = (
                    f"{folder} holds {found[key].name} and {name}; of files with one name only one can be meant. Rename one."
                )
                done.faults.append(Fault("duplicate_name", message, (found[key], path)))
            found.setdefault(key, path)
    if others:
        done.notes.append(
            f"{folder} also holds {_listed(others)}, which {'is no image' if len(others) == 1 else 'are no images'} we read."
        )
    return found


def _match_class_files(
    place: Place, images: Mapping[str, Path], masks: Mapping[str, Path], declared: ClassSpace | None, faults: list[Fault]
) -> dict[str, dict[str, Path]]:
    """The files per class of each image; {} if the masks are none, which they are not where as many make sense as plain masks."""
    plain, _ = _by_name(images, masks)
    try:
        found = group_by_class(images, masks, declared, NO_CLASSES)
    except FaultyFolder as error:
        faults += error.faults
        return {}
    taken = {path for files in found.values() for path in files.values()}
    if len(taken) <= len(plain):
        return {}
    without = [name for name in images if not found.get(name, {}).keys() - {IGNORE}]
    strange = [name for name, path in masks.items() if path not in taken]
    known = ", ".join(sorted({name for files in found.values() for name in files}))
    begin = f"{place.masks} holds one file per class ({known})."
    if without:
        message = (
            f"{begin} {len(without)} of {len(images)} images in {place.images} have none: {_listed(without)}. An image in which "
            "no class occurs needs an empty file (all 0) of at least one, or it cannot be told from one that was forgotten."
        )
        faults.append(Fault("missing_mask", message, tuple(images[name] for name in without)))
    if strange:
        message = (
            f"{begin} {len(strange)} of {len(masks)} masks are of no image and class: {_listed(strange)}. Rename them, declare "
            "their class, or move them out of the folder; nothing is left out silently."
        )
        faults.append(Fault("missing_image", message, tuple(masks[name] for name in strange)))
    return {name: files for name, files in found.items() if name not in without}


def _by_name(images: Iterable[str], truths: Mapping[str, Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """The truth of each image that has one: the file of its name, or of its name and `_mask`, `_label` ...; and what is left."""
    left = dict(truths)
    matched = {name: left.pop(name) for name in images if name in left}
    for name in images:
        hit = next((name + ending for ending in MASK_ENDINGS if name + ending in left), None)
        if name not in matched and hit is not None:
            matched[name] = left.pop(hit)
    return matched, left


def _match(
    images_at: Path, images: Mapping[str, Path], truths_at: Path, truths: Mapping[str, Path], faults: list[Fault]
) -> dict[str, Path]:
    """The truth of each image; images without one and truths without image are faults."""
    matched, left = _by_name(images, truths)
    without = [name for name in images if name not in matched]
    advice = (
        " An image and its mask have the same name up to the ending, or the mask's goes on with _mask or _label; a mask per "
        "class goes on with _CLASS, declared in intarsia.toml, or lies in a folder CLASS/. Add what is missing, or move the "
        "others out of the folder; nothing is left out silently."
    )
    if without:
        message = f"{len(without)} of {len(images)} images in {images_at} have no mask: {_listed(without)}."
        faults.append(Fault("missing_mask", message + ("" if left else advice), tuple(images[name] for name in without)))
    if left:
        message = f"{len(left)} of {len(truths)} masks in {truths_at} have no image: {_listed(list(left))}."
        faults.append(Fault("missing_image", message + advice, tuple(left.values())))
    return matched


def _listed(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
