"""Data sets, one file each, and the way to open any of them by name or by path."""

from __future__ import annotations

from pathlib import Path

from intarsia.core import Catalog, DataError, Dataset, SettingsError, nearest_names
from intarsia.data.datasets._declared import read_classes, write_classes
from intarsia.data.datasets._split_file import apply_split, place_of, split_file_of
from intarsia.data.formats import FORMATS
from intarsia.data.formats._recognize import COCO, annotation_formats, find_format

__all__ = ["DATASETS", "find_dataset", "open_dataset", "read_classes", "write_classes"]

DATASETS = Catalog("data set", "intarsia.data.datasets")


def open_dataset(source: str | Path, *, view: str | None = None) -> Dataset:
    """Open a data set.

    Args:
        source: a folder, a data.yaml or a file of labels ("data/cells", "export.json"); a name with the folder
            ("camvid:data/camvid", "labelme:export", needed where it is not recognised); or the name of a generated one with its
            options ("scenes:train=400,size=96x128"), also where a folder is called so ("./scenes" is the folder).
        view: which truth to give, such as "semantic" or "instance"; None is the data set's own first one.

    Raises:
        DataError: a path that does not exist; the message gives the nearest. Or a data set with missing files.
        SettingsError: options that cannot be read, or a view that the data set does not have.
    """
    name, rest = find_dataset(source)
    dataset = _open_named(name, rest, view)
    root = place_of(rest)
    if name == "folder" or root is None or not split_file_of(root).is_file():  # a folder reads the file itself
        return dataset
    return apply_split(dataset, split_file_of(root))


def find_dataset(source: str | Path) -> tuple[str, str]:
    """The name of a data set in `DATASETS`, and its folder or options, from what `open_dataset` takes.

    Raises:
        DataError: a path that does not exist; the message gives the nearest.
    """
    name, _, rest = str(source).partition(":")
    root = Path(source)
    if isinstance(source, str) and name in DATASETS:
        is_generated = hasattr(DATASETS.load(name), "from_options")
        if rest or is_generated or not root.exists():
            is_format = rest and not is_generated and _is_format_alone(name, Path(rest))
            return ("annotations", source) if is_format else (name, rest)
    if not root.exists():
        if rest and name in annotation_formats():
            return "annotations", str(source)
        raise DataError(f"There is no data set {str(source)!r}: neither a path nor a name.{_near(root, name)}")
    if root.is_file() and (found := find_format(root)) is not None and found.name not in COCO:
        return "annotations", str(root)
    for known in DATASETS.names:
        recognizes = getattr(DATASETS.load(known), "recognizes", None)
        if recognizes is not None and recognizes(root):
            return known, str(root)
    has_masks = (root / "images").is_dir() and any((root / truths).is_dir() for truths in ("masks", "instances"))
    return "folder" if has_masks or find_format(root) is None else "annotations", str(root)


def _is_format_alone(name: str, root: Path) -> bool:
    """Whether a name that data set and format share, such as voc, means the format: the folder is not of that data set."""
    if name in COCO or name not in FORMATS or name not in annotation_formats():
        return False
    return root.is_dir() and not DATASETS.load(name).recognizes(root)


def _open_named(name: str, rest: str, view: str | None) -> Dataset:
    cls = DATASETS.load(name)
    opened: Dataset
    if hasattr(cls, "from_options"):
        opened = cls.from_options(_options(name, rest), view)
    elif not rest:
        raise SettingsError(f"{name} lies in a folder: say which, as in {name}:path/to/{name}.")
    else:
        opened = cls(rest, view=view if name == "annotations" else view or "semantic")
    return opened


def _options(name: str, text: str) -> dict[str, str]:
    """Options as they are written after a name, "train=400,size=96x128", as a dictionary."""
    options = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not (key and equals and value):
            raise SettingsError(f"{name}: the option {part!r} is not KEY=VALUE; options look like train=400,size=96x128.")
        if key.strip() in options:
            raise SettingsError(f"{name}: the option {key.strip()} is given twice.")
        options[key.strip()] = value.strip()
    return options


def _near(root: Path, name: str) -> str:
    beside = [str(root.parent / entry.name) for entry in root.parent.iterdir()] if root.parent.is_dir() else []
    named = {Path(path).name: path for path in beside}
    near = [named[n] for n in nearest_names(root.name, named)] or nearest_names(name, DATASETS.names)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    return f"{hint} Named data sets: {', '.join(DATASETS.names)}."
