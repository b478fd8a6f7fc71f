"""Mapillary Vistas, 1.2 and 2.0: 25,000 street scenes from all over the world, of 2 to 22 megapixels, finely labelled.

    ROOT/config.json                                    1.2 (a release before 2.0): its labels, in order
    ROOT/training/{images,labels,instances,panoptic}/   and validation; testing has no truth
    ROOT/config_v1.2.json, config_v2.0.json             2.0 (the present release): labels of both versions
    ROOT/training/images/NAME.jpg                       18,000; validation 2000
    ROOT/training/v2.0/labels/NAME.png                  8 bits: position in the list of labels
    ROOT/training/v2.0/instances/NAME.png               16 bits: 256 x label + number of the object
    ROOT/training/v2.0/panoptic/NAME.png                id = R + 256 G + 65536 B, listed in panoptic_2020.json (1.2: 2018)

The config says of each label its name, its colour, whether it is evaluated and whether its objects are told apart. The classes
are the evaluated labels (1.2: 65 of 66, 37 of them things; 2.0: 116 of 124, 70 things); the others are void. Of a release with
both versions 2.0 is read, and 1.2 by the views that end in "-v1.2". Numbers of objects count from 0, so each value in instances/
is an object, as the conversions of others to COCO's form take it. Only panoptic/ knows crowds; without it that view is made of
instances/.

Official evaluation: mean IoU over the evaluated labels; AP as in COCO over the things; PQ.

Citation: Neuhold, Ollmann, Rota Bulo, Kontschieder, "The Mapillary Vistas Dataset for Semantic Understanding of Street Scenes",
ICCV 2017.

Licence: the data's own, for research; registration at https://www.mapillary.com/dataset/vistas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intarsia.core import (
    ClassSpace,
    DataError,
    LabelMap,
    Panoptic,
    Sample,
    Segmentation,
    SegmentationClass,
    Task,
)
from intarsia.data.datasets._layout import counted, paired, require_known, require_view, stems
from intarsia.data.formats import read_image, read_mask, read_mask_values
from intarsia.data.formats._hostile import read_json, refused
from intarsia.data.formats._masks import require_kind
from intarsia.data.formats.class_instance import segments_of
from intarsia.data.formats.coco_panoptic import CocoPanopticFile, read_coco_panoptic

__all__ = ["Mapillary"]

OLD = "-v1.2"
VIEWS: dict[str, Task] = {
    "semantic": "semantic",
    "instance": "instance",
    "panoptic": "panoptic",
    f"semantic{OLD}": "semantic",
    f"instance{OLD}": "instance",
    f"panoptic{OLD}": "panoptic",
}
FOLDERS = {"train": "training", "val": "validation"}
CONFIGS = (("config_v2.0.json", "v2.0"), ("config_v1.2.json", "v1.2"), ("config.json", ""))
"""Files that list the labels, the newest first, and the folder of their masks within each split."""
FORM = '{"labels": [{"name": ..., "readable": ..., "color": [r, g, b], "evaluate": true, "instances": false}]}'
EXPECTED = """\
ROOT/config_v2.0.json (or config_v1.2.json; config.json before release 2.0)
ROOT/{training,validation}/images/NAME.jpg
ROOT/{training,validation}/v2.0/{labels,instances}/NAME.png (before release 2.0 without v2.0/)
ROOT/{training,validation}/v2.0/panoptic/NAME.png and its JSON (may be absent)"""


class Mapillary:
    """Street scenes of Mapillary Vistas.

    Args:
        root: the folder that holds the config, training/ and validation/.
        view: "semantic", "instance" (things only) or "panoptic", of the newest version there is, or with "-v1.2" behind.

    Raises:
        DataError: files are missing, which the expected tree is shown for, or the config is damaged.
        SettingsError: another view.
    """

    name = "mapillary"

    def __init__(self, root: str | Path, *, view: str = "semantic") -> None:
        self.task = require_view("Mapillary Vistas", view, VIEWS)
        self._root = Path(root)
        config, self._inner = _config_of(self._root, view.endswith(OLD))
        self.classes, names = _classes_of(config)
        self._segments = {split: self._segments_of(split) for split in FOLDERS} if self.task == "panoptic" else {}
        self._class_of = {name: index for index, pair in enumerate(names) for name in pair}
        splits = {split: self._keys(split) for split in FOLDERS}
        self.splits: Mapping[str, Sequence[str]] = {split: keys for split, keys in splits.items() if keys}
        if not self.splits:
            raise DataError(f"{root} holds no images of training or validation. Mapillary Vistas is expected as\n{EXPECTED}")
        self.notes: Sequence[str] = (
            f"Mapillary Vistas, labels of {config.name}: {counted(self.splits)} images, {len(self.classes)} classes of which "
            f"{len(self.classes.thing_ids)} are things; labels that are not evaluated are void.",
        )

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: a config of its name and the folders of images."""
        has_config = any((root / name).is_file() for name, _ in CONFIGS)
        return has_config and any((root / folder / "images").is_dir() for folder in FOLDERS.values())

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        split, name = require_known("Mapillary Vistas", key, self.splits)
        return self._root / FOLDERS[split] / "images" / f"{name}.jpg"

    def read(self, key: str) -> Sample:
        """The image called by its split and name, and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
            ClassSpaceError: a label that the config does not list.
        """
        image = read_image(self.image_path(key))
        split, _, name = key.partition("/")
        truth: Segmentation
        segments = self._segments.get(split)
        if self.task == "semantic":
            truth = read_mask(self._folder(split, "labels") / f"{name}.png", self.classes)
        elif segments is not None:
            truth = self._of_file(segments, f"{name}.png")
        else:
            whole = _read_objects(self._folder(split, "instances") / f"{name}.png", self.classes)
            truth = whole if self.task == "panoptic" else whole.to_instances()
        return Sample(image, (truth,), key)

    def _of_file(self, file: CocoPanopticFile, name: str) -> Panoptic:
        """A panoptic map with our classes, which are found by name; what is not evaluated is void."""
        if name not in file.segments:
            raise DataError(f"{file.path} does not list {name}.")
        whole = file.read(name)
        named = [(segment, self._class_of.get(file.classes.names[segment.class_id])) for segment in whole.segments]
        void = [segment.id for segment, class_id in named if class_id is None]
        kept = tuple(segment._replace(class_id=class_id) for segment, class_id in named if class_id is not None)
        return Panoptic(np.where(np.isin(whole.ids, void), 0, whole.ids), kept, self.classes)

    def _segments_of(self, split: str) -> CocoPanopticFile | None:
        folder = self._folder(split, "panoptic")
        path = next(iter(sorted(folder.glob("panoptic_*.json"))), None)
        return None if path is None else read_coco_panoptic(path, folder)

    def _folder(self, split: str, kind: str) -> Path:
        return self._root / FOLDERS[split] / self._inner / kind

    def _keys(self, split: str) -> tuple[str, ...]:
        of_file = self._segments.get(split) is not None
        kind = "labels" if self.task == "semantic" else "panoptic" if of_file else "instances"
        images, truths = stems(self._root / FOLDERS[split] / "images", ".jpg"), stems(self._folder(split, kind), ".png")
        return tuple(f"{split}/{name}" for name in paired(f"{self._root}: {split}", images, truths, EXPECTED))


