"""Cityscapes' polygons: a JSON file for each image, whose objects are painted one over the other in the order of the file.

    ROOT/gtFine/train/aachen/aachen_000000_000019_gtFine_polygons.json
    ROOT/leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png      or ROOT/images/KEY.*, or beside KEY_polygons.json

Coordinates are x, y of pixels: (0, 0) is the centre of the first pixel, and a polygon includes the pixels on its line. So
the official scripts paint with Pillow, and it is done so here: the result is that of their label and instance images, pixel for
pixel. What is `deleted` and license plates are not painted. A thing is one polygon; with "group" behind its name it is a crowd.

Files called `_gtFine_polygons.json` and `_gtCoarse_polygons.json` have the classes of Cityscapes; what is not evaluated is void.
In others every name is a class, sorted, and those are things that the caller says, that have groups, or whose polygons have an
`object`: the number that is written here, 0 for a crowd, by which an object may have several pieces. Other programs pass over it.

Source: https://github.com/mcordts/cityscapesScripts, annotation, labels, and the creation of label and instance images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from intarsia.core import Array, ClassSpace, DataError, LabelMap, Panoptic, Segment, SegmentationError
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Part, Tally, WriteReport, keys_of_names
from intarsia.data.formats._few_files import few_files
from intarsia.data.formats._files import write_bytes
from intarsia.data.formats._find_image import find_image
from intarsia.data.formats._hostile import ends_of_file, read_json, refused
from intarsia.data.formats._shapes import points_of, require_size
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES
from intarsia.data.formats.class_instance import segments_of

__all__ = ["read_cityscapes_polygons", "recognizes_cityscapes_polygons", "write_cityscapes_polygons"]

KINDS = ("panoptic",)
ENDING = "_polygons.json"
OFFICIAL = ("_gtFine", "_gtCoarse")
UNPAINTED = "license plate"
VOID = ("unlabeled", "ego vehicle", "rectification border", "out of roi")
NOT_EVALUATED = (
    *VOID,
    *("static", "dynamic", "ground", "parking", "rail track", "guard rail", "bridge", "tunnel", "polegroup"),
    *("caravan", "trailer"),
)
FORM = '{"imgHeight", "imgWidth", "objects": [{"label", "polygon": [[x, y], ...]}]}'
NO_LINE = "a polygon of fewer than two points was left out"
PIECES = "an object of several pieces: programs that know no `object` count each piece"
FARTHEST = 2**24
MOST_OBJECTS = 2**24
MOST_LAYERS = 16


class _Paint(NamedTuple):
    """A polygon to paint: its class by name, None for void; the number of its object, 0 for stuff and crowds; its points."""

    label: str | None
    number: int
    points: Array


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image; travels to other processes."""

    files: Mapping[str, Path]
    classes: ClassSpace
    void: tuple[str, ...]

    def __call__(self, key: str) -> Annotated:
        path = self.files[key]
        lost: list[str] = []
        with refused(path, "file of Cityscapes polygons", FORM):
            content = read_json(path)
            size_hw = require_size(content["imgHeight"], content["imgWidth"], path)
            paints = list(_paints(content["objects"], self.classes, self.void, path, lost))
            painted = _painted([paint.points for paint in paints], size_hw)
            ids = [self.classes.ignore_id if p.label is None else self.classes.index(p.label) for p in paints]
            labels = np.array([self.classes.ignore_id, *ids], self.classes.id_dtype)[painted]
            numbers = np.array([0, *(paint.number for paint in paints)], np.int64)[painted]
            if self.classes.thing_ids:
                truth = segments_of(LabelMap(labels, self.classes), numbers, path, path)
            else:
                truth = _stuff(labels, self.classes)
        return Annotated(key, truth, tuple(lost))


