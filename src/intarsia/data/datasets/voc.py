"""PASCAL VOC 2012, segmentation: 2913 photographs with 20 classes and background, and SBD's 7669 further ones for training.

    ROOT/JPEGImages/2007_000032.jpg
    ROOT/SegmentationClass/2007_000032.png       palette PNG: 0 background, 1..20 classes, 255 borders and difficult objects
    ROOT/SegmentationObject/2007_000032.png      likewise with numbers of objects
    ROOT/ImageSets/Segmentation/{train,val}.txt  1464 and 1449 names
    ROOT/benchmark_RELEASE/dataset/              SBD, if wanted; see `sbd`

ROOT is VOCdevkit/VOC2012, or a folder that holds VOC2012 or VOCdevkit. Where SBD is, train has the 10,582 images that papers call
"trainaug": those of VOC's train with VOC's masks, and all of SBD's that are in neither train nor val, with SBD's. SBD has no 255.

Citation: Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 111, 2015. SBD: Hariharan et al.,
"Semantic Contours from Inverse Detectors", ICCV 2011.

Licence: images under the terms of Flickr; http://host.robots.ox.ac.uk/pascal/VOC/voc2012.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intarsia.core import (
    Array,
    DataError,
    Instances,
    LabelMap,
    Sample,
    Segmentation,
    Task,
)
from intarsia.data.datasets._layout import counted, require_known, require_view, stems
from intarsia.data.datasets._sbd_files import read_sbd_labels, read_sbd_objects
from intarsia.data.formats import read_image, read_mask, read_object_ids
from intarsia.data.formats._files import read_bytes
from intarsia.data.formats.voc import VOC_CLASSES

__all__ = ["VOC", "listed_names"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance"}
SBD_FOLDER = "benchmark_RELEASE/dataset"
EXPECTED = """\
ROOT/JPEGImages/NAME.jpg
ROOT/SegmentationClass/NAME.png
ROOT/SegmentationObject/NAME.png (for view instance)
ROOT/ImageSets/Segmentation/{train,val}.txt"""


class VOC:
    """Photographs of PASCAL VOC 2012.

    Args:
        root: VOC2012, or the folder that holds it or VOCdevkit.
        view: "semantic" or "instance".

    Raises:
        DataError: files are missing; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "voc"
    classes = VOC_CLASSES
    official = "voc"

    def __init__(self, root: str | Path, *, view: str = "semantic") -> None:
        self.task = require_view("VOC", view, VIEWS)
        self._root = _voc_folder(Path(root))
        own = {
            split: listed_names(self._root / "ImageSets/Segmentation" / f"{split}.txt", EXPECTED) for split in ("train", "val")
        }
        self._require_files([name for names in own.values() for name in names])
        self._sbd = next((folder for base in (Path(root), self._root) if (folder := base / SBD_FOLDER).is_dir()), None)
        more: list[str] = []
        if self._sbd is not None:
            known = {name for names in own.values() for name in names}
            kind = "cls" if self.task == "semantic" else "inst"
            more = sorted((stems(self._sbd / kind, ".mat") & stems(self._sbd / "img", ".jpg")) - known)
        self._of_sbd = frozenset(more)
        names = {"train": [*own["train"], *more], "val": own["val"]}
        self.splits: Mapping[str, Sequence[str]] = {split: tuple(f"{split}/{n}" for n in found) for split, found in names.items()}
        added = f"; {len(more)} of train are of SBD, outside VOC's train and val" if self._sbd else ""
        self.notes: Sequence[str] = (f"PASCAL VOC 2012: {counted(self.splits)} images, 20 classes and background{added}.",)

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set, and not another arranged as it is: its folders, and a list of VOC's names."""
        found = _voc_folder(root)
        if not all((found / part).is_dir() for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")):
            return False
        try:
            with (found / "ImageSets/Segmentation/val.txt").open("rb") as file:
                return re.match(rb"20\d\d_\d{6}\s", file.read(16)) is not None
        except OSError:
            return False

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        name = require_known("VOC", key, self.splits)[1]
        folder = self._sbd / "img" if self._sbd is not None and name in self._of_sbd else self._root / "JPEGImages"
        return folder / f"{name}.jpg"

    def read(self, key: str) -> Sample:
        """The image called `key`, such as "val/2007_000033", and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
            ClassSpaceError: a value in the mask that no class claims.
        """
        image, name = read_image(self.image_path(key)), key.partition("/")[2]
        truth: Segmentation
        if self._sbd is None or name not in self._of_sbd:
            truth = self._own(name)
        elif self.task == "semantic":
            truth = read_sbd_labels(self._sbd / "cls" / f"{name}.mat", self.classes)
        else:
            truth = read_sbd_objects(self._sbd / "inst" / f"{name}.mat", self.classes)
        return Sample(image, (truth,), key)

    def _own(self, name: str) -> Segmentation:
        labels = read_mask(self._root / "SegmentationClass" / f"{name}.png", self.classes)
        if self.task == "semantic":
            return labels
        path = self._root / "SegmentationObject" / f"{name}.png"
        return _objects(read_object_ids(path), labels, path)

    def _require_files(self, names: Sequence[str]) -> None:
        kinds = {"JPEGImages": ".jpg", "SegmentationClass": ".png"}
        kinds |= {"SegmentationObject": ".png"} if self.task == "instance" else {}
        for folder, ending in kinds.items():
            missing = sorted(set(names) - stems(self._root / folder, ending))
            if missing:
                raise DataError(
                    f"{self._root / folder} lacks {len(missing)} of {len(names)} listed files: {', '.join(missing[:5])}. VOC is "
                    f"expected as\n{EXPECTED}"
                )


def listed_names(path: Path, expected: str) -> list[str]:
    """The names in a file with one on each line.

    Raises:
        DataError: no such file, which the expected tree is shown for, or one that is no text, or names that lead elsewhere.
    """
    if not path.is_file():
        raise DataError(f"There is no {path}. Expected is\n{expected}")
    try:
        names = [line.split()[0] for line in read_bytes(path).decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text file ({error}).") from error
    wrong = next((name for name in names if "/" in name or "\\" in name or "\0" in name), None)
    if wrong is not None or len(set(names)) != len(names):
        raise DataError(f"{path} holds {wrong!r}, which is no name." if wrong is not None else f"{path} holds a name twice.")
    return names


def _voc_folder(root: Path) -> Path:
    return next((root / inner for inner in ("VOC2012", "VOCdevkit/VOC2012") if (root / inner).is_dir()), root)


def _objects(numbers: Array, labels: LabelMap, path: Path) -> Instances:
    """The numbered objects, each of the class that most of its pixels have."""
    if numbers.shape != labels.size_hw:
        raise DataError(f"{path} is {numbers.shape} and its classes {labels.size_hw} (height, width); they must agree.")
    numbers = np.where(numbers == VOC_CLASSES.ignore_id, 0, numbers)
    class_of = {}
    for number in np.unique(numbers[numbers > 0]).tolist():
        votes = np.bincount(labels.ids[numbers == number], minlength=VOC_CLASSES.ignore_id + 1)[1 : len(VOC_CLASSES)]
        if not votes.any():
            raise DataError(f"{path} holds the object {number}, and SegmentationClass says no class for its pixels.")
        class_of[number] = int(votes.argmax()) + 1
    return Instances.from_ids(numbers, VOC_CLASSES, class_of)
