"""split: which images are for training, validation and test. Never imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from intarsia.core import DataError, IntarsiaError, SettingsError
from intarsia.data.datasets import find_dataset, open_dataset
from intarsia.data.datasets._split_file import SPLIT, place_of, split_file_of, write_split
from intarsia.data.datasets.folder import Folder
from intarsia.data.split import Split, split_dataset

__all__ = ["SplitWritten", "split"]

OURS = "Written by `intarsia split`"
PLACES = ("images", "masks", "instances")


@dataclass(frozen=True)
class SplitWritten:
    """A split and the file that says it; None where the files themselves were moved."""

    split: Split
    path: Path | None
    moved: int


def split(
    data: str | Path,
    *,
    val: float = 0.2,
    test: float = 0.0,
    seed: int = 0,
    group: str | None = None,
    stratify: bool = True,
    move: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SplitWritten:
    """Divide a data set and write the split into a file beside it, which `train`, `check` and all others obey.

    Args:
        data: as `open_dataset` takes it; not a generated data set, whose options say its splits.
        val: share of the images for validation.
        test: share of the images for testing.
        seed: of the choice among equals.
        group: a regular expression; images in whose keys it finds the same stay together.
        stratify: whether each class shall occur in each split as often as its share says.
        move: move the files of a folder into train, val and test folders in place of writing a file.
        progress: called with the images read and their number.

    Raises:
        DataError: a data set that cannot be read, or files that cannot be moved.
        SettingsError: shares or a pattern that cannot be used, or a split file that somebody else wrote.
    """
    root = _place_of(data)
    path = split_file_of(root)
    before = _taken_away(path)
    try:
        dataset = open_dataset(data)
        if move and not isinstance(dataset, Folder):
            raise SettingsError(f"Only the files of a folder of images and masks can be moved, and {data} is {dataset.name}.")
        shares = {name: share for name, share in (("val", val), ("test", test)) if share != 0}
        divided = split_dataset(dataset, shares, seed=seed, group=group, stratify=stratify, progress=progress)
        if move and isinstance(dataset, Folder):
            return SplitWritten(divided, None, _move(dataset, divided.keys))
    except BaseException:
        if before is not None:
            path.write_bytes(before)
        raise
    how = [f"val {val:g}, test {test:g}, seed {seed}"] + ([f"images together by {group!r}"] if group else [])
    comment = f"{OURS}: {', '.join(how)}.\nDelete this file to go back to the splits of the data set itself."
    return SplitWritten(divided, write_split(path, divided.keys, comment), 0)


def _place_of(data: str | Path) -> Path:
    """The folder or file that the split belongs beside."""
    name, rest = find_dataset(data)
    root = place_of(rest)
    if root is None:
        raise SettingsError(f"{name} is generated: its options say its splits, as in {name}:train=400,val=100.")
    return root


def _taken_away(path: Path) -> bytes | None:
    """Remove an earlier split file of ours, so that the data are read without it.

    Raises:
        SettingsError: a file that somebody else wrote.
    """
    if not path.is_file():
        return None
    content = path.read_bytes()
    if not content.startswith(f"# {OURS}".encode()):
        raise SettingsError(
            f"{path} is there and was not written by `intarsia split`; it is not overwritten. Move it away first."
        )
    path.unlink()
    return content


def _move(folder: Folder, keys: Mapping[str, object]) -> int:
    """Move images/NAME to images/SPLIT/NAME, and the same for masks and instances; all of it or nothing."""
    root = folder.survey.root
    moves: list[tuple[Path, Path]] = []
    for name, listed in keys.items():
        for key in listed if isinstance(listed, list) else ():
            pair = folder.survey.pairs[key]
            for path in filter(None, (pair.image, pair.mask, pair.instances, *pair.class_files.values())):
                place, *inside = path.relative_to(root).parts if path.is_relative_to(root) else ("", "")
                if place not in PLACES or inside[0] in ("train", "val", "test"):
                    raise SettingsError(
                        f"{path} does not lie in {' or '.join(f'{p}/' for p in PLACES)} of {root} without split folders, so it "
                        f"is not moved. Leave --move out: {SPLIT} says the split without moving anything."
                    )
                moves.append((path, root.joinpath(place, name, *inside)))
    moves = list(dict.fromkeys(moves))
    done: list[tuple[Path, Path]] = []
    try:
        for path, target in moves:
            if target.exists():
                raise DataError(f"{target} is there already; nothing was moved.")
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            done.append((path, target))
    except (OSError, IntarsiaError, KeyboardInterrupt) as error:
        for path, target in reversed(done):
            target.rename(path)
        if isinstance(error, OSError):
            raise DataError(f"The files of {root} cannot be moved ({error}); all are where they were.") from error
        raise
    return len(done)
