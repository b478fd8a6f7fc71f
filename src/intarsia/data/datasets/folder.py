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

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intarsia.core import Array, DataError, Instances, LabelMap, Sample, Segmentation, Task, nearest_names
from intarsia.data.datasets._class_files import read_labels
from intarsia.data.datasets._faults import FaultyFolder
from intarsia.data.datasets._inferred import settle_classes
from intarsia.data.datasets._pairs import Pair
from intarsia.data.datasets._survey import survey_folder
from intarsia.data.formats import read_image, read_mask, read_object_ids
from intarsia.data.formats.class_instance import segments_of

__all__ = ["Folder"]


class Folder:
    """Images with masks or object numbers, paired by name.

    Args:
        root: the folder, or a data.yaml (`path`, `train`, `val`, `test`, `names`, `masks_dir`).
        view: "semantic" for label maps (of object numbers: whether there is an object), "instance" for objects, "panoptic" for
            both together, where there are masks and object numbers and the classes say which are things.
        seed: of the split into train and val, where the folder has none.
        val_fraction: share of the images that go to val, where the folder has no val.

    Raises:
        DataError: folders that are missing, images and masks that do not pair, masks that cannot be understood.
        ClassSpaceError: a declaration of classes that contradicts itself.
        SettingsError: a view or a fraction that does not exist.
    """

    def __init__(self, root: str | Path, *, view: str = "semantic", seed: int = 0, val_fraction: float = 0.2) -> None:
        survey = survey_folder(Path(root), view=view, seed=seed, val_fraction=val_fraction)
        if survey.invalid is not None:
            raise survey.invalid
        if survey.faults:
            raise FaultyFolder(*survey.faults)
        self.survey = survey
        self.name = survey.name
        self.task: Task = "panoptic" if view == "panoptic" else "instance" if view == "instance" else "semantic"
        self.classes, about_classes = settle_classes(survey.name, survey.declared, survey.pairs.values())
        self.splits: Mapping[str, Sequence[str]] = {split: tuple(keys) for split, keys in survey.splits.items()}
        if view == "panoptic" and not self.classes.thing_ids:
            raise DataError(
                f"{survey.name} has masks and object numbers, and no class is a thing, so objects cannot be told from stuff. Say "
                f"which are in {survey.root / 'intarsia.toml'}: {{ name = {self.classes.names[-1]!r}, thing = true }}."
            )
        counts = ", ".join(f"{len(keys)} {split}" for split, keys in self.splits.items())
        found = f"{len(survey.pairs)} images with their truth: {counts}."
        self.notes: Sequence[str] = tuple(filter(None, (found, about_classes, survey.about_split, *survey.left_aside)))

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        return self._pair(key).image

    def read(self, key: str) -> Sample:
        """The image and its truth.

        Raises:
            DataError: an unknown key, a file that cannot be read or does not fit the other, or files per class that overlap.
            ClassSpaceError: a value in the mask that no class claims.
        """
        pair = self._pair(key)
        return Sample(read_image(pair.image), (self._truth(pair),), key)

    def _pair(self, key: str) -> Pair:
        pair = self.survey.pairs.get(key)
        if pair is None:
            raise DataError(
                f"{self.name} has no sample {key!r}. Nearest: {', '.join(nearest_names(key, self.survey.pairs)) or 'none'}."
            )
        return pair

    def _truth(self, pair: Pair) -> Segmentation:
        labels = self._labels(pair)
        if self.task == "semantic" and labels is not None:
            return labels
        if pair.instances is None:
            raise DataError(f"{pair.image} has no object numbers in instances/.")
        numbers = read_object_ids(pair.instances)
        if self.task == "panoptic" and labels is not None:
            return segments_of(labels, numbers, pair.mask or next(iter(pair.class_files.values())), pair.instances)
        if self.task == "semantic":
            return LabelMap((numbers > 0).astype(self.classes.id_dtype), self.classes)
        return Instances.from_ids(numbers, self.classes, 1 if labels is None else _class_of_objects(numbers, labels, pair))

    def _labels(self, pair: Pair) -> LabelMap | None:
        if pair.class_files:
            return read_labels(pair.class_files, self.classes, last_wins=self.survey.last_wins)
        return None if pair.mask is None else read_mask(pair.mask, self.classes)


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