def read_cityscapes_polygons(
    path: str | Path, *, classes: ClassSpace | None = None, things: Sequence[str] | None = None
) -> AnnotatedSet:
    """Read a folder of polygon files; those of Cityscapes itself are not looked at before they are asked for.

    Args:
        path: the folder, such as Cityscapes' root or its gtFine/.
        classes: the classes and which are things; polygons of other names are an error. None: as said above.
        things: names of the classes that are things, where the files are not Cityscapes' own.

    Raises:
        DataError: no such file, one that cannot be read, or one of another kind.
    """
    path = Path(path)
    files = sorted(path.rglob(f"*{ENDING}"))
    if not files:
        raise DataError(f"{path} holds no file whose name ends in {ENDING}, as Cityscapes' have.")
    stems = [file.relative_to(path).as_posix().removesuffix(ENDING) for file in files]
    names = [_plain_name(stem) for stem in stems]
    keys = list(keys_of_names([f"{name}.json" for name in names], path).values())
    void: tuple[str, ...] = VOID
    if classes is None and all(stem.endswith(OFFICIAL) for stem in stems):
        classes, void = CITYSCAPES_CLASSES, NOT_EVALUATED
    if classes is None:
        classes = _classes_of_files(files, set(things or ()), path)
    splits: dict[str, list[str]] = {}
    for key in keys:
        first = key.split("/")[0]
        if first in ("train", "val", "test") and "/" in key:
            splits.setdefault(first, []).append(key)
    return AnnotatedSet(
        name=path.resolve().name,
        kind="panoptic",
        classes=classes,
        keys=tuple(keys),
        reader=_Read(dict(zip(keys, files, strict=True)), classes, void),
        images={key: _image(path, file, stem, key) for key, file, stem in zip(keys, files, stems, strict=True)},
        splits=splits,
    )


def write_cityscapes_polygons(path: str | Path, annotated: AnnotatedSet) -> WriteReport:
    """Write a file for each image, KEY_polygons.json in the folder; with classes of Cityscapes KEY_gtFine_polygons.json.

    Pieces are painted from the largest to the smallest, holes and all; void is "unlabeled".
    """
    path, tally = Path(path), Tally()
    ending = f"{OFFICIAL[0]}{ENDING}" if annotated.classes.names == CITYSCAPES_CLASSES.names else ENDING
    for _, part in annotated.each(partial(_encode, path, ending)):
        tally.add(part)
    return tally.report()


def recognizes_cityscapes_polygons(path: Path) -> str | None:
    """Why this is a folder of Cityscapes' polygon files, or None."""
    for file in few_files(path, ENDING):
        if '"imgHeight"' in ends_of_file(file, ".json"):
            return f"{file.name} has `imgHeight` and a name that ends in {ENDING}, as Cityscapes' files have."
    return None


def _encode(folder: Path, ending: str, annotated: Annotated) -> Part:
    panoptic = annotated.truth
    if not isinstance(panoptic, Panoptic):
        raise SegmentationError(f"{annotated.key}: Cityscapes' polygons are panoptic, not a {type(panoptic).__name__}.")
    values, inverse = np.unique(panoptic.ids, return_inverse=True)
    wanted = inverse.reshape(panoptic.ids.shape).astype(np.int32)
    owners, outlines, painted = _layers(wanted)
    segment_of = {segment.id: segment for segment in panoptic.segments}
    objects: list[dict[str, Any]] = []
    for owner, outline in zip(owners, outlines, strict=True):
        segment = segment_of.get(int(values[owner]))
        entry: dict[str, Any] = {"label": VOID[0], "polygon": outline.tolist()}
        if segment is not None:
            described = panoptic.classes.classes[segment.class_id]
            counts = described.is_thing and not segment.is_crowd
            entry["label"] = described.name + ("group" if described.is_thing and segment.is_crowd else "")
            entry |= {"object": (owner + 1) * counts} if described.is_thing else {}
        objects.append(entry)
    height, width = panoptic.size_hw
    text = json.dumps({"imgHeight": height, "imgWidth": width, "objects": objects}, ensure_ascii=False)
    write_bytes(folder / f"{annotated.key}{ending}", text.encode())
    found = np.array([-1, *owners])[painted]
    kept = np.bincount(wanted[found == wanted], minlength=len(values))
    union = np.bincount(wanted.ravel(), minlength=len(values)) + np.bincount(found[found >= 0], minlength=len(values)) - kept
    ious = [kept[i] / union[i] for i, value in enumerate(values.tolist()) if value]
    pieces = np.bincount([entry["object"] for entry in objects if entry.get("object")], minlength=1)
    return Part.of(annotated, lost=[PIECES] * int((pieces > 1).sum()), ious=ious)


def _layers(wanted: Array) -> tuple[list[int], list[Array], Array]:
    """Outlines that give a map (H, W) of numbers when they are painted in this order, whose they are, and what they give.

    What they give is the place of the outline that was painted last, from 1. The first layer has every piece, the largest first;
    a further one what the one before hid: pieces that reach through a corner into others.
    """
    owners: list[int] = []
    outlines: list[Array] = []
    painted = np.zeros(wanted.shape, np.int32)
    for _ in range(MOST_LAYERS):
        wrong = wanted != np.array([-1, *owners])[painted]
        if not wrong.any():
            break
        found = sorted(_outlines(np.where(wrong, wanted, -1)), key=lambda pair: -pair[2])
        owners += [owner for owner, _, _ in found]
        outlines += [outline for _, outline, _ in found]
        painted = _painted(outlines, (wanted.shape[0], wanted.shape[1]))
    return owners, outlines, painted


