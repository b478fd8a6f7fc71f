"""CamVid as it was published: 701 frames of road scenes of 960 x 720 pixels with 32 classes, void among them.

    ROOT/701_StillsRaw_full/0001TP_006690.png      images
    ROOT/LabeledApproved_full/0001TP_006690_L.png  RGB masks
    ROOT/label_colors.txt                          red, green, blue and name of each class

The view "semantic" gives all 31 classes, void ignored; "eleven" folds them into the eleven classes of `camvid`. Names and colours
are those of label_colors.txt, which may be absent: the published ones are known. Splits are those of the SegNet paper, 367, 101
and 233 frames, by the film sequence and the number in the name; frames of other sequences are left for training.

Official evaluation: the mean of the classes' accuracies, and the accuracy of all pixels; later papers give the mean IoU of the
eleven classes, void left out.

Citation: Brostow, Shotton, Fauqueur, Cipolla, "Segmentation and recognition using structure from motion point clouds", ECCV 2008;
Brostow, Fauqueur, Cipolla, "Semantic object classes in video: a high-definition ground truth database", Pattern Recognition
Letters 30(2), 2009. The split and the eleven classes: Badrinarayanan, Kendall, Cipolla, "SegNet", PAMI 2017.

Licence: none is stated; the page of the data asks for the citations. Treat it as data for non-commercial research.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from intarsia.core import ClassSpace, DataError, Sample, SegmentationClass, Task
from intarsia.core.class_space import Color
from intarsia.data.datasets._layout import counted, paired, require_known, require_view, stems
from intarsia.data.datasets.camvid import COLORS as ELEVEN
from intarsia.data.datasets.camvid import THINGS as THINGS_OF_ELEVEN
from intarsia.data.formats import read_image, read_mask
from intarsia.data.formats._files import read_bytes
from intarsia.data.formats._hostile import refused

__all__ = ["CamVidFull"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "eleven": "semantic"}
IMAGES, TRUTHS, COLOR_LIST = "701_StillsRaw_full", "LabeledApproved_full", "label_colors.txt"
VOID = "Void"
_CLASSES: dict[str, tuple[Color, str]] = {
    "Animal": ((64, 128, 64), "pedestrian"),
    "Archway": ((192, 0, 128), "building"),
    "Bicyclist": ((0, 128, 192), "bicyclist"),
    "Bridge": ((0, 128, 64), "building"),
    "Building": ((128, 0, 0), "building"),
    "Car": ((64, 0, 128), "car"),
    "CartLuggagePram": ((64, 0, 192), "pedestrian"),
    "Child": ((192, 128, 64), "pedestrian"),
    "Column_Pole": ((192, 192, 128), "pole"),
    "Fence": ((64, 64, 128), "fence"),
    "LaneMkgsDriv": ((128, 0, 192), "road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "road"),
    "Misc_Text": ((128, 128, 64), "sign_symbol"),
    "MotorcycleScooter": ((192, 0, 192), "bicyclist"),
    "OtherMoving": ((128, 64, 64), "car"),
    "ParkingBlock": ((64, 192, 128), "pavement"),
    "Pedestrian": ((64, 64, 0), "pedestrian"),
    "Road": ((128, 64, 128), "road"),
    "RoadShoulder": ((128, 128, 192), "pavement"),
    "Sidewalk": ((0, 0, 192), "pavement"),
    "SignSymbol": ((192, 128, 128), "sign_symbol"),
    "Sky": ((128, 128, 128), "sky"),
    "SUVPickupTruck": ((64, 128, 192), "car"),
    "TrafficCone": ((0, 0, 64), "pole"),
    "TrafficLight": ((0, 64, 64), "sign_symbol"),
    "Train": ((192, 64, 128), "car"),
    "Tree": ((128, 128, 0), "tree"),
    "Truck_Bus": ((192, 128, 192), "car"),
    "Tunnel": ((64, 0, 64), "building"),
    "VegetationMisc": ((192, 192, 0), "tree"),
    VOID: ((0, 0, 0), ""),
    "Wall": ((64, 192, 0), "building"),
}
"""Published colour of each class, and the one of the eleven that it becomes."""
THINGS = (
    *("Animal", "Bicyclist", "Car", "CartLuggagePram", "Child", "Column_Pole", "MotorcycleScooter", "OtherMoving", "Pedestrian"),
    *("SignSymbol", "SUVPickupTruck", "TrafficCone", "TrafficLight", "Train", "Truck_Bus"),
)
LAST_OF_TRAIN = 8520
"""Of the film 0001TP, which goes on in test."""
FIRST_OF_VAL, LAST_OF_VAL = 7959, 8159
"""Of the film 0016E5, whose other frames are in train."""
EXPECTED = f"""\
ROOT/{IMAGES}/NAME.png
ROOT/{TRUTHS}/NAME_L.png
ROOT/{COLOR_LIST} (may be absent)"""


class CamVidFull:
    """Road scenes with 31 classes, semantic.

    Args:
        root: the folder that holds the folders of images and masks.
        view: "semantic", or "eleven" for the classes of `camvid`.

    Raises:
        DataError: files are missing, which the expected tree is shown for, or a list of colours that lacks a class.
        SettingsError: another view.
    """

    name = "camvid_full"

    def __init__(self, root: str | Path, *, view: str = "semantic") -> None:
        self.task = require_view("CamVid", view, VIEWS)
        self._root = Path(root)
        colors = _listed_colors(self._root / COLOR_LIST)
        self.classes = _eleven(colors) if view == "eleven" else _all(colors)
        names = paired(str(root), stems(self._root / IMAGES, ".png"), stems(self._root / TRUTHS, "_L.png"), EXPECTED)
        if not names:
            raise DataError(f"{root} holds no frames. CamVid is expected as\n{EXPECTED}")
        splits = {split: tuple(f"{split}/{n}" for n in names if _split_of(n) == split) for split in ("train", "val", "test")}
        self.splits: Mapping[str, Sequence[str]] = {split: keys for split, keys in splits.items() if keys}
        self.notes: Sequence[str] = (
            f"CamVid: {counted(self.splits)} frames, {len(self.classes)} classes, void ignored.",
            "val is cut from a film sequence of train, so its scores flatter; test is the one to report.",
        )

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: its folders of images and of masks."""
        return (root / IMAGES).is_dir() and (root / TRUTHS).is_dir()

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        return self._root / IMAGES / f"{require_known('CamVid', key, self.splits)[1]}.png"

    def read(self, key: str) -> Sample:
        """The frame called `key`, such as "train/0001TP_006690", and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
            ClassSpaceError: a colour in the mask that no class has.
        """
        image = read_image(self.image_path(key))
        return Sample(image, (read_mask(self._root / TRUTHS / f"{key.partition('/')[2]}_L.png", self.classes),), key)


