"""Data Science Bowl 2018: nuclei of cells in 670 microscope images of many kinds, each nucleus in a file of its own.

    ROOT/stage1_train/ID/images/ID.png       670 images
    ROOT/stage1_train/ID/masks/NUCLEUS.png   0 and 255, a file for each nucleus
    ROOT/stage1_train_labels.csv             the same as run lengths, read where there are no folders masks/
    ROOT/stage1_test/ID/images/ID.png        65 images, the split test where their truth is there:
    ROOT/stage1_solution.csv                 published after the competition; or folders masks/

A run is its first pixel and its length; pixels are counted from 1 down the columns. A fifth of stage1_train is val, by a hash of
the name, as nothing official divides it; some are tiles of one field, so val flatters. Alpha, opaque in all images, is left out.

Official evaluation: of each image TP / (TP + FP + FN) at IoU over 0.5, 0.55 ... 0.95, the mean of the ten, averaged over images.

Citation: Caicedo et al., "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl", Nature Methods 16, 2019.

Licence: CC0 1.0; https://bbbc.broadinstitute.org/BBBC038.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from intarsia.core import (
    BoolArray,
    ClassSpace,
    DataError,
    InstanceMasks,
    Instances,
    LabelMap,
    Sample,
    SegmentationClass,
    Task,
    default_color,
)
from intarsia.data.datasets._layout import counted, require_known, require_view
from intarsia.data.datasets._pairs import seeded_split
from intarsia.data.formats import read_image, read_mask_values
from intarsia.data.formats._files import read_bytes
from intarsia.data.formats._hostile import refused

__all__ = ["DSB2018"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance"}
CLASSES = ClassSpace(
    (SegmentationClass("background", default_color(0)), SegmentationClass("nucleus", default_color(1), is_thing=True))
)
NUCLEUS = 1
RUNS = {"stage1_train": "stage1_train_labels.csv", "stage1_test": "stage1_solution.csv"}
EXPECTED = """\
ROOT/stage1_train/ID/images/ID.png
ROOT/stage1_train/ID/masks/NUCLEUS.png, or ROOT/stage1_train_labels.csv
ROOT/stage1_test/ID/images/ID.png and ROOT/stage1_solution.csv (may be absent)"""

Crop = tuple[tuple[int, int], BoolArray]


class DSB2018:
    """Nuclei of the Data Science Bowl 2018.

    Args:
        root: the folder that holds stage1_train/.
        view: "semantic" or "instance".
        seed: of the split into train and val.
        val_fraction: share of the images that go to val.

    Raises:
        DataError: files are missing or a file of run lengths is damaged; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "dsb2018"
    classes = CLASSES

    def __init__(self, root: str | Path, *, view: str = "semantic", seed: int = 0, val_fraction: float = 0.2) -> None:
        self.task = require_view("DSB 2018", view, VIEWS)
        self._root = Path(root)
        self._runs = {stage: _read_runs(self._root / name) for stage, name in RUNS.items()}
        train, val = seeded_split(self._names("stage1_train"), val_fraction, seed)
        if not train:
            raise DataError(f"{root} holds no images of stage1_train. DSB 2018 is expected as\n{EXPECTED}")
        splits = {"train": train, "val": val, "test": self._names("stage1_test")}
        self.splits: Mapping[str, Sequence[str]] = {s: tuple(f"{s}/{n}" for n in found) for s, found in splits.items() if found}
        self.notes: Sequence[str] = (
            f"DSB 2018: {counted(self.splits)} images of nuclei; val is chosen by a hash of the name with seed {seed}.",
        )

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: a folder for each image, in which images/ is."""
        try:
            with os.scandir(root / "stage1_train") as entries:
                return any((Path(entry.path) / "images").is_dir() for entry, _ in zip(entries, range(8), strict=False))
        except OSError:
            return False

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        stage, name = self._place(key)
        return self._root / stage / name / "images" / f"{name}.png"

    def read(self, key: str) -> Sample:
        """The image called by its split and id, and its nuclei, which may overlap by a few pixels.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
        """
        stage, name = self._place(key)
        image = read_image(self.image_path(key))
        size_hw = image.shape[0], image.shape[1]
        folder = self._root / stage / name / "masks"
        crops = _drawn(folder, size_hw) if folder.is_dir() else self._written(stage, name, size_hw)
        masks = InstanceMasks.pack_crops(crops, size_hw)
        masks = masks.select(masks.areas() > 0)
        truth: Instances | LabelMap
        if self.task == "instance":
            truth = Instances(masks, np.full(len(masks), NUCLEUS, np.int32), CLASSES)
        else:
            ids = np.zeros(size_hw, CLASSES.id_dtype)
            for where, crop in masks.crops():
                ids[where][crop] = NUCLEUS
            truth = LabelMap(ids, CLASSES)
        return Sample(image[..., :3] if image.shape[2] == 4 else image, (truth,), key)

    def _place(self, key: str) -> tuple[str, str]:
        split, name = require_known("DSB 2018", key, self.splits)
        return "stage1_test" if split == "test" else "stage1_train", name

    def _names(self, stage: str) -> list[str]:
        """Ids of the images of a stage that have a truth; none where no image of the test has one."""
        folder = self._root / stage
        names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        names = [name for name in names if name[0] != "."]
        lonely = [name for name in names if name not in self._runs[stage] and not (folder / name / "masks").is_dir()]
        if stage == "stage1_test" and len(lonely) == len(names):
            return []
        lonely += [name for name in names if not (folder / name / "images" / f"{name}.png").is_file()]
        if lonely:
            raise DataError(
                f"{folder} holds an image or nuclei alone for {', '.join(lonely[:5])} ({len(lonely)} in all). Expected is"
                f"\n{EXPECTED}"
            )
        return names

    def _written(self, stage: str, name: str, size_hw: tuple[int, int]) -> Iterator[Crop]:
        path = self._root / RUNS[stage]
        for text in self._runs[stage][name]:
            with refused(path, "file of run lengths", "first pixel and length in turn, as in '5 3 17 2'"):
                begin, length = np.array(text.split(), np.int64).reshape(-1, 2).T
            pixels = size_hw[0] * size_hw[1]
            outside = (begin < 1) | (length < 1) | (begin > pixels) | (length > pixels - begin + 1)
            if outside.any():
                run = f"{begin[outside][0]} {length[outside][0]}"
                raise DataError(f"{path} holds the run '{run}' of {name}, which has the pixels 1..{pixels}.")
            flat = np.zeros(pixels + 1, np.int32)
            np.add.at(flat, begin - 1, 1)
            np.add.at(flat, begin - 1 + length, -1)
            yield (0, 0), (flat[:-1].cumsum() > 0).reshape(size_hw[::-1]).T


def _drawn(folder: Path, size_hw: tuple[int, int]) -> Iterator[Crop]:
    for path in sorted(folder.glob("*.png")):
        values = read_mask_values(path).values
        inside = values > 0 if values.ndim == 2 else (values > 0).any(2)
        if inside.shape != size_hw:
            raise DataError(f"{path} is {inside.shape} and its image {size_hw} (height, width); they must agree.")
        yield (0, 0), inside


def _read_runs(path: Path) -> dict[str, list[str]]:
    """Id of each image to the runs of its nuclei, as text; empty where there is no file."""
    if not path.is_file():
        return {}
    found: dict[str, list[str]] = {}
    with refused(path, "file of run lengths", "the columns ImageId and EncodedPixels"):
        try:
            for row in csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig"))):
                found.setdefault(row["ImageId"], []).append(row["EncodedPixels"] or "")
        except csv.Error as error:
            raise DataError(f"{path} is no CSV file ({error}).") from error
    return found
