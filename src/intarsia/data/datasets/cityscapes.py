"""Cityscapes: 5000 street scenes of 1024 x 2048 pixels from 50 cities, finely labelled: classes, objects and panoptic maps.

    ROOT/leftImg8bit/train/CITY/CITY_000000_000019_leftImg8bit.png
    ROOT/gtFine/train/CITY/CITY_000000_000019_gtFine_instanceIds.png      and the same for val; test has no truth
    ROOT/gtCoarse/train_extra/CITY/..._gtCoarse_instanceIds.png           19,998 further images, coarsely labelled

Coarse labels serve the split train_extra, and all splits where there is no gtFine/. The semantic view takes _labelIds.png or
_labelTrainIds.png where there are no instanceIds. Of the 30 labels 19 are evaluated; the others are ignored. Where there are
polygons only, they are read by the format cityscapes_polygons.

Citation: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016. The panoptic truth follows
the data set's own script: groups are crowds, and classes that are not evaluated are void.

Licence: the data's own terms, for research and other non-commercial use; registration at https://www.cityscapes-dataset.com.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from intarsia.core import DataError, LabelMap, Panoptic, Sample, Segmentation, Task
from intarsia.data.datasets._layout import counted, paired, require_known, require_view
from intarsia.data.formats import read_image, read_mask
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES, read_cityscapes

__all__ = ["Cityscapes"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance", "panoptic": "panoptic"}
IMAGE = "_leftImg8bit.png"
OBJECTS, LABELS, TRAIN_IDS = "instanceIds", "labelIds", "labelTrainIds"
EXPECTED = f"""\
ROOT/leftImg8bit/{{train,val,train_extra}}/CITY/CITY_SEQUENCE_FRAME{IMAGE}
ROOT/gtFine/{{train,val}}/CITY/CITY_SEQUENCE_FRAME_gtFine_{OBJECTS}.png
ROOT/gtCoarse/train_extra/CITY/CITY_SEQUENCE_FRAME_gtCoarse_{OBJECTS}.png (may be absent)"""
BY_TRAIN_ID = replace(
    CITYSCAPES_CLASSES, classes=tuple(replace(entry, sources=()) for entry in CITYSCAPES_CLASSES.classes), ignore_sources=()
)


class Cityscapes:
    """Street scenes of Cityscapes.

    Args:
        root: the folder that holds leftImg8bit/ and gtFine/ or gtCoarse/.
        view: "semantic", "instance" (things only) or "panoptic".

    Raises:
        DataError: files are missing; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "cityscapes"
    classes = CITYSCAPES_CLASSES
    official = "cityscapes"

    def __init__(self, root: str | Path, *, view: str = "semantic") -> None:
        self.task = require_view("Cityscapes", view, VIEWS)
        self._root = Path(root)
        self._truths: dict[str, str] = {}
        splits = {split: self._keys(split) for split in ("train", "val", "train_extra")}
        self.splits: Mapping[str, Sequence[str]] = {split: keys for split, keys in splits.items() if keys}
        if not self.splits:
            raise DataError(f"{root} holds no images of train or val. Cityscapes is expected as\n{EXPECTED}")
        coarse = [split for split in self.splits if self._truths[split].startswith("gtCoarse")]
        said = f" Labels of {' and '.join(coarse)} are coarse." if coarse else ""
        self.notes: Sequence[str] = (
            f"Cityscapes: {counted(self.splits)} images, 19 classes of which 8 are things; test has no truth.{said}",
        )

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: its folders of images and of labels, not of polygons alone."""
        folders = [folder for kind in ("gtFine", "gtCoarse") if (folder := root / kind).is_dir()]
        if not folders or not (root / "leftImg8bit").is_dir():
            return False
        has_maps, has_polygons = (any(any(f.glob(f"*/*/*{end}")) for f in folders) for end in ("Ids.png", "_polygons.json"))
        return has_maps or not has_polygons

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        require_known("Cityscapes", key, self.splits)
        return self._root / "leftImg8bit" / f"{key}{IMAGE}"

    def read(self, key: str) -> Sample:
        """The image called `key`, such as "val/lindau/lindau_000000_000019", and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
        """
        return Sample(read_image(self.image_path(key)), (self._truth(key),), key)

    def panoptic(self, key: str) -> Panoptic | None:
        """The panoptic truth in any view, which the official scores need; None where there are label ids only."""
        kind, what = self._truths[require_known("Cityscapes", key, self.splits)[0]].split()
        return read_cityscapes(self._root / kind / f"{key}_{kind}_{what}.png") if what == OBJECTS else None

    def _truth(self, key: str) -> Segmentation:
        kind, what = self._truths[key.partition("/")[0]].split()
        whole = self.panoptic(key)
        if whole is None:
            by_value = CITYSCAPES_CLASSES if what == LABELS else BY_TRAIN_ID
            labels = read_mask(self._root / kind / f"{key}_{kind}_{what}.png", by_value)
            return LabelMap(labels.ids, CITYSCAPES_CLASSES)
        if self.task == "instance":
            return whole.to_instances()
        return whole if self.task == "panoptic" else whole.to_label_map()

    def _keys(self, split: str) -> tuple[str, ...]:
        images = self._named("leftImg8bit", split, IMAGE)
        for kind in ("gtFine", "gtCoarse"):
            for what in (OBJECTS, LABELS, TRAIN_IDS) if self.task == "semantic" else (OBJECTS,):
                truths = self._named(kind, split, f"_{kind}_{what}.png")
                if not truths or (split == "train_extra" and not images):  # the labels come without their images
                    continue
                self._truths[split] = f"{kind} {what}"
                return tuple(paired(str(self._root), images, truths, EXPECTED))
        return () if split == "train_extra" else tuple(paired(str(self._root), images, set(), EXPECTED))

    def _named(self, kind: str, split: str, ending: str) -> set[str]:
        found = (self._root / kind / split).glob(f"*/*{ending}")
        return {path.relative_to(self._root / kind).as_posix().removesuffix(ending) for path in found}