def _split_of(name: str) -> str:
    """The split of SegNet's lists, which are whole ranges of frames of each film; checked against all of their 701 names."""
    film, number = name.partition("_")[0], int((re.findall(r"\d+", name.partition("_")[2]) or ["0"])[-1][:9])
    if film == "Seq05VD" or (film == "0001TP" and number > LAST_OF_TRAIN):
        return "test"
    return "val" if film == "0016E5" and FIRST_OF_VAL <= number <= LAST_OF_VAL else "train"


def _listed_colors(path: Path) -> dict[str, Color]:
    """Colour of each class."""
    if not path.is_file():
        return {name: color for name, (color, _) in _CLASSES.items()}
    found: dict[str, Color] = {}
    with refused(path, "list of colours", "lines such as '64 128 64 Animal'"):
        for line in filter(str.strip, read_bytes(path).decode().splitlines()):
            red, green, blue, name = line.split()[:4]
            found[name] = int(red), int(green), int(blue)
    if set(found) != set(_CLASSES):
        odd = ", ".join(sorted(set(found) ^ set(_CLASSES))[:6])
        raise DataError(
            f"{path} does not list CamVid's 32 classes: {odd} is there or lacks. Without this file the known are used."
        )
    return found


def _all(colors: Mapping[str, Color]) -> ClassSpace:
    entries = [SegmentationClass(name, colors[name], (colors[name],), name in THINGS) for name in _CLASSES if name != VOID]
    return ClassSpace(tuple(entries), ignore_sources=(colors[VOID],))


def _eleven(colors: Mapping[str, Color]) -> ClassSpace:
    entries = []
    for name, color in ELEVEN.items():
        sources = tuple(colors[other] for other, (_, into) in _CLASSES.items() if into == name)
        entries.append(SegmentationClass(name, color, sources, name in THINGS_OF_ELEVEN))
    return ClassSpace(tuple(entries), ignore_sources=(colors[VOID],))
