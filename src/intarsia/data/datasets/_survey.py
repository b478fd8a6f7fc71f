"""A folder before any of its files is opened: what is declared, which files belong together, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intarsia.core import ClassSpace, DataError, IntarsiaError, SettingsError
from intarsia.data.datasets._declared import TOML, YAML, classes_from, last_class_wins, read_toml, read_yaml, yaml_classes
from intarsia.data.datasets._faults import Fault
from intarsia.data.datasets._pairs import Pair, Pairing, find_pairs, folder_places, seeded_split, split_by_table, yaml_places
from intarsia.data.datasets._split_file import split_file_of

__all__ = ["Survey", "survey_folder"]


@dataclass(frozen=True)
class Survey:
    """What a folder holds, as far as names and declarations say it.

    name: of the folder, or of its data.yaml.
    root: the folder, where an `intarsia.toml` belongs.
    view: "semantic", "instance" or "panoptic".
    pairs: the files of each sample, by key.
    splits: the keys of each split.
    declared: the classes, where they are declared.
    last_wins: whether `overlap = "last"` is declared.
    about_split: how train and val were told apart, where nobody said it.
    left_aside: what was not taken.
    faults: what is wrong; the pairs above are those that can be looked at all the same.
    invalid: why the declaration cannot be read; classes and faults of values are then unknown.
    """

    name: str
    root: Path
    view: str
    pairs: Mapping[str, Pair]
    splits: Mapping[str, Sequence[str]]
    declared: ClassSpace | None
    last_wins: bool
    about_split: str | None
    left_aside: Sequence[str]
    faults: Sequence[Fault]
    invalid: IntarsiaError | None


def survey_folder(source: Path, *, view: str, seed: int = 0, val_fraction: float = 0.2) -> Survey:
    """Read the declarations and pair the files of a folder, or of the data.yaml `source`.

    Raises:
        DataError: there is no such folder.
        SettingsError: a view or a fraction that does not exist.
    """
    if view not in ("semantic", "instance", "panoptic"):
        raise SettingsError(f"A folder has no view called {view!r}; there are 'semantic', 'instance' and 'panoptic'.")
    if not 0 <= val_fraction < 1:
        raise SettingsError(f"val_fraction is {val_fraction}; a share from 0 up to, not including, 1 was expected.")
    yaml_is_given = source.is_file()
    root, yaml_file = (source.parent, source) if yaml_is_given else (source, source / YAML)
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.")
    name = root.resolve().name if yaml_file.name == YAML else yaml_file.stem
    toml: Mapping[str, Any] = {}
    content: Mapping[str, Any] | None = None
    declared, last_wins, invalid = None, False, None
    try:
        toml = read_toml(root / TOML) if (root / TOML).is_file() else {}
        declared = classes_from(toml, root / TOML) if "classes" in toml else None
        last_wins = last_class_wins(toml, root / TOML)
        content = read_yaml(yaml_file) if yaml_file.is_file() else None
        declared = declared or (yaml_classes(content, yaml_file) if content is not None else None)
    except IntarsiaError as error:
        invalid = error

    faults: list[Fault] = []
    paired = Pairing({}, {}, [], [])
    try:
        yaml_leads = content is not None and (yaml_is_given or _yaml_leads(content, root))
        places = yaml_places(content, yaml_file) if content is not None and yaml_leads else folder_places(root, faults)
        paired = find_pairs(places, view, declared)
    except DataError as error:
        faults.append(Fault("layout", str(error), (root,)))
    faults += paired.faults
    splits, about_split = paired.splits, None
    split_file = split_file_of(source) if split_file_of(source).is_file() else root / TOML
    if split_file.name != TOML or "split" in toml:
        try:
            table = toml["split"] if split_file.name == TOML else read_toml(split_file).get("split", {})
            splits = split_by_table(paired.pairs, table, split_file)
            counts = ", ".join(f"{len(keys)} {split}" for split, keys in splits.items())
            about_split = f"Split by {split_file}: {counts}." if split_file.name != TOML else None
        except DataError as error:
            faults.append(Fault("declaration", str(error), (split_file,)))
    else:
        splits, about_split = _settle_splits(paired.splits, seed, val_fraction)
    return Survey(
        name, root, view, paired.pairs, splits, declared, last_wins, about_split, tuple(paired.notes), tuple(faults), invalid
    )


def _yaml_leads(content: Mapping[str, Any], root: Path) -> bool:
    """Whether a data.yaml in the folder says where images and masks are, rather than the names of the folders beside it."""
    return not (root / "images").is_dir() or (not (root / "masks").is_dir() and not content.keys().isdisjoint(("train", "val")))


def _settle_splits(splits: dict[str, list[str]], seed: int, val_fraction: float) -> tuple[dict[str, list[str]], str | None]:
    """Give train a val where there is none, and say so."""
    source = "" if "" in splits else "train"
    if source not in splits or "val" in splits:
        return splits, None
    keys = splits.pop(source)
    train, val = seeded_split(keys, val_fraction, seed)
    if not val:
        return {"train": train, **splits}, None
    return {"train": train, "val": val, **splits}, (
        f"val is {len(val)} of {len(keys)} images, chosen by a hash of the name with seed {seed}. If neighbouring files show one "
        "scene, give split folders instead: such a val flatters."
    )