def _outlines(numbers: Array) -> Iterator[tuple[int, Array, float]]:
    """The outline through the outermost pixels of each connected piece, with its number and area; -1 is left out."""
    import cv2
    from scipy import ndimage

    for number, where in enumerate(ndimage.find_objects(numbers + 1)):
        if where is None:
            continue
        mask = (numbers[where] == number).astype(np.uint8)
        offset = (where[1].start, where[0].start)
        for outline in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=offset)[0]:
            points = outline[:, 0]
            yield number, points if len(points) > 2 else np.resize(points, (3, 2)), cv2.contourArea(outline)


def _painted(outlines: Sequence[Array], size_hw: tuple[int, int]) -> Array:
    """(H, W) int32: the place of the polygon that was painted last, from 1; 0 where there is none."""
    image = Image.new("I", (size_hw[1], size_hw[0]))
    pen = ImageDraw.Draw(image)
    for place, points in enumerate(outlines, 1):
        pen.polygon([(x, y) for x, y in points.tolist()], fill=place)
    return np.array(image)


def _paints(
    objects: Sequence[Mapping[str, Any]], classes: ClassSpace, void: tuple[str, ...], path: Path, lost: list[str]
) -> Iterator[_Paint]:
    known, things, count = set(classes.names), {classes.names[i] for i in classes.thing_ids}, 0
    for entry in objects:
        label = str(entry["label"])
        if entry.get("deleted") or label == UNPAINTED:
            continue
        points = points_of(entry["polygon"] or np.zeros((0, 2)))
        if len(points) < 2:
            lost.append(NO_LINE)
            continue
        if not (np.abs(points) < FARTHEST).all():
            raise SegmentationError(f"a polygon of {label!r} leads to {points[~(np.abs(points) < FARTHEST)][0]:g}, far outside.")
        name = label if label in known or label in void else label.removesuffix("group")
        if name in known:
            number = 0
            if name in things and name == label:
                count += 1
                number = int(entry.get("object", MOST_OBJECTS + count))
                if not 0 <= number <= MOST_OBJECTS + count:
                    raise DataError(f"{path} numbers an object {number}; 0 to {MOST_OBJECTS} were expected.")
            yield _Paint(name, number, points)
        elif name in void:
            yield _Paint(None, 0, points)
        else:
            raise DataError(f"{path} has a polygon of {label!r}, which is none of the classes {', '.join(classes.names[:30])}.")


def _classes_of_files(files: Sequence[Path], things: set[str], path: Path) -> ClassSpace:
    labels: set[str] = set()
    counted = set(things)
    for file in files:
        with refused(file, "file of Cityscapes polygons", FORM):
            for entry in read_json(file)["objects"]:
                label = str(entry["label"])
                if "object" in entry:
                    label = label if entry["object"] else label.removesuffix("group")
                    counted.add(label)
                if not entry.get("deleted"):
                    labels.add(label)
    groups = {label for label in labels if label.endswith("group") and (label.removesuffix("group") in labels | things)}
    counted |= {label.removesuffix("group") for label in groups}
    names = sorted(labels.difference(groups, VOID, (UNPAINTED,)) | things)
    if not names:
        raise DataError(f"{path} holds {len(files)} polygon files and no polygon of a class.")
    return ClassSpace.from_names(names, things=counted)


def _stuff(labels: Array, classes: ClassSpace) -> Panoptic:
    ids = np.where(labels == classes.ignore_id, 0, labels.astype(np.int32) + 1)
    return Panoptic(ids, tuple(Segment(n, n - 1) for n in np.unique(ids).tolist() if n), classes)


def _plain_name(stem: str) -> str:
    """aachen_000000_000019 of gtFine/train/aachen/aachen_000000_000019_gtFine, with the folders below gtFine."""
    for official in OFFICIAL:
        stem = stem.removesuffix(official).removeprefix(f"{official[1:]}/")
    return stem


def _image(root: Path, file: Path, stem: str, key: str) -> Path:
    """The image of a file of polygons: in leftImg8bit as in Cityscapes, in images/, or beside; the first if there is none."""
    folder = next((f for f in (root, root.parent) if (f / "leftImg8bit").is_dir()), root)
    beside = file.with_name(_plain_name(file.name.removesuffix(ENDING)))
    official, own = folder / "leftImg8bit" / f"{key}_leftImg8bit", root / "images" / key
    expected = official if stem.endswith(OFFICIAL) else own
    return find_image(official, own, beside) or expected.with_name(f"{expected.name}.png")
