"""COCO-Stuff: the 123,287 photographs of COCO's train and val with 80 classes of things and 91 of stuff, one for each pixel.

    ROOT/train2017/000000000009.jpg                    or ROOT/images/train2017/, and the same for val2017
    ROOT/stuffthingmaps/train2017/000000000009.png     or ROOT/annotations/train2017/; the category id less one, 255 is ignored

Category ids are COCO's, of which eleven that were never drawn are left out; class ids in memory run from 0 without gaps. The
colours are ours. Where COCO's JSON files lie in the same folder it is opened as `coco`; coco_stuff:ROOT says otherwise. The JSON
files stuff_train2017.json, whose one class "other" stands for all things, are read by `coco` with the view "stuff".

Citation: Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and Stuff Classes in Context", CVPR 2018; classes and ids as in
https://github.com/nightrome/cocostuff.

Licence: annotations CC BY 4.0, images under the terms of Flickr.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from intarsia.core import ClassSpace, DataError, Sample, SegmentationClass, Task, default_color
from intarsia.data.datasets._layout import counted, paired, require_known, require_view, stems
from intarsia.data.formats import read_image, read_mask

__all__ = ["CocoStuff"]

VIEWS: dict[str, Task] = {"semantic": "semantic"}
FOLDERS = {"train": "train2017", "val": "val2017"}
THINGS = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
STUFF = (
    *("banner", "blanket", "branch", "bridge", "building-other", "bush", "cabinet", "cage", "cardboard", "carpet"),
    *("ceiling-other", "ceiling-tile", "cloth", "clothes", "clouds", "counter", "cupboard", "curtain", "desk-stuff"),
    *("dirt", "door-stuff", "fence", "floor-marble", "floor-other", "floor-stone", "floor-tile", "floor-wood"),
    *("flower", "fog", "food-other", "fruit", "furniture-other", "grass", "gravel", "ground-other", "hill", "house"),
    *("leaves", "light", "mat", "metal", "mirror-stuff", "moss", "mountain", "mud", "napkin", "net", "paper"),
    *("pavement", "pillow", "plant-other", "plastic", "platform", "playingfield", "railing", "railroad", "river"),
    *("road", "rock", "roof", "rug", "salad", "sand", "sea", "shelf", "sky-other", "skyscraper", "snow"),
    *("solid-other", "stairs", "stone", "straw", "structural-other", "table", "tent", "textile-other", "towel"),
    *("tree", "vegetable", "wall-brick", "wall-concrete", "wall-other", "wall-panel", "wall-stone", "wall-tile"),
    *("wall-wood", "water-other", "waterdrops", "window-blind", "window-other", "wood"),
)
NEVER_DRAWN = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
EXPECTED = """\
ROOT/{train2017,val2017}/NAME.jpg (or ROOT/images/...)
ROOT/stuffthingmaps/{train2017,val2017}/NAME.png (or ROOT/annotations/...)"""


def _classes() -> ClassSpace:
    ids = [number for number in range(1, 183) if number not in NEVER_DRAWN]
    named = enumerate(zip(ids, (*THINGS, *STUFF), strict=True))
    entries = (SegmentationClass(name, default_color(i), (number - 1,), name in THINGS) for i, (number, name) in named)
    return ClassSpace(tuple(entries), ignore_id=255)


class CocoStuff:
    """Photographs of COCO with a class for each pixel.

    Args:
        root: the folder that holds the images and stuffthingmaps/.
        view: "semantic", the only truth there is.

    Raises:
        DataError: files are missing; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "coco_stuff"
    classes = _classes()

    def __init__(self, root: str | Path, *, view: str = "semantic") -> None:
        self.task = require_view("COCO-Stuff", view, VIEWS)
        self._images = _folder(Path(root), ("", "images"))
        self._masks = _folder(Path(root), ("stuffthingmaps", "annotations/stuffthingmaps", "annotations"))
        splits = {split: self._keys(split) for split in FOLDERS}
        self.splits: Mapping[str, Sequence[str]] = {split: keys for split, keys in splits.items() if keys}
        if not self.splits:
            raise DataError(f"{root} holds no images of train2017 or val2017. COCO-Stuff is expected as\n{EXPECTED}")
        self.notes: Sequence[str] = (f"COCO-Stuff: {counted(self.splits)} images, 171 classes of which 80 are things.",)

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: its folder of maps."""
        return any((root / place).is_dir() for place in ("stuffthingmaps", "annotations/stuffthingmaps"))

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        split, name = require_known("COCO-Stuff", key, self.splits)
        return self._images / FOLDERS[split] / f"{name}.jpg"

    def read(self, key: str) -> Sample:
        """The image called `key`, such as "val/000000000139", and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
            ClassSpaceError: a value in the mask that no class claims.
        """
        image, (split, _, name) = read_image(self.image_path(key)), key.partition("/")
        return Sample(image, (read_mask(self._masks / FOLDERS[split] / f"{name}.png", self.classes),), key)

    def _keys(self, split: str) -> tuple[str, ...]:
        images, masks = stems(self._images / FOLDERS[split], ".jpg"), stems(self._masks / FOLDERS[split], ".png")
        if not images:  # the maps of train and val come together, the images one by one
            return ()
        return tuple(f"{split}/{name}" for name in paired(f"{self._masks}: {split}", images, masks, EXPECTED))


def _folder(root: Path, places: Sequence[str]) -> Path:
    return next((root / p for p in places if any((root / p / split).is_dir() for split in FOLDERS.values())), root / places[0])
