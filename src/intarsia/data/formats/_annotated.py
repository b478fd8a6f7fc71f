"""A set of annotated images as any label format holds it: what its reader gives, and what its writer takes.

    annotated = read_labelme("export/")            every read_NAME of a whole data set
    report = write_coco_set("out.json", annotated)  every write_NAME of one

A writer goes through the images with `each`: so it streams, and is parallel and resumable where `intarsia convert` asks for it.

    def write_thing(path, annotated):
        tally = Tally()
        for key, part in annotated.each(partial(_encode, Path(path))):  # _encode(path, annotated: Annotated) -> Part
            file.write(part.content)
            tally.add(part)
        return tally.report()
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from intarsia.core import (
    Array,
    ClassSpace,
    DataError,
    Instances,
    LabelMap,
    Panoptic,
    Segmentation,
    nearest_names,
)

__all__ = [
    "OTHER_TRUTH",
    "Annotated",
    "AnnotatedSet",
    "Kind",
    "Part",
    "Tally",
    "WriteReport",
    "count_by_class",
    "keys_of_names",
    "require_safe_key",
]

Kind = Literal["semantic", "instance", "panoptic"]
KINDS: dict[str, type[Segmentation]] = {"semantic": LabelMap, "instance": Instances, "panoptic": Panoptic}

OTHER_TRUTH = "the truth of a further annotator was left out: the format holds one an image"

Encode = Callable[["Annotated"], "Part"]
Each = Callable[["AnnotatedSet", Encode], Iterator[tuple[str, "Part"]]]


@dataclass(frozen=True, eq=False)
class Annotated:
    """The annotation of one image.

    Args:
        key: of the image in its set.
        truth: LabelMap, Instances or Panoptic, as the kind of the set says.
        lost: what of it could not be represented, a sentence for each thing that was lost; it names no file, so that equal ones
            can be counted.
        properties: what else the file says of the image and a writer may keep, JSON values.
        other_truths: those of further annotators.
    """

    key: str
    truth: Segmentation
    lost: tuple[str, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    other_truths: tuple[Segmentation, ...] = ()

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.truth.size_hw


@dataclass(frozen=True, eq=False)
class AnnotatedSet:
    """Images with their annotations, read one at a time.

    Args:
        name: what it is called in tables.
        kind: of every truth: "semantic" (LabelMap), "instance" (Instances) or "panoptic" (Panoptic).
        classes: of every truth; one list for all images, sorted by name unless the format declares an order.
        keys: of the images, unique: POSIX paths without suffix, inside the set (`require_safe_key`).
        reader: gives the annotation of a key; deterministic, and picklable, as it travels to other processes: a function of a
            module, a `functools.partial` of one, or a method of a dataclass.
        images: the image file of each key, as far as it is known; it need not exist.
        splits: split name to keys, where the format says it.
        notes: what was inferred or left aside, one sentence each.
        pixels: gives the image of a key that has no file.
        through: how `each` goes through the images; None is one after the other.

    Raises:
        DataError: keys that occur twice or lead out of the set.
    """

    name: str
    kind: Kind
    classes: ClassSpace
    keys: Sequence[str]
    reader: Callable[[str], Annotated]
    images: Mapping[str, Path] = field(default_factory=dict)
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pixels: Callable[[str], Array] | None = None
    through: Each | None = None

    def __post_init__(self) -> None:
        for key in self.keys:
            require_safe_key(key, self.name)
        if len(self._known) != len(self.keys):
            twice = next(key for key, times in Counter(self.keys).items() if times > 1)
            raise DataError(f"{self.name} holds the image {twice!r} twice; a name without its ending can mean one image only.")

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def image_path(self, key: str) -> Path | None:
        """Where the image lies, if it is known."""
        return self.images.get(key)

    def image_name(self, key: str) -> str:
        """The file name of the image in the set: the key with the ending of the image, `.png` where that is not known."""
        path = self.image_path(key)
        return f"{key}{path.suffix if path is not None else '.png'}"

    def read(self, key: str) -> Annotated:
        """The annotation of one image.

        Raises:
            DataError: an unknown key, a file that cannot be read, or a truth of another kind than the set's.
        """
        if key not in self._known:
            raise DataError(f"{self.name} has no image {key!r}. Nearest: {', '.join(nearest_names(key, self.keys)) or 'none'}.")
        found = self.reader(key)
        if not isinstance(found.truth, KINDS[self.kind]):
            raise DataError(
                f"{self.name}: the truth of {key} is a {type(found.truth).__name__}, and the set is of kind {self.kind}."
            )
        return found

    def each(self, encode: Encode) -> Iterator[tuple[str, Part]]:
        """What `encode` makes of every image, with its key, in the order of `keys` however it is run.

        `encode` may run in another process and its result may be kept in a journal: it must be picklable (a function of a module,
        or a `functools.partial` of one), write no file that belongs to several images, and give a `Part` whose content is JSON
        values. Files of its own image it may write, whole or not at all.
        """
        if self.through is not None:
            yield from self.through(self, encode)
            return
        for key in self.keys:
            yield key, encode(self.read(key))

    def alone(self, key: str) -> AnnotatedSet | None:
        """The set with one image only, small enough to travel to another process; None where its reader has no `alone`."""
        take = getattr(self.reader, "alone", None)
        reader = None if take is None else take(key)
        if reader is None:
            return None
        images = {key: path} if (path := self.images.get(key)) is not None else {}
        return replace(self, keys=(key,), reader=reader, images=images, splits={}, notes=(), through=None)

    def limited(self, keys: Sequence[str]) -> AnnotatedSet:
        """The set with some of its images only, in that order."""
        kept = set(keys)
        splits = {split: tuple(key for key in of_split if key in kept) for split, of_split in self.splits.items()}
        return replace(self, keys=tuple(keys), splits=splits)


@dataclass(frozen=True)
class Part:
    """What a writer makes of one image; JSON values throughout.

    content: what it puts into the file of all images; None where the image has a file of its own.
    objects: how many objects of each class, by name, were written.
    lost: how often each sentence about what could not be represented holds.
    ious: IoU of each object with what is read back, where the format does not store masks.
    """

    content: Any = None
    objects: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    ious: Sequence[float] = ()

    @classmethod
    def of(cls, annotated: Annotated, content: Any = None, *, lost: Iterable[str] = (), ious: Iterable[float] = ()) -> Part:
        """The part of an image whose objects were all written, with what its reader lost and what the writer loses (`lost`)."""
        return cls(content, count_by_class(annotated.truth), Counter([*annotated.lost, *lost]), [float(v) for v in ious])


@dataclass(frozen=True)
class WriteReport:
    """What was written.

    images: their number.
    objects: objects of each class, by name; in label maps the images in which the class occurs.
    lost: how often each sentence about what could not be represented holds.
    round_trip_iou: mean over the objects of the IoU with what is read back; None where masks are stored as they are.
    lowest_iou: the lowest of them.
    """

    images: int
    objects: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    round_trip_iou: float | None = None
    lowest_iou: float | None = None


class Tally:
    """Adds up the parts of a set, in constant memory."""

    def __init__(self) -> None:
        self._images = self._measured = 0
        self._sum, self._lowest = 0.0, 1.0
        self._objects, self._lost = Counter[str](), Counter[str]()

    def add(self, part: Part) -> None:
        self._images += 1
        self._objects.update(part.objects)
        self._lost.update(part.lost)
        self._measured += len(part.ious)
        self._sum += float(sum(part.ious))
        self._lowest = min((self._lowest, *part.ious))

    def report(self) -> WriteReport:
        mean, lowest = (self._sum / self._measured, self._lowest) if self._measured else (None, None)
        return WriteReport(self._images, dict(sorted(self._objects.items())), dict(self._lost), mean, lowest)


def count_by_class(truth: Segmentation) -> dict[str, int]:
    """Objects of each class that has any, by name; segments of a panoptic map; 1 for each class that occurs in a label map."""
    if isinstance(truth, Instances):
        found = np.bincount(truth.class_id, minlength=len(truth.classes))
        return {name: int(found[i]) for i, name in enumerate(truth.classes.names) if found[i]}
    if isinstance(truth, Panoptic):
        return dict(Counter(truth.classes.names[segment.class_id] for segment in truth.segments))
    return {name: 1 for name, pixels in truth.areas().items() if pixels}


def require_safe_key(key: str, where: str | Path) -> None:
    """Refuse a key that is no path inside a folder, on any system.

    Raises:
        DataError: an empty or absolute key, one with "..", a backslash, a drive, or characters that no name holds.
    """
    parts = key.split("/")
    has_strange = any(ord(character) < 32 or character in "\\\x7f" for character in key)
    if has_strange or any(part in ("", ".", "..") for part in parts) or key[1:2] == ":":
        raise DataError(
            f"{where} names an image {key[:120]!r}, which is no path inside a folder. It leads out, or the file is damaged; "
            "nothing outside the folder is read or written."
        )


def keys_of_names(names: Iterable[str], where: str | Path) -> dict[str, str]:
    r"""The key of each image file name: POSIX, without suffix and without "./" in front; a\b.jpg is a/b.

    Raises:
        DataError: a name that leads out of the folder, or two that have one key.
    """
    owner: dict[str, str] = {}
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        key = path.with_suffix("").as_posix() if path.name else name
        require_safe_key(key, where)
        if key in owner:
            raise DataError(
                f"{where} names {owner[key]!r} and {name!r}; of images with one name up to the ending one can be meant."
            )
        owner[key] = name
    return {name: key for key, name in owner.items()}
