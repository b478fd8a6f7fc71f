"""VIA, the VGG Image Annotator 2: a JSON file or a CSV file for all images, with regions and their attributes.

Read are a saved project (`_via_img_metadata`), exported annotations as JSON, and exported annotations as CSV. Written is a
project, or CSV if the name ends so. The class of a region is one of its attributes: the only one, or one of `ATTRIBUTES`, or the
one asked for; the options that a project lists for it are the classes in order, else they are sorted by name. Regions without
attributes are of the class "object".

Coordinates are x, y in pixels from the corner of the image, as VIA's canvas draws it: the first centre is (0.5, 0.5).
The file does not say the size of images, so they are looked at, unless the file attributes `width` and `height` say it, which are
written. A region is one line: holes and pieces are joined by slits and lines there and back, so nothing is lost; crowds are left
out.

Source: https://www.robots.ox.ac.uk/~vgg/software/via, version 2.0: JSON and CSV of the export, and region shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import ClassSpace, DataError, Instances, SegmentationError
from intarsia.core.whole_file import written_whole
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Part, Tally, WriteReport, keys_of_names
from intarsia.data.formats._hostile import ends_of_file, read_json, refused, safe_join
from intarsia.data.formats._polygons import Crop, crop_iou, joined_ring, mask_of_rings, polygons_of_object
from intarsia.data.formats._shapes import (
    Drawn,
    mask_of_box,
    mask_of_ellipse,
    mask_of_line,
    objects_of_drawn,
    placed_crops,
    points_of,
    require_size,
    sorted_classes,
    without_crowds,
)
from intarsia.data.formats._via_files import CLASS_ATTRIBUTE, COLUMNS, csv_writer, entries_of_csv, project_writer
from intarsia.data.formats.image import read_image_size

__all__ = ["read_via", "recognizes_via", "write_via"]

FILE = "via_project.json"
ATTRIBUTES = (CLASS_ATTRIBUTE, "label", "category", "name", "type", "object")
"""Attributes that mean the class where there are several, the likeliest first."""
ONLY_CLASS = "object"
FORM = '{"photo.jpg123": {"filename", "size", "regions": [{"shape_attributes", "region_attributes"}], "file_attributes"}}'
NO_AREA = "a line or point has no area and was left out (`line_width` gives it one)"
NO_CLASS = "a region that does not say one class was left out"
UNKNOWN = "a region of an unknown shape was left out"

Entry = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image of a file; travels to other processes."""

    path: Path
    entries: Mapping[str, Entry]
    images: Mapping[str, Path]
    classes: ClassSpace
    attribute: str | None
    names: Mapping[str, str]
    line_width: float

    def __call__(self, key: str) -> Annotated:
        lost: list[str] = []
        with refused(self.path, "file of VIA", FORM):
            entry = self.entries[key]
            attributes = dict(entry.get("file_attributes") or {})
            size = attributes.pop("height", None), attributes.pop("width", None)
            size_hw = read_image_size(self.images[key]) if None in size else require_size(*size, f"{self.path}, {key},")
            objects, empty = objects_of_drawn(self._drawn(_regions(entry), size_hw, lost), size_hw, self.classes)
        return Annotated(key, objects, (*lost, *empty), {"file_attributes": attributes} if attributes else {})

    def _drawn(self, regions: Sequence[Entry], size_hw: tuple[int, int], lost: list[str]) -> Iterator[Drawn]:
        for region in regions:
            label = ONLY_CLASS if self.attribute is None else _value(region, self.attribute)
            if label is None:
                lost.append(NO_CLASS)
                continue
            crop = _crop(region["shape_attributes"], size_hw, self.line_width)
            if isinstance(crop, str):
                lost.append(crop)
            else:
                yield Drawn(self.names.get(label, label), crop)

    def alone(self, key: str) -> _Read:
        """A reader of one image, which other processes take in place of the whole file."""
        return replace(self, entries={key: self.entries[key]}, images={key: self.images[key]})


