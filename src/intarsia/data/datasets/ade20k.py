"""ADE20K as the scene parsing challenge gives it: 22,210 photographs of scenes with 150 classes, and the objects of 100 of them.

    ROOT/images/training/ADE_train_00000001.jpg                and the same for validation/ADE_val_00000001.jpg
    ROOT/annotations/training/ADE_train_00000001.png           a class 1..150 for each pixel, 0 is other
    ROOT/annotations_instance/training/ADE_train_00000001.png  for objects: red is the class 1..100, green the object's number

ROOT is ADEChallengeData2016. Files say "other" with 0, which is ignored; class ids in memory run from 0. In the panoptic view
stuff is of annotations/ and things are of annotations_instance/; pixels of a thing class in no object are void.

Citation: Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017; Zhou et al., "Semantic Understanding of Scenes through
the ADE20K Dataset", IJCV 127, 2019.

Licence: the data's own terms, for research and other non-commercial use; annotations BSD-3-Clause;
http://sceneparsing.csail.mit.edu.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intarsia.core import DataError, InstanceMasks, Instances, LabelMap, Panoptic, Sample, Segment, Segmentation, Task
from intarsia.data.datasets._ade20k_classes import ADE20K_CLASSES
from intarsia.data.datasets._layout import counted, paired, require_known, require_view, stems
from intarsia.data.formats import read_image, read_mask, read_mask_values
from intarsia.data.formats._masks import require_kind

__all__ = ["ADE20K"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance", "panoptic": "panoptic"}
FOLDERS = {"train": "training", "val": "validation"}
EXPECTED = """\
ROOT/images/{training,validation}/NAME.jpg
ROOT/annotations/{training,validation}/NAME.png
ROOT/annotations_instance/{training,validation}/NAME.png (for views instance and panoptic)"""


class ADE20K:
    """Scenes of ADE20K.

    Args:
        root: ADEChallengeData2016, or the folder that holds it.
        view: "semantic", "instance" (things only) or "panoptic".

    Raises:
        DataError: files are missing; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "ade20k"
    classes = ADE20K_CLASSES
    official = "ade20k"

    def __init__(self, root: str | Path, *, view: str = "semantic") -> None:
        self.task = require_view("ADE20K", view, VIEWS)
        inner = Path(root) / "ADEChallengeData2016"
        self._root = inner if inner.is_dir() else Path(root)
        splits = {split: self._keys(split) for split in FOLDERS}
        self.splits: Mapping[str, Sequence[str]] = {split: keys for split, keys in splits.items() if keys}
        if not self.splits:
            raise DataError(f"{root} holds no images of training or validation. ADE20K is expected as\n{EXPECTED}")
        self.notes: Sequence[str] = (f"ADE20K: {counted(self.splits)} images, 150 classes of which 100 are things.",)

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: its folders, and files of its names."""
        roots = (root, root / "ADEChallengeData2016")
        return any((r / "annotations").is_dir() and any((r / "images/validation").glob("ADE_val_*.jpg")) for r in roots)

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        return self._file("images", key, ".jpg")

    def read(self, key: str) -> Sample:
        """The image called `key`, such as "val/ADE_val_00000001", and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
            ClassSpaceError: a value in the mask that no class claims.
        """
        image = read_image(self.image_path(key))
        truth: Segmentation
        if self.task == "semantic":
            truth = self._labels(key)
        else:
            truth = self._objects(key)
            truth = _merged(truth, self._labels(key)) if self.task == "panoptic" else truth
        return Sample(image, (truth,), key)

    def _labels(self, key: str) -> LabelMap:
        return read_mask(self._file("annotations", key, ".png"), self.classes)

    def _objects(self, key: str) -> Instances:
        path = self._file("annotations_instance", key, ".png")
        mask = read_mask_values(path)
        require_kind(mask, path, "color")
        category, number = mask.values[..., 0], mask.values[..., 1]
        pairs = np.unique(np.stack([number, category], -1)[number > 0], axis=0)
        things = self.classes.thing_ids
        wrong = [tuple(pair) for pair in pairs.tolist() if not 1 <= pair[1] <= len(things)]
        if wrong or len(np.unique(pairs[:, 0])) != len(pairs):
            what = f"the class {wrong[0][1]} of object {wrong[0][0]}" if wrong else "an object of several classes"
            raise DataError(f"{path} holds {what}; red is one class 1..{len(things)} for each number in green.")
        return Instances.from_ids(number, self.classes, {n: things[c - 1] for n, c in pairs.tolist()})

    def _file(self, kind: str, key: str, ending: str) -> Path:
        split, stem = require_known("ADE20K", key, self.splits)
        return self._root / kind / FOLDERS[split] / f"{stem}{ending}"

    def _keys(self, split: str) -> tuple[str, ...]:
        kind = "annotations" if self.task == "semantic" else "annotations_instance"
        images, truths = (
            stems(self._root / folder / FOLDERS[split], ending) for folder, ending in (("images", ".jpg"), (kind, ".png"))
        )
        return tuple(f"{split}/{stem}" for stem in paired(f"{self._root}: {split}", images, truths, EXPECTED))


def _merged(objects: Instances, labels: LabelMap) -> Panoptic:
    """Things of the one on stuff of the other; a class of stuff is one segment."""
    classes = objects.classes
    stuff = np.setdiff1d(np.unique(labels.ids), [*classes.thing_ids, classes.ignore_id]).tolist()
    table = np.zeros(max(len(classes), classes.ignore_id + 1), np.int32)
    table[stuff] = np.arange(1, len(stuff) + 1)
    ids = table[labels.ids]
    _require_one_size(objects.masks, labels)
    numbers = objects.to_ids().astype(np.int32)
    ids = np.where(numbers > 0, numbers + len(stuff), ids)
    segments = [Segment(index, class_id) for index, class_id in enumerate(stuff, 1)]
    segments += [Segment(index, class_id) for index, class_id in enumerate(objects.class_id.tolist(), len(stuff) + 1)]
    return Panoptic(ids, tuple(segments), classes)


def _require_one_size(masks: InstanceMasks, labels: LabelMap) -> None:
    if masks.size_hw != labels.size_hw:
        raise DataError(f"annotations_instance/ has {masks.size_hw} and annotations/ {labels.size_hw} pixels (height, width).")
