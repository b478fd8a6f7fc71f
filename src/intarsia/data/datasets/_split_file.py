"""split.toml: which images are for training, validation and test, beside the data, for every data set that has such files.

    [split]
    val = ["frames/0001", "frames/0002"]
    test = []

A key that is not listed is for training, unless train is listed too; then every key must be. For data in one file, FILE.json, it
is FILE.split.toml. `intarsia split` writes it; deleting it brings the data set's own split back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import tomli_w

from intarsia.core import Dataset, SettingsError
from intarsia.data.datasets._declared import read_toml
from intarsia.data.datasets._pairs import split_by_table
from intarsia.data.formats._files import write_bytes

__all__ = ["SPLIT", "apply_split", "place_of", "split_file_of", "write_split"]

SPLIT = "split.toml"


def place_of(rest: str) -> Path | None:
    """The folder or file of a data set, from what `find_dataset` gives beside its name; None of a generated one."""
    found = next((text for text in (rest, rest.partition(":")[2]) if text and Path(text).exists()), None)  # labelme:export
    return None if found is None else Path(found)


def split_file_of(source: Path) -> Path:
    """Where the split of the data in a folder or file is said."""
    return source / SPLIT if source.is_dir() else source.with_name(f"{source.stem}.{SPLIT}")


def apply_split(dataset: Dataset, path: Path) -> Dataset:
    """Give a data set the splits that a file says.

    Raises:
        DataError: a file that cannot be read, names images that do not exist, or does not say where some belong.
        SettingsError: a data set whose splits cannot be replaced.
    """
    keys = [key for of_split in dataset.splits.values() for key in of_split]
    splits = {split: tuple(listed) for split, listed in split_by_table(keys, read_toml(path).get("split", {}), path).items()}
    old, counts = (", ".join(f"{len(listed)} {split}" for split, listed in s.items()) for s in (dataset.splits, splits))
    about = [note.replace(old, counts) for note in dataset.notes if "chosen by a hash" not in note]
    vars(dataset).update(splits=splits, notes=(*about, f"Split by {path}: {counts}."))  # a wrapper would hide what else it offers
    if dataset.splits != splits:
        raise SettingsError(f"The splits of {dataset.name} are fixed, so {path} cannot say others. Delete it.")
    return dataset


def write_split(path: Path, splits: Mapping[str, Sequence[str]], comment: str) -> Path:
    """Write a split file with a comment on top."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    table = {split: list(splits[split]) for split in ("train", "val", "test") if split in splits}
    write_bytes(path, (head + tomli_w.dumps({"split": table})).encode())
    return path
