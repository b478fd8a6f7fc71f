"""A folder of images and masks, as it lies on the disk.

    ROOT/images/NAME.jpg          ROOT/masks/NAME.png        split at random by a hash of the name, or
    ROOT/images/train/NAME.jpg    ROOT/masks/train/NAME.png  and the same for val and test, or
    ROOT/train/images/NAME.jpg    ROOT/train/masks/NAME.png  and the same for val and test

In place of masks/NAME.png there may be one binary file per class, at each of these places:

    masks/CLASS/NAME.png          a folder per class, or
    masks/NAME_CLASS.png          an ending per class, where the classes are declared or every image has the same endings

`instances/` with object numbers may stand beside or in place of `masks/`. Classes are declared in ROOT/intarsia.toml, or in the
data.yaml of other tools, or inferred from the masks or their names.

Licence and citation: those of the data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import (
    Array,
    ClassSpace,
    DataError,
    Instances,
    LabelMap,
    Sample,
    Segmentation,
    SettingsError,
    Task,
    nearest_names,
)
from intarsia.data.datasets._class_files import describe_class_files, read_labels
from intarsia.data.datasets._declared import TOML, YAML, classes_from, last_class_wins, read_toml, read_yaml, yaml_classes
from intarsia.data.datasets._inferred import infer_classes, infer_from_class_files, settle_binary
from intarsia.data.datasets._pairs import Pair, find_pairs, folder_places, seeded_split, split_by_table, yaml_places
from intarsia.data.formats import read_image, read_mask, read_object_ids

__all__ = ["Folder"]


class Folder:
    """Images with masks or object numbers, paired by name.

    Args:
        root: the folder, or a data.yaml (`path`, `train`, `val`, `test`, `names`, `masks_dir`).
        view: "semantic" for label maps (of object numbers: whether there is an object), "instance" for objects.
        seed: of the split into train and val, where the folder has none.
        val_fraction: share of the images that go to val, where the folder has no val.

    Raises:
        DataError: folders that are missing, images and masks that do not pair, masks that cannot be understood.
        ClassSpaceError: a declaration of classes that contradicts itself.
        SettingsError: a view or a fraction that does not exist.
    """

    def __init__(self, root: str | Path, *, view: str = "semantic", seed: int = 0, val_fraction: float = 0.2) -> None:
        if view not in ("semantic", "instance"):
            raise SettingsError(f"A folder has no view called {view!r}; there are 'semantic' and 'instance'.")
        if not 0 <= val_fraction < 1:
            raise SettingsError(f"val_fraction is {val_fraction}; a share from 0 up to, not including, 1 was expected.")
        root = Path(root)
        yaml_file = root if root.is_file() else root / YAML
        yaml_is_given = root.is_file()
        root = root.parent if yaml_is_given else root
        if not root.is_dir():
            raise DataError(f"There is no folder {root}.")
        toml = read_toml(root / TOML) if (root / TOML).is_file() else {}
        declared = classes_from(toml, root / TOML) if "classes" in toml else None
        self._last_wins = last_class_wins(toml, root / TOML)
        content = read_yaml(yaml_file) if yaml_file.is_file() else None
        if content is not None:
            declared = declared or yaml_classes(content, yaml_file)
        self.name = root.resolve().name if yaml_file.name == YAML else yaml_file.stem
        self.task: Task = "instance" if view == "instance" else "semantic"
        if content is not None and (yaml_is_given or _yaml_leads(content, root)):
            places = yaml_places(content, yaml_file)
        else:
            places = folder_places(root)
        self._pairs, splits, left_aside = find_pairs(places, view, declared)
        self.classes, about_classes = _settle_classes(self.name, declared, self._pairs.values())
        if "split" in toml:
            splits, about_split = split_by_table(self._pairs, toml["split"], root / TOML), None
        else:
            splits, about_split = _settle_splits(splits, seed, val_fraction)
        self.splits: Mapping[str, Sequence[str]] = {split: tuple(keys) for split, keys in splits.items()}
        counts = ", ".join(f"{len(keys)} {split}" for split, keys in splits.items())
        found = f"{len(self._pairs)} images with their truth: {counts}."
        self.notes: Sequence[str] = tuple(filter(None, (found, about_classes, about_split, *left_aside)))

    def read(self, key: str) -> Sample:
        """The image and its truth.

        Raises:
            DataError: an unknown key, a file that cannot be read or does not fit the other, or files per class that overlap.
            ClassSpaceError: a value in the mask that no class claims.
        """
        pair = self._pairs.get(key)
        if pair is None:
            raise DataError(
                f"{self.name} has no sample {key!r}. Nearest: {', '.join(nearest_names(key, self._pairs)) or 'none'}."
            )
        return Sample(read_image(pair.image), (self._truth(pair),), key)

    def _truth(self, pair: Pair) -> Segmentation:
        labels = self._labels(pair)
        if self.task == "semantic" and labels is not None:
            return labels
        if pair.instances is None:
            raise DataError(f"{pair.image} has no object numbers in instances/.")
        numbers = read_object_ids(pair.instances)
        if self.task == "semantic":
            return LabelMap((numbers > 0).astype(self.classes.id_dtype), self.classes)
        return Instances.from_ids(numbers, self.classes, 1 if labels is None else _class_of_objects(numbers, labels, pair))

    def _labels(self, pair: Pair) -> LabelMap | None:
        if pair.class_files:
            return read_labels(pair.class_files, self.classes, last_wins=self._last_wins)
        return None if pair.mask is None else read_mask(pair.mask, self.classes)


def _yaml_leads(content: Mapping[str, Any], root: Path) -> bool:
    """Whether a data.yaml in the folder says where images and masks are, rather than the names of the folders beside it."""
    return not (root / "images").is_dir() or (not (root / "masks").is_dir() and not content.keys().isdisjoint(("train", "val")))


def _settle_classes(name: str, declared: ClassSpace | None, pairs: Collection[Pair]) -> tuple[ClassSpace, str | None]:
    """The classes that the truths are read with, and what is to be said about them."""
    masks = [pair.mask for pair in pairs if pair.mask is not None]
    class_files = [pair.class_files for pair in pairs if pair.class_files]
    if not masks and not class_files:
        return _classes_of_objects(name, declared)
    if declared is None and masks and class_files:
        raise DataError(
            f"{masks[0]} is the one mask of its image, and {next(iter(class_files[0].values()))} one of several, one per class; "
            "the values of the first do not tell which class they mean. Declare the classes in intarsia.toml."
        )
    if declared is None:
        return infer_from_class_files(class_files) if class_files else infer_classes(masks)
    if len(declared) == 1:
        raise DataError(
            f"{name} declares one class, {declared.names[0]!r}; masks tell two or more apart. Declare 'background' too."
        )
    settled, said = settle_binary(declared, masks) if masks else (declared, None)
    files_said = describe_class_files(class_files, settled.names) if class_files else None
    return settled, " ".join(filter(None, (said, files_said))) or None


def _classes_of_objects(name: str, declared: ClassSpace | None) -> tuple[ClassSpace, str]:
    """Background and one kind of object, which is all that object numbers without masks say."""
    if declared is not None and len(declared) > 2:
        raise DataError(
            f"{name} declares {len(declared)} classes, and object numbers alone do not say which of them an object is. Put the "
            "class of each pixel into masks/, or declare two classes: the background and the object."
        )
    if declared is None or len(declared) == 1:
        thing = declared.names[0] if declared is not None else "object"
        declared = ClassSpace.from_names(["background", thing], things=[thing])
    return declared, f"Object numbers: 0 is {declared.names[0]}, any other is {declared.names[1]}."


def _settle_splits(splits: dict[str, list[str]], seed: int, val_fraction: float) -> tuple[dict[str, list[str]], str | None]:
    """Give train a val where there is none, and say so."""
    source = "" if "" in splits else "train"
    if source not in splits or "val" in splits:
        return splits, None
    keys = splits.pop(source)
    train, val = seeded_split(keys, val_fraction, seed)
    if not val:
        return {"train": train, **splits}, None
    return {"train": train, "val": val, **splits}, (
        f"val is {len(val)} of {len(keys)} images, chosen by a hash of the name with seed {seed}. If neighbouring files show one "
        "scene, give split folders instead: such a val flatters."
    )


def _class_of_objects(numbers: Array, labels: LabelMap, pair: Pair) -> dict[int, int]:
    """The class of most pixels of each object, among the classes of things if any are declared."""
    classes, mask = labels.classes, pair.mask or next(iter(pair.class_files.values()))
    if classes is None or numbers.shape != labels.ids.shape:
        raise DataError(f"{pair.instances} is {numbers.shape} and {mask} {labels.ids.shape} (height, width); they must agree.")
    found, index = np.unique(numbers, return_inverse=True)
    votes = np.zeros((len(found), max(len(classes), classes.ignore_id + 1)), np.int64)
    np.add.at(votes, (index.ravel(), labels.ids.ravel()), 1)
    allowed = np.array(classes.thing_ids or range(len(classes)))
    votes = votes[:, allowed]
    lost = [int(n) for n, row in zip(found, votes, strict=True) if n and not row.any()]
    if lost:
        raise DataError(f"{mask} says no class for the objects {lost[:6]} of {pair.instances}.")
    return {int(n): int(allowed[row.argmax()]) for n, row in zip(found, votes, strict=True) if n}
