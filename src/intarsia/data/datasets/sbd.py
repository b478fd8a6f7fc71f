"""SBD, the Semantic Boundaries Dataset: 11,355 photographs of PASCAL VOC with classes and objects, for which mAP^r is reported.

    ROOT/img/2008_000002.jpg
    ROOT/cls/2008_000002.mat     GTcls.Segmentation: 0 background, 1..20 classes
    ROOT/inst/2008_000002.mat    GTinst.Segmentation: numbers of objects, GTinst.Categories: their classes
    ROOT/train.txt, val.txt      8498 and 2857 names

ROOT is benchmark_RELEASE/dataset, or a folder that holds it. Every pixel has a truth. Its train shares images with the val of
VOC: to train for VOC, open `voc` with SBD beside it.

Citation: Hariharan, Arbelaez, Bourdev, Maji, Malik, "Semantic Contours from Inverse Detectors", ICCV 2011.

Licence: images under the terms of Flickr; the annotations state none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from intarsia.core import DataError, Sample, Segmentation, Task
from intarsia.data.datasets._layout import counted, require_known, require_view, stems
from intarsia.data.datasets._sbd_files import read_sbd_labels, read_sbd_objects
from intarsia.data.datasets.voc import SBD_FOLDER, VOC, listed_names
from intarsia.data.formats import read_image
from intarsia.data.formats.voc import VOC_CLASSES

__all__ = ["SBD"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance"}
EXPECTED = """\
ROOT/img/NAME.jpg
ROOT/cls/NAME.mat (for view semantic)
ROOT/inst/NAME.mat (for view instance)
ROOT/train.txt, ROOT/val.txt"""


class SBD:
    """Photographs of SBD.

    Args:
        root: benchmark_RELEASE/dataset, or a folder that holds it.
        view: "semantic" or "instance".

    Raises:
        DataError: files are missing; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "sbd"
    classes = VOC_CLASSES
    official = "voc"

    def __init__(self, root: str | Path, *, view: str = "semantic") -> None:
        self.task = require_view("SBD", view, VIEWS)
        self._root = _sbd_folder(Path(root))
        self._kind = "cls" if self.task == "semantic" else "inst"
        names = {split: listed_names(self._root / f"{split}.txt", EXPECTED) for split in ("train", "val")}
        there = stems(self._root / "img", ".jpg") & stems(self._root / self._kind, ".mat")
        missing = sorted({name for found in names.values() for name in found} - there)
        if missing:
            raise DataError(
                f"{self._root} lacks the image or the truth of {len(missing)} listed names: {', '.join(missing[:5])}. SBD is "
                f"expected as\n{EXPECTED}"
            )
        self.splits: Mapping[str, Sequence[str]] = {split: tuple(f"{split}/{n}" for n in found) for split, found in names.items()}
        self.notes: Sequence[str] = (
            f"SBD: {counted(self.splits)} images, 20 classes and background; its train holds images of VOC's val.",
        )

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set and not VOC beside it: its folders of images and of objects, and its lists."""
        found = _sbd_folder(root)
        return not VOC.recognizes(root) and all((found / part).exists() for part in ("img", "cls", "inst", "train.txt"))

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        return self._root / "img" / f"{require_known('SBD', key, self.splits)[1]}.jpg"

    def read(self, key: str) -> Sample:
        """The image called `key`, such as "val/2008_000002", and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
        """
        image = read_image(self.image_path(key))
        path = self._root / self._kind / f"{key.partition('/')[2]}.mat"
        read = read_sbd_labels if self.task == "semantic" else read_sbd_objects
        truth: Segmentation = read(path, self.classes)
        return Sample(image, (truth,), key)


def _sbd_folder(root: Path) -> Path:
    return next((root / inner for inner in (SBD_FOLDER, "dataset") if (root / inner / "cls").is_dir()), root)
