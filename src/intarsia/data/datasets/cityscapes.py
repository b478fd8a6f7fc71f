"""Cityscapes: 5000 street scenes of 1024 x 2048 pixels from 50 cities, finely labelled: classes, objects and panoptic maps.

    ROOT/leftImg8bit/train/CITY/CITY_000000_000019_leftImg8bit.png
    ROOT/gtFine/train/CITY/CITY_000000_000019_gtFine_instanceIds.png      and the same for val; test has no truth

Citation: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016. The panoptic truth follows
the data set's own script: groups are crowds, and classes that are not evaluated are void.

Licence: the data's own terms, for research and other non-commercial use; registration at https://www.cityscapes-dataset.com.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from intarsia.core import DataError, Sample, SettingsError, Task, nearest_names
from intarsia.data.formats import read_image
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES, read_cityscapes

__all__ = ["Cityscapes"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance", "panoptic": "panoptic"}
IMAGE, TRUTH = "_leftImg8bit.png", "_gtFine_instanceIds.png"
EXPECTED = f"""\
ROOT/leftImg8bit/{{train,val}}/CITY/CITY_SEQUENCE_FRAME{IMAGE}
ROOT/gtFine/{{train,val}}/CITY/CITY_SEQUENCE_FRAME{TRUTH}"""


class Cityscapes:
    """Street scenes of Cityscapes.

    Args:
        root: the folder that holds leftImg8bit/ and gtFine/.
        view: "semantic", "instance" (things only) or "panoptic".

    Raises:
        DataError: files are missing; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "cityscapes"
    classes = CITYSCAPES_CLASSES

    def __init__(self, root: str | Path, *, view: str = "semantic") -> None:
        if view not in VIEWS:
            raise SettingsError(f"Cityscapes has no {view} truth; its views are {', '.join(VIEWS)}.")
        self.task: Task = VIEWS[view]
        self._root = Path(root)
        splits = {split: self._keys(split) for split in ("train", "val")}
        self.splits: Mapping[str, Sequence[str]] = {split: keys for split, keys in splits.items() if keys}
        if not self.splits:
            raise DataError(f"{root} holds no images of train or val. Cityscapes is expected as\n{EXPECTED}")
        counts = ", ".join(f"{len(keys)} {split}" for split, keys in self.splits.items())
        self.notes: Sequence[str] = (f"Cityscapes: {counts} images, 19 classes of which 8 are things; test has no truth.",)

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: its folders of images and of fine labels."""
        return (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()

    def read(self, key: str) -> Sample:
        """The image called `key`, such as "val/lindau/lindau_000000_000019", and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
        """
        if key not in self.splits.get(key.split("/", maxsplit=1)[0], ()):
            near = nearest_names(key, (k for keys in self.splits.values() for k in keys))
            raise DataError(f"Cityscapes has no sample {key!r}. Nearest: {', '.join(near) or 'none'}.")
        whole = read_cityscapes(self._root / "gtFine" / f"{key}{TRUTH}")
        views = {"panoptic": lambda: whole, "instance": whole.to_instances, "semantic": whole.to_label_map}
        return Sample(read_image(self._root / "leftImg8bit" / f"{key}{IMAGE}"), (views[self.task](),), key)

    def _keys(self, split: str) -> tuple[str, ...]:
        images, truths = (
            {
                path.relative_to(self._root / kind).as_posix().removesuffix(ending)
                for path in (self._root / kind / split).glob(f"*/*{ending}")
            }
            for kind, ending in (("leftImg8bit", IMAGE), ("gtFine", TRUTH))
        )
        lonely = sorted(images ^ truths)
        if lonely:
            raise DataError(
                f"{self._root} holds an image or a truth alone for {', '.join(lonely[:5])} ({len(lonely)} in all). Cityscapes is "
                f"expected as\n{EXPECTED}"
            )
        return tuple(sorted(images))
