"""Stacks of slices as in the ISBI 2012 challenge: 30 of electron microscopy, 512 x 512, of cells between membranes.

    ROOT/train-volume.tif     a page for each slice, 8 or 16 bits
    ROOT/train-labels.tif     likewise: 0 membrane, 255 cell; or numbers of cells, 0 for none, as in ISBI 2013 (SNEMI3D)
    ROOT/test-volume.tif      without truth in the challenge; the split test where test-labels.tif is there

A slice is a sample. Neighbours look alike, so val is the last fifth of train in one piece, not chosen by chance. Labels of 0 and
255 (or 0 and 1) have the classes membrane and cell, and as objects the pieces of cells that connect by edges. Labels of numbers
have background and cell, and their numbers as objects. A name may also end in .tiff, and be train-input in place of train-volume,
as in SNEMI3D.

Official evaluation: the foreground-restricted Rand score and information score of the connected cells, best over thresholds; at
first the pixel, Rand and warping errors.

Citation: Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics", Frontiers in
Neuroanatomy 9, 2015; the images: Cardona et al., PLoS Biology 8(10), 2010.

Licence: the challenge asks for these citations and states no licence; treat it as data for non-commercial research.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intarsia.core import (
    Array,
    ClassSpace,
    DataError,
    Instances,
    LabelMap,
    Sample,
    SegmentationClass,
    Task,
    as_image,
    default_color,
)
from intarsia.data.datasets._layout import counted, require_known, require_view
from intarsia.data.formats._tiff_pages import page_count, read_page

__all__ = ["ISBI"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance"}
IMAGES, TRUTHS, ENDINGS = ("volume", "input"), ("labels",), (".tif", ".tiff")
CELL = 1
LOOKED_AT = 5
"""Slices of the labels that say whether they are classes or numbers."""
EXPECTED = """\
ROOT/train-volume.tif (or train-input.tif)
ROOT/train-labels.tif
ROOT/test-volume.tif and test-labels.tif (may be absent)"""


class ISBI:
    """Slices of a stack.

    Args:
        root: the folder that holds train-volume.tif and train-labels.tif.
        view: "semantic" or "instance".
        val_fraction: share of the slices of train that go to val, the last ones.

    Raises:
        DataError: files are missing, which the expected tree is shown for, or there are more slices than labels, or fewer.
        SettingsError: another view.
    """

    name = "isbi"

    def __init__(self, root: str | Path, *, view: str = "semantic", val_fraction: float = 0.2) -> None:
        self.task = require_view("A stack of ISBI", view, VIEWS)
        found = {stage: (_file(Path(root), stage, IMAGES), _file(Path(root), stage, TRUTHS)) for stage in ("train", "test")}
        self._stacks = {stage: (images, truths) for stage, (images, truths) in found.items() if images and truths}
        if "train" not in self._stacks:
            raise DataError(f"{root} holds no stack with labels. Expected is\n{EXPECTED}")
        counts = {stage: _count(*stacks) for stage, stacks in self._stacks.items()}
        spread = np.unique(np.linspace(0, counts["train"] - 1, LOOKED_AT).astype(int)).tolist()
        values = [np.unique(read_page(self._stacks["train"][1], index)).tolist() for index in spread]
        highest = max(value for found in values for value in found)
        self._is_numbered = len({value for found in values for value in found} - {0, highest}) > 0
        self._highest = highest
        self.classes = ClassSpace(
            (
                SegmentationClass("background" if self._is_numbered else "membrane", default_color(0)),
                SegmentationClass("cell", default_color(1), is_thing=True),
            )
        )
        first_of_val = counts["train"] - min(round(val_fraction * counts["train"]), counts["train"] - 1)
        ranges = {"train": range(first_of_val), "val": range(first_of_val, counts["train"]), "test": range(counts.get("test", 0))}
        self.splits: Mapping[str, Sequence[str]] = {
            split: tuple(f"{split}/{index:04}" for index in found) for split, found in ranges.items() if found
        }
        self.notes: Sequence[str] = (
            f"Stack: {counted(self.splits)} slices; val is the last of train, in one piece. Labels are "
            f"{'numbers of cells' if self._is_numbered else 'membrane and cell'}.",
        )

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds such a stack: the volume and the labels of train."""
        return _file(root, "train", IMAGES) is not None and _file(root, "train", TRUTHS) is not None

    def read(self, key: str) -> Sample:
        """The slice called `key`, such as "train/0012", and its truth.

        Raises:
            DataError: an unknown key, or a page that cannot be read or holds other values.
        """
        split, index = require_known("The stack", key, self.splits)
        images, truths = self._stacks["test" if split == "test" else "train"]
        labels = read_page(truths, int(index))
        if labels.ndim != 2 or labels.dtype.kind not in "iub" or (labels.size and labels.min() < 0):
            raise DataError(f"{truths} holds {labels.dtype} of shape {labels.shape}; labels are one whole number for each pixel.")
        odd = np.unique(labels[(labels != 0) & (labels != self._highest)])
        if len(odd) and not self._is_numbered:
            raise DataError(f"{truths} holds {odd[:6].tolist()} in slice {index}, beside 0 and {self._highest} elsewhere.")
        return Sample(as_image(read_page(images, int(index)), where=f"{images}, slice {index}"), (self._truth(labels),), key)

    def _truth(self, labels: Array) -> LabelMap | Instances:
        if self.task == "semantic":
            return LabelMap((labels > 0).astype(self.classes.id_dtype), self.classes)
        if self._is_numbered:
            return Instances.from_ids(labels, self.classes, CELL)
        from scipy.ndimage import label

        return Instances.from_ids(label(labels > 0)[0], self.classes, CELL)


def _file(root: Path, stage: str, kinds: Sequence[str]) -> Path | None:
    paths = (root / f"{stage}-{kind}{ending}" for kind in kinds for ending in ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def _count(images: Path, truths: Path) -> int:
    counts = page_count(images), page_count(truths)
    if counts[0] != counts[1] or counts[0] == 0:
        raise DataError(f"{images} has {counts[0]} slices and {truths} {counts[1]}; each slice needs its labels.")
    return counts[0]
