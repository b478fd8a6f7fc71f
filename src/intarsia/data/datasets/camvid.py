"""CamVid with eleven classes: 701 frames of road scenes from a car in Cambridge, 480 x 360, one class per pixel.

Citation: Brostow, Shotton, Fauqueur, Cipolla, "Segmentation and recognition using structure from motion point clouds", ECCV
2008; Brostow, Fauqueur, Cipolla, "Semantic object classes in video: a high-definition ground truth database", Pattern
Recognition Letters 30(2), 2009. The eleven classes and the split are those of Badrinarayanan, Kendall, Cipolla, "SegNet", PAMI
2017.

Licence: the page of the data asks for the citations above and states no licence for the images; the SegNet tutorial, where this
version circulates, is CC BY-NC 4.0. Treat it as data for non-commercial research.

    ROOT/classes.txt                  id, name, red, green, blue
    ROOT/images/train/NAME.jpg        367 images; val 101, test 233
    ROOT/masks/train/NAME.png         palette PNG, ids 0..10, 11 = void

Train and test share one of the film sequences and val is cut from a sequence of train, so val is easier than an unseen scene.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from intarsia.core import ClassSpace, DataError, Sample, SegmentationClass, SettingsError, Task, nearest_names
from intarsia.core.class_space import Color
from intarsia.data.formats import read_image, read_mask

__all__ = ["CamVid"]

VOID = 11
COLORS: dict[str, Color] = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (0, 0, 192),
    "tree": (128, 128, 0),
    "sign_symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
THINGS = ("pole", "sign_symbol", "car", "pedestrian", "bicyclist")
EXPECTED = """\
ROOT/classes.txt
ROOT/images/{train,val,test}/NAME.jpg
ROOT/masks/{train,val,test}/NAME.png"""


class CamVid:
    """Road scenes, semantic.

    Args:
        root: the folder that holds classes.txt, images/ and masks/.
        view: "semantic", the only truth there is.

    Raises:
        DataError: files are missing; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "camvid"
    task: Task = "semantic"

    def __init__(self, root: str | Path, view: str = "semantic") -> None:
        if view != "semantic":
            raise SettingsError(f"CamVid has no {view} truth, only a class per pixel (view 'semantic').")
        self._root = Path(root)
        self.classes = ClassSpace(
            tuple(SegmentationClass(name, color, is_thing=name in THINGS) for name, color in COLORS.items()),
            ignore_id=VOID,
            ignore_sources=((0, 0, 0),),
        )
        self.splits: Mapping[str, Sequence[str]] = {s: self._keys(s) for s in ("train", "val", "test")}
        self.notes: Sequence[str] = (
            "val is cut from a film sequence of train, so its scores flatter; test is the one to report.",
        )

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: its class list and its split folders."""
        try:
            lines = (root / "classes.txt").read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return False
        listed = {line.split()[1] for line in lines if line[:1].isdigit() and len(line.split()) == 5}
        return listed >= set(COLORS) and (root / "images" / "train").is_dir()

    def read(self, key: str) -> Sample:
        """The frame called `key`, such as "train/0001TP_006690".

        Raises:
            DataError: an unknown key, or a file that cannot be read.
        """
        split, _, stem = key.partition("/")
        if key not in self.splits.get(split, ()):
            near = nearest_names(key, (k for keys in self.splits.values() for k in keys))
            raise DataError(f"CamVid has no sample {key!r}. Nearest: {', '.join(near) or 'none'}.")
        image = read_image(self._root / "images" / split / f"{stem}.jpg")
        return Sample(image, (read_mask(self._root / "masks" / split / f"{stem}.png", self.classes),), key)

    def _keys(self, split: str) -> tuple[str, ...]:
        images, masks = (
            {path.stem for path in (self._root / kind / split).glob(f"*{ending}")}
            for kind, ending in (("images", ".jpg"), ("masks", ".png"))
        )
        lonely = sorted(images ^ masks)
        if lonely or not images:
            wrong = f"an image or a mask alone for {', '.join(lonely[:5])} ({len(lonely)} in all)" if lonely else "nothing"
            raise DataError(f"{self._root} holds {wrong} in {split}. CamVid is expected as\n{EXPECTED}")
        return tuple(f"{split}/{stem}" for stem in sorted(images))