def read_via(
    path: str | Path, *, images: str | Path | None = None, attribute: str | None = None, line_width: float = 0
) -> AnnotatedSet:
    """Read a project, or exported annotations.

    Args:
        path: the JSON or CSV file.
        images: the folder of the images; None: that of the file, the one that a project names, or `images/` beside.
        attribute: the attribute of regions that is the class; None: the likeliest.
        line_width: pixels of lines, and the diameter of points; 0 leaves them out and says so.

    Raises:
        DataError: a file that cannot be read or is of another kind, several attributes of which none is likely, or no region.
    """
    path = Path(path)
    with refused(path, "file of VIA", FORM):
        content = entries_of_csv(path) if path.suffix.lower() == ".csv" else read_json(path)
        entries: Mapping[str, Entry] = content.get("_via_img_metadata", content)
        names = [str(entry["filename"]) for entry in entries.values()]
        keys = keys_of_names(names, path)
        of_key = {keys[str(entry["filename"])]: entry for entry in entries.values()}
        regions = [region for entry in of_key.values() for region in _regions(entry)]
        declared = (content.get("_via_attributes") or {}).get("region") or {}
        attribute = attribute or _likeliest([region.get("region_attributes") or {} for region in regions], declared, path)
        options = {} if attribute is None else _options(declared.get(attribute) or {})
        found = {ONLY_CLASS} if attribute is None else {v for region in regions if (v := _value(region, attribute)) is not None}
        classes = sorted_classes({options.get(value, value) for value in found} if regions else (), tuple(options.values()))
        if classes is None:
            raise DataError(f"{path} holds {len(of_key)} images and no region of a class.")
        said = str(((content.get("_via_settings") or {}).get("core") or {}).get("default_filepath") or "")
        folders = [Path(images)] if images is not None else _folders(path.parent, said)
        places = {keys[name]: _place(name, folders, path) for name in names}
    return AnnotatedSet(
        name=path.stem,
        kind="instance",
        classes=classes,
        keys=tuple(of_key),
        reader=_Read(path, of_key, places, classes, attribute, options, line_width),
        images=places,
        notes=(f"The class of a region is its attribute {attribute!r}.",) if attribute is not None else (),
    )


def write_via(path: str | Path, annotated: AnnotatedSet, *, tolerance: float = 0) -> WriteReport:
    """Write a project that VIA opens, or CSV; the images belong into `images/` beside.

    Args:
        path: the file.
        annotated: of kind instance.
        tolerance: pixels that outlines may move to have fewer corners; 0 keeps every pixel.
    """
    path, tally = Path(path), Tally()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        add = csv_writer(file) if path.suffix.lower() == ".csv" else project_writer(file, annotated.classes)
        with add as add_entry:
            for key, part in annotated.each(partial(_encode, tolerance)):
                image = annotated.image_path(key)
                size = image.stat().st_size if image is not None and image.is_file() else -1
                add_entry({"filename": annotated.image_name(key), "size": size, **part.content})
                tally.add(part)
    return tally.report()


def recognizes_via(path: Path) -> str | None:
    """Why this is a file of VIA, or None."""
    ends = ends_of_file(path, ".json")
    if '"_via_' in ends or ('"regions"' in ends and '"file_attributes"' in ends):
        return f"{path.name} is a JSON file with `regions` and `file_attributes`, as VIA's are."
    if all(column in ends_of_file(path, ".csv").partition("\n")[0] for column in COLUMNS):
        return f"{path.name} is a CSV file with `region_shape_attributes`, as VIA's are."
    return None


