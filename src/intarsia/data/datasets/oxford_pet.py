"""Oxford-IIIT Pet: 7349 photographs of cats and dogs of 37 breeds, with the outline of the animal.

    ROOT/images/Abyssinian_100.jpg
    ROOT/annotations/trimaps/Abyssinian_100.png    8 bits: 1 the animal, 2 background, 3 not classified (a border around it)
    ROOT/annotations/trainval.txt, test.txt        name, class 1..37, species (1 cat, 2 dog), breed in its species: 3680, 3669

Views, all of one class per pixel: "semantic" is background and pet; "species" background, cat and dog; "breeds" background and 37
breeds, called as in the names of the files; in these the border is ignored. "trimap" has it as a third class. A fifth of trainval
is val, by a hash of the name, as nothing official divides it.

Official evaluation: of the paper, the overlap (IoU) of the animal on test, border pixels left out; classification is by breed.

Citation: Parkhi, Vedaldi, Zisserman, Jawahar, "Cats and Dogs", CVPR 2012.

Licence: CC BY-SA 4.0; the copyright of the images stays with their owners. https://www.robots.ox.ac.uk/~vgg/data/pets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intarsia.core import ClassSpace, DataError, LabelMap, Sample, SegmentationClass, Task, default_color
from intarsia.data.datasets._layout import counted, require_known, require_view, stems
from intarsia.data.datasets._pairs import seeded_split
from intarsia.data.formats import read_image, read_mask
from intarsia.data.formats._files import read_bytes
from intarsia.data.formats._hostile import refused

__all__ = ["OxfordPet"]

VIEWS: dict[str, Task] = {"semantic": "semantic", "species": "semantic", "breeds": "semantic", "trimap": "semantic"}
CATS = (
    *("Abyssinian", "Bengal", "Birman", "Bombay", "British_Shorthair", "Egyptian_Mau", "Maine_Coon", "Persian", "Ragdoll"),
    *("Russian_Blue", "Siamese", "Sphynx"),
)
DOGS = (
    *("american_bulldog", "american_pit_bull_terrier", "basset_hound", "beagle", "boxer", "chihuahua", "english_cocker_spaniel"),
    *("english_setter", "german_shorthaired", "great_pyrenees", "havanese", "japanese_chin", "keeshond", "leonberger"),
    *("miniature_pinscher", "newfoundland", "pomeranian", "pug", "saint_bernard", "samoyed", "scottish_terrier", "shiba_inu"),
    *("staffordshire_bull_terrier", "wheaten_terrier", "yorkshire_terrier"),
)
BREEDS = tuple(sorted((*CATS, *DOGS), key=str.lower))
"""In the order of their numbers, which go by the alphabet without regard to case."""
NAMES = {"semantic": ("pet",), "species": ("cat", "dog"), "breeds": BREEDS, "trimap": ("pet", "border")}
TRIMAP = ClassSpace(
    tuple(
        SegmentationClass(name, default_color(value), (value,)) for value, name in enumerate(("pet", "background", "border"), 1)
    )
)
EXPECTED = """\
ROOT/images/NAME.jpg
ROOT/annotations/trimaps/NAME.png
ROOT/annotations/trainval.txt and test.txt"""


class OxfordPet:
    """Cats and dogs, semantic.

    Args:
        root: the folder that holds images/ and annotations/.
        view: "semantic", "species", "breeds" or "trimap"; see above.
        seed: of the split of trainval into train and val.
        val_fraction: share of trainval that goes to val.

    Raises:
        DataError: files are missing; the message shows the expected tree.
        SettingsError: another view.
    """

    name = "oxford_pet"

    def __init__(self, root: str | Path, *, view: str = "semantic", seed: int = 0, val_fraction: float = 0.2) -> None:
        self.task = require_view("Oxford-IIIT Pet", view, VIEWS)
        self._root, self._view = Path(root), view
        names = ("background", *NAMES[view])
        self.classes = ClassSpace.from_names(names, things=set(names) - {"background", "border"})
        listed = {name: self._listed(f"{name}.txt") for name in ("trainval", "test")}
        self._label = {name: pair for found in listed.values() for name, pair in found.items()}
        self._require_files()
        train, val = seeded_split(listed["trainval"], val_fraction, seed)
        splits = {"train": train, "val": val, "test": list(listed["test"])}
        self.splits: Mapping[str, Sequence[str]] = {s: tuple(f"{s}/{n}" for n in found) for s, found in splits.items() if found}
        self.notes: Sequence[str] = (
            f"Oxford-IIIT Pet: {counted(self.splits)} images, view {view!r} with {len(names)} classes; val is chosen from "
            f"trainval by a hash of the name with seed {seed}.",
        )

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Whether a folder holds this data set: its trimaps and its lists."""
        return (root / "annotations/trimaps").is_dir() and (root / "annotations/trainval.txt").is_file()

    def image_path(self, key: str) -> Path:
        """Where the image lies."""
        return self._root / "images" / f"{require_known('Oxford-IIIT Pet', key, self.splits)[1]}.jpg"

    def read(self, key: str) -> Sample:
        """The photograph called `key`, such as "test/Abyssinian_201", and its truth.

        Raises:
            DataError: an unknown key, or a file that cannot be read.
            ClassSpaceError: a value in the trimap other than 1, 2 and 3.
        """
        image, name = read_image(self.image_path(key)), key.partition("/")[2]
        breed, species = self._label[name]
        animal = {"semantic": 1, "trimap": 1, "species": species, "breeds": breed}[self._view]
        drawn = read_mask(self._root / "annotations/trimaps" / f"{name}.png", TRIMAP).ids
        ids = np.full(256, self.classes.ignore_id, np.uint8)
        ids[:2] = animal, 0
        if self._view == "trimap":
            ids[2] = 2
        return Sample(image, (LabelMap(ids[drawn], self.classes),), key)

    def _listed(self, name: str) -> dict[str, tuple[int, int]]:
        """Name of each photograph to its breed and species, from 1."""
        path = self._root / "annotations" / name
        if not path.is_file():
            raise DataError(f"There is no {path}. Oxford-IIIT Pet is expected as\n{EXPECTED}")
        found = {}
        with refused(path, "list of photographs", "lines such as 'Abyssinian_100 1 1 1'"):
            lines = [line.split() for line in read_bytes(path).decode().splitlines() if line.strip() and line[0] != "#"]
            for photograph, breed, species, *_ in lines:
                if not (1 <= int(breed) <= len(BREEDS) and int(species) in (1, 2)) or any(c in photograph for c in "/\\\0"):
                    raise DataError(f"{path} holds {photograph!r} of breed {breed} and species {species}; 1..37 and 1..2 exist.")
                found[photograph] = int(breed), int(species)
        return found

    def _require_files(self) -> None:
        for folder, ending in (("images", ".jpg"), ("annotations/trimaps", ".png")):
            missing = sorted(self._label.keys() - stems(self._root / folder, ending))
            if missing:
                raise DataError(
                    f"{self._root / folder} lacks {len(missing)} of {len(self._label)} listed files: {', '.join(missing[:5])}. "
                    f"Oxford-IIIT Pet is expected as\n{EXPECTED}"
                )