def _config_of(root: Path, is_old: bool) -> tuple[Path, str]:
    """The file that lists the labels, and the folder within each split that has their masks."""
    found = next(((root / name, inner) for name, inner in CONFIGS[is_old:] if (root / name).is_file()), None)
    if found is None:
        raise DataError(
            f"{root} holds no {' or '.join(n for n, _ in CONFIGS[is_old:])}. Mapillary Vistas is expected as\n{EXPECTED}"
        )
    return found


def _classes_of(path: Path) -> tuple[ClassSpace, list[tuple[str, str]]]:
    """The evaluated labels, and both names of each: the readable one, which it has here, and the one with the groups."""
    with refused(path, "config of Mapillary Vistas", FORM):
        labels = read_json(path, what="config of Mapillary Vistas")["labels"]
        readable = [str(label["readable"]) for label in labels]
        entries, names, void = [], [], []
        for index, label in enumerate(labels):
            if not label["evaluate"]:
                void.append(index)
                continue
            red, green, blue = map(int, label["color"])
            shown = readable[index] if readable.count(readable[index]) == 1 else str(label["name"])
            entries.append(SegmentationClass(shown, (red, green, blue), (index,), bool(label["instances"])))
            names.append((shown, str(label["name"])))
        return ClassSpace(tuple(entries), ignore_sources=tuple(void)), names


def _read_objects(path: Path, classes: ClassSpace) -> Panoptic:
    mask = read_mask_values(path)
    require_kind(mask, path, "index")
    labels = LabelMap(classes.ids_from_values(mask.values // 256, where=str(path)), classes)
    return segments_of(labels, mask.values.astype(np.int64) % 256 + 1, path, path)