def _encode(tolerance: float, annotated: Annotated) -> Part:
    if not isinstance(annotated.truth, Instances):
        raise SegmentationError(f"{annotated.key}: VIA's files hold objects, not a {type(annotated.truth).__name__}.")
    objects, lost = without_crowds(annotated.truth)
    regions, ious = [], []
    for index, crop in enumerate(placed_crops(objects)):
        line = joined_ring(polygons_of_object(objects, index, tolerance))
        ious.append(crop_iou(crop, mask_of_rings([line], objects.size_hw)))
        x, y = line.T.astype(np.int64).tolist()
        shape = {"name": "polygon", "all_points_x": x, "all_points_y": y}
        label = objects.classes.names[objects.class_id[index]]
        regions.append({"shape_attributes": shape, "region_attributes": {CLASS_ATTRIBUTE: label}})
    height, width = objects.size_hw
    attributes = {**(annotated.properties.get("file_attributes") or {}), "width": str(width), "height": str(height)}
    return Part.of(replace(annotated, truth=objects), {"regions": regions, "file_attributes": attributes}, lost=lost, ious=ious)


def _regions(entry: Entry) -> Sequence[Entry]:
    """The regions of an image: a list; VIA 1 wrote a table by number."""
    regions = entry.get("regions") or []
    return list(regions.values()) if isinstance(regions, Mapping) else list(regions)


def _likeliest(found: Sequence[Entry], declared: Mapping[str, Any], path: Path) -> str | None:
    """The attribute that is the class; None where no region has any."""
    names = sorted({str(name) for attributes in found for name in attributes} or set(map(str, declared)))
    by_small = {name.lower(): name for name in reversed(names)}
    likely = next((by_small[name] for name in ATTRIBUTES if name in by_small), None)
    if likely is None and len(names) > 1:
        raise DataError(f"{path}: which attribute is the class of a region? They are {', '.join(names)}. Say it (attribute).")
    return likely if likely is not None or not names else names[0]


def _options(attribute: Mapping[str, Any]) -> dict[str, str]:
    """The name of each value that a project lists for an attribute: its description, where these tell them apart."""
    options = {str(value): str(about or value) for value, about in (attribute.get("options") or {}).items()}
    return options if len(set(options.values())) == len(options) else {value: value for value in options}


def _value(region: Entry, attribute: str) -> str | None:
    """What a region says; of boxes to be ticked the only one that is."""
    value = (region.get("region_attributes") or {}).get(attribute)
    if isinstance(value, Mapping):
        ticked = [str(name) for name, is_ticked in value.items() if is_ticked]
        return ticked[0] if len(ticked) == 1 else None
    return str(value).strip() or None if value is not None else None


def _folders(folder: Path, said: str) -> list[Path]:
    """Where the images of a file may be."""
    named = []
    if said and not Path(said).is_absolute() and ":" not in said and ".." not in Path(said).parts:
        named = [folder / said]
    return [folder, *named, folder / "images"]


def _place(name: str, folders: Sequence[Path], path: Path) -> Path:
    """Where an image is; in the first of the folders if it is in none."""
    places = [safe_join(folder, name, path) for folder in folders]
    return next((place for place in places if place.is_file()), places[0])


def _crop(shape: Entry, size_hw: tuple[int, int], line_width: float) -> Crop | str:
    """The mask of a region, or why it has none."""
    kind = shape["name"]
    if kind in ("polygon", "polyline"):
        points = points_of(list(zip(shape["all_points_x"], shape["all_points_y"], strict=True)) or np.zeros((0, 2)))
        if kind == "polygon":
            return mask_of_rings([points], size_hw)
        return mask_of_line(points, line_width, size_hw) if line_width > 0 else NO_AREA
    if kind == "rect":
        x, y, width, height = (float(shape[name]) for name in ("x", "y", "width", "height"))
        return mask_of_box(x, y, x + width, y + height, size_hw)
    if kind not in ("circle", "ellipse", "point"):
        return UNKNOWN
    center = float(shape["cx"]), float(shape["cy"])
    if kind == "point":
        return mask_of_line(np.array([center]), line_width, size_hw) if line_width > 0 else NO_AREA
    radii = (float(shape["r"]),) * 2 if kind == "circle" else (float(shape["rx"]), float(shape["ry"]))
    return mask_of_ellipse(center, radii, size_hw, float(shape.get("theta") or 0))
