"""KITTI semantics and instances: 200 street scenes of about 1242 x 375 pixels from Karlsruhe, labelled like Cityscapes.

    ROOT/training/image_2/000000_10.png       200 images
    ROOT/training/semantic/000000_10.png      8 bits: ids of Cityscapes' labels
    ROOT/training/instance/000000_10.png      16 bits: 256 x id + number of the object in its class, 0 for none
    ROOT/testing/image_2/000000_10.png        200 images without truth, left aside

ROOT is data_semantics or the folder that holds it. There is no official val: a fifth of the images is, by a hash of the name.
A thing class without a number is a group, a crowd here. Of the 34 labels 19 are evaluated; the others are ignored.

Official evaluation: IoU and iIoU of classes and of categories, AP and AP50 of objects, as in Cityscapes. The iIoU weighs objects
by KITTI's own mean sizes, not by Cityscapes'.

Citation: Alhaija, Mustikovela, Mescheder, Geiger, Rother, "Augmented Reality Meets Computer Vision: Efficient Data Generation for
Urban Driving Scenes", IJCV 126, 2018.

Licence: CC BY-NC-SA 3.0; https://www.cvlibs.net/datasets/kitti.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intarsia.core import DataError, LabelMap, Panoptic, Sample, Segmentation, Task
from intarsia.data.datasets._layout import counted, paired, require_known, require_view, stems
from intarsia.data.datasets._pairs import seeded_split
from intarsia.data.formats import read_image, read_mask, read_mask_values
from intarsia.data.formats._masks import require_kind
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES
from intarsia.data.formats.class_instance import segments_of

__all__ = ["KITTI"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance", "panoptic": "panoptic"}
EXPECTED = """\
ROOT/training/image_2/NAME.png
ROOT/training/semantic/NAME.png
ROOT/training/instance/NAME.png (for views instance and panoptic)"""


class KITTI:
    """Street scenes of KITTI.

    Args:
        root: the folder that holds training/, or the one that holds data_semantics/.
        view: "semantic", "instance" (things only) or "panoptic".
        seed: of the split into train and val.
        val_fraction: share of the images that go to val.

    Raises:
        DataError: files are missing; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "kitti"
    classes = CITYSCAPES_CLASSES

    def __init__(self, root: str | Path, *, view: str = "semantic", seed: int = 0, val_fraction: float = 0.2) -> None:
        self.task = require_view("KITTI", view, VIEWS)
        self._root = _training(Path(root))
        self._truths = "semantic" if self.task == "semantic" else "instance"
        images, truths = (stems(self._root / folder, ".png") for folder in ("image_2", self._truths))
        names = paired(str(self._root), images, truths, EXPECTED)
        if not names:
            raise DataError(f"{root} holds no images of training. KITTI is expected as\n{EXPECTED}")
        train, val = seeded_split(names, val_fraction, seed)
        splits = {"train": train, "val": val}
        self.splits: Mapping[str, Sequence[str]] = {s: tuple(f"{s}/{n}" for n in found) for s, found in splits.items() if found}
        self.notes: Sequence[str] = (
            f"KITTI: {counted(self.splits)} images, 19 classes of which 8 are things; val is chosen by a hash of the name with "
            f"seed {seed}, as there is no official one.",
        )

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: its folders of images and of labels."""
        found = _training(root)
        return (found / "image_2").is_dir() and any((found / kind).is_dir() for kind in ("semantic", "instance"))

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        return self._file("image_2", key)

    def read(self, key: str) -> Sample:
        """The image called `key`, such as "train/000000_10", and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
            ClassSpaceError: an id that no class claims.
        """
        image, path = read_image(self.image_path(key)), self._file(self._truths, key)
        truth: Segmentation
        if self.task == "semantic":
            truth = read_mask(path, self.classes)
        else:
            whole = _read_objects(path)
            truth = whole.to_instances() if self.task == "instance" else whole
        return Sample(image, (truth,), key)

    def _file(self, kind: str, key: str) -> Path:
        return self._root / kind / f"{require_known('KITTI', key, self.splits)[1]}.png"


def _training(root: Path) -> Path:
    return next((root / part for part in ("training", "data_semantics/training") if (root / part).is_dir()), root)


def _read_objects(path: Path) -> Panoptic:
    mask = read_mask_values(path)
    require_kind(mask, path, "index")
    labels = LabelMap(CITYSCAPES_CLASSES.ids_from_values(mask.values // 256, where=str(path)), CITYSCAPES_CLASSES)
    return segments_of(labels, np.asarray(mask.values % 256), path, path)
