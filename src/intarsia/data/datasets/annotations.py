"""The export of a labelling tool, or any other label format that is recognised by its files, as it lies on the disk.

    EXPORT/   a folder of labelme, YOLO, CVAT ..., or one file of them (COCO, VIA, Label Studio, GeoJSON ...)

docs/formats.md lists the formats. The images are where the files say, or beside them under their names. Splits are those that the
format says, else val is chosen by a hash of the name. Where none is recognised, write it in front: `labelme:EXPORT`.

Licence and citation: those of the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intarsia.core import Array, DataError, Dataset, Sample, SettingsError, Task
from intarsia.data.datasets._pairs import seeded_split
from intarsia.data.formats import read_image
from intarsia.data.formats._annotated import KINDS, Annotated, AnnotatedSet, Kind
from intarsia.data.formats._recognize import annotation_formats, find_format, format_reader
from intarsia.data.formats._set_views import viewed

__all__ = ["Annotations", "annotated_of", "kind_of"]


class Annotations:
    """Images of a label format that is recognised, as a data set.

    Args:
        root: the file or folder, with `NAME:` in front where the format cannot be recognised, or a set that was read.
        view: "semantic", "instance" or "panoptic"; other truths than the format holds are made of it, as `notes` say.
        seed: of the split into train and val, where the format has none.
        val_fraction: share of the images that go to val, where the format says no val.

    Raises:
        DataError: no known format, a file that cannot be read, or images that are missing.
        SettingsError: another view.
    """

    def __init__(
        self, root: str | Path | AnnotatedSet, *, view: str | None = None, seed: int = 0, val_fraction: float = 0.2
    ) -> None:
        given, why = (root, "") if isinstance(root, AnnotatedSet) else _read(root)
        kind = kind_of(view or given.kind)
        self.annotated = viewed(given, kind)
        self.name = given.name
        self.task: Task = kind
        self.classes = self.annotated.classes
        missing = [key for key in given.keys if (path := given.image_path(key)) is None or not path.is_file()]
        if missing and given.pixels is None:
            where = given.image_path(missing[0])
            raise DataError(
                f"{self.name} annotates {len(given)} images, of which {len(missing)} are not there: {', '.join(missing[:6])}. "
                f"Looked for {where if where is not None else 'a file that the format does not name'}. Put the images there."
            )
        splits, about = _settled(given, seed, val_fraction)
        self.splits: Mapping[str, Sequence[str]] = splits
        made = f"Truths of kind {kind} are made of truths of kind {given.kind}." if kind != given.kind else ""
        counts = ", ".join(f"{len(keys)} {split}" for split, keys in splits.items())
        names = ", ".join(self.classes.names[:12]) + (f" and {len(self.classes) - 12} more" if len(self.classes) > 12 else "")
        found = f"{counts} images; {len(self.classes)} classes: {names}."
        self.notes: Sequence[str] = tuple(filter(None, (why, found, made, about, *given.notes)))

    def image_path(self, key: str) -> Path | None:
        """Where the image lies."""
        return self.annotated.image_path(key)

    def read(self, key: str) -> Sample:
        """The image and its truths, one for each annotator.

        Raises:
            DataError: an unknown key, or a file that cannot be read or does not fit.
        """
        found = self.annotated.read(key)
        path = self.annotated.image_path(key)
        if path is not None and (self.annotated.pixels is None or path.is_file()):
            image = read_image(path)
        elif self.annotated.pixels is not None:
            image = self.annotated.pixels(key)
        else:
            raise DataError(f"{self.name}: the image of {key} is not there ({path}).")
        return Sample(image, (found.truth, *found.other_truths), key)


def annotated_of(dataset: Dataset) -> AnnotatedSet:
    """A data set as an annotated set, whose truths any writer takes.

    Raises:
        SettingsError: a data set of regions without classes.
    """
    if isinstance(dataset, Annotations):
        return dataset.annotated
    find = getattr(dataset, "image_path", None)
    keys = tuple(dict.fromkeys(key for of_split in dataset.splits.values() for key in of_split))
    paths = {} if find is None else {key: path for key in keys if (path := find(key)) is not None}
    reader = _OfDataset(dataset)
    return AnnotatedSet(
        name=dataset.name,
        kind=kind_of(dataset.task),
        classes=dataset.classes,
        keys=keys,
        reader=reader,
        images=paths,
        splits=dict(dataset.splits),
        notes=tuple(dataset.notes),
        pixels=reader.image,
    )


def kind_of(task: str) -> Kind:
    """A kind of truth by name.

    Raises:
        SettingsError: another name.
    """
    found = next((kind for kind in _KINDS if kind == task), None)
    if found is None:
        raise SettingsError(f"{task!r} is no kind of truth that label formats hold; they hold {', '.join(KINDS)}.")
    return found


_KINDS: tuple[Kind, ...] = ("semantic", "instance", "panoptic")


@dataclass(frozen=True, eq=False)
class _OfDataset:
    """Reads the truths of a data set; travels to other processes as the data set does."""

    dataset: Dataset

    def __call__(self, key: str) -> Annotated:
        sample = self.dataset.read(key)
        return Annotated(key, sample.truth, other_truths=sample.truths[1:])

    def image(self, key: str) -> Array:
        return self.dataset.read(key).image


def _read(root: str | Path) -> tuple[AnnotatedSet, str]:
    """The set, and a sentence that says what it was recognised as."""
    name, colon, rest = str(root).partition(":")
    if colon and name in annotation_formats():
        return format_reader(name)(Path(rest)), f"Read as {name}, as asked for."
    found = find_format(root)
    if found is None:
        known = ", ".join(annotation_formats())
        raise DataError(f"{root} is in no label format that is recognised. Known: {known}. Say which, as in labelme:{root}.")
    return format_reader(found.name)(found.path), f"Recognised as {found.name}: {found.why}"


def _settled(given: AnnotatedSet, seed: int, val_fraction: float) -> tuple[dict[str, Sequence[str]], str]:
    """The splits, with a val cut from train where there is none, and what is to be said about it."""
    if not given.keys:
        raise DataError(f"{given.name} holds no image.")
    splits = {split: tuple(keys) for split, keys in given.splits.items() if keys}
    listed = {key for keys in splits.values() for key in keys}
    rest = tuple(key for key in given.keys if key not in listed)
    if rest:
        splits = {"train": (*splits.get("train", ()), *rest), **{s: keys for s, keys in splits.items() if s != "train"}}
    if "val" in splits or "train" not in splits:
        return dict(splits), ""
    keys = splits.pop("train")
    train, val = seeded_split(keys, val_fraction, seed)
    if not val:
        return {"train": keys, **splits}, ""
    return {"train": tuple(train), "val": tuple(val), **splits}, (
        f"val is {len(val)} of {len(keys)} images, chosen by a hash of the name with seed {seed}; `intarsia split` makes a split "
        "that keeps images of one scene together."
    )
