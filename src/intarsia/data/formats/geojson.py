"""GeoJSON as QuPath writes it: an object is a feature with a Polygon or a MultiPolygon, holes and all, and a classification.

    EXPORT/photo.geojson      EXPORT/photo.tif, or EXPORT/images/photo.tif      a file for each image, also in folders below
    EXPORT/classes.json       the classes in order, as a project of QuPath lists them; without it they are sorted by name
    labels.geojson            one file for all images: the property `image` of a feature is the name of its image

A file is a FeatureCollection, a list of features, or one feature. Coordinates are x, y in pixels from the corner of the image, in
its full resolution, as QuPath's are: the first centre is (0.5, 0.5). GeoJSON does not say the size of images, so they are looked
at, unless the member `images` says it, which is written and which other programs pass over. Lines and points have no area and are
left out, as are the nuclei of cells. The property `is_crowd` is a crowd. Outlines are exact, so nothing is lost.

Source: RFC 7946; https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from intarsia.core import ClassSpace, DataError, Instances, SegmentationError
from intarsia.core.class_space import Color
from intarsia.core.whole_file import written_whole
from intarsia.data.formats._annotated import OTHER_TRUTH, Annotated, AnnotatedSet, Part, Tally, WriteReport, keys_of_names
from intarsia.data.formats._class_colors import with_colors
from intarsia.data.formats._few_files import few_files
from intarsia.data.formats._files import write_bytes
from intarsia.data.formats._hostile import ends_of_file, read_json, refused, safe_join
from intarsia.data.formats._images_beside import images_beside
from intarsia.data.formats._polygons import NOTHING, Crop, Polygon, crop_iou, mask_of_polygons, polygons_of_object
from intarsia.data.formats._shapes import Drawn, objects_of_drawn, placed_crops, points_of, require_size, sorted_classes
from intarsia.data.formats.image import read_image_size

__all__ = ["read_geojson", "recognizes_geojson", "write_geojson"]

CLASSES = "classes.json"
ONLY_CLASS = "object"
FORM = '{"type": "FeatureCollection", "features": [{"geometry": {"type": "Polygon", "coordinates"}, "properties"}]}'
AREAS = ("Polygon", "MultiPolygon")
NO_AREA = "a line, a point or an object without a geometry was left out"
NO_CLASS = "an object without a classification was left out"
NUCLEUS = "the nucleus of a cell was left out: the cell is the object"

Feature = Mapping[str, Any]
T = TypeVar("T")


class _Image(NamedTuple):
    """The features of an image, and its size (height, width) where the file says it."""

    features: Sequence[Feature]
    size: tuple[object, object] | None = None


@dataclass(frozen=True, eq=False)
class _Read:
    """Reads one image: of its own file, or of those in memory; travels to other processes."""

    path: Path
    files: Mapping[str, Path]
    entries: Mapping[str, _Image]
    images: Mapping[str, Path]
    classes: ClassSpace
    attribute: str
    has_classes: bool

    def __call__(self, key: str) -> Annotated:
        path = self.files.get(key, self.path)
        with refused(path, "GeoJSON file", FORM):
            entry = self.entries[key] if key in self.entries else next(iter(_entries(read_json(path), key).values()))
            if entry.size is not None:
                size_hw = require_size(*entry.size, f"{path}, {key},")
            elif key in self.images:
                size_hw = read_image_size(self.images[key])
            else:
                raise DataError(f"{path} does not say how large the image {key} is, and the image is not beside it.")
            lost: list[str] = []
            objects, empty = objects_of_drawn(self._drawn(entry.features, size_hw, lost), size_hw, self.classes)
        return Annotated(key, objects, (*lost, *empty))

    def _drawn(self, features: Iterable[Feature], size_hw: tuple[int, int], lost: list[str]) -> Iterator[Drawn]:
        for feature in features:
            label = _class(feature, self.attribute)[0] if self.has_classes else ONLY_CLASS
            geometry = _geometry(feature)
            if feature.get("nucleusGeometry"):
                lost.append(NUCLEUS)
            if geometry.get("type") not in AREAS:
                lost.append(NO_AREA)
            elif label is None:
                lost.append(NO_CLASS)
            else:
                is_crowd = (feature.get("properties") or {}).get("is_crowd") is True
                yield Drawn(label, _crop(geometry, size_hw), is_crowd)

    def alone(self, key: str) -> _Read:
        """A reader of one image, which other processes take in place of the whole file."""
        files, entries, images = _only(self.files, key), _only(self.entries, key), _only(self.images, key)
        return replace(self, files=files, entries=entries, images=images)


def read_geojson(path: str | Path, *, images: str | Path | None = None, attribute: str = "classification") -> AnnotatedSet:
    """Read a folder of GeoJSON files, or one file; all features are looked at for the list of classes.

    Args:
        path: the folder or the file.
        images: the folder of the images; None: `images/` there, or beside the files.
        attribute: the property that is the class: an object with `name` (or `names`) and `color`, or a text.

    Raises:
        DataError: a file that cannot be read or is of another kind, or no feature with an area.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    listed = sorted(file for file in path.rglob("*.geojson") if not file.name.startswith(".")) if path.is_dir() else [path]
    if not listed:
        raise DataError(f"{path} holds no file that ends in .geojson, one for each image.")
    keys = keys_of_names([file.relative_to(folder).as_posix() for file in listed], path)
    files = dict(zip(keys.values(), listed, strict=True))
    entries: dict[str, _Image] = {}
    places: dict[str, Path] = {}
    labels: dict[str | None, object] = {}
    declared: dict[str, object] = {}
    for file in listed:
        with refused(file, "GeoJSON file", FORM):
            content = read_json(file)
            of_file = _entries(content, file.relative_to(folder).with_suffix("").as_posix())
            for feature in (f for entry in of_file.values() for f in entry.features if _geometry(f).get("type") in AREAS):
                label, color = _class(feature, attribute)
                labels.setdefault(label, color)
            if len(listed) == 1:
                names, files = keys_of_names(of_file, file), {}
                entries = {names[name]: entry for name, entry in of_file.items()}
                places = {key: safe_join(folder, name, file) for name, key in names.items() if name != key}
                declared = _declared(content.get("pathClasses")) if isinstance(content, Mapping) else {}
            elif len(of_file) > 1:
                raise DataError(f"{file} holds {len(of_file)} images, and files of other images lie beside it. Read it alone.")
    if (folder / CLASSES).is_file():
        with refused(folder / CLASSES, "list of QuPath's classes", '{"pathClasses": [{"name", "color"}]}'):
            declared = _declared(read_json(folder / CLASSES)["pathClasses"])
    named = {label: color for label, color in labels.items() if label is not None}
    classes = sorted_classes(named or ([ONLY_CLASS] if labels else ()), tuple(declared))
    if classes is None:
        raise DataError(f"{path} holds {len(files or entries)} images and no feature with an area.")
    classes = with_colors(classes, {**named, **declared})
    ours = tuple(files or entries)
    places |= images_beside(ours, [Path(images)] if images is not None else [folder / "images", folder])
    reader = _Read(path, files, entries, places, classes, attribute, bool(named))
    return AnnotatedSet(path.stem, "instance", classes, ours, reader, images=places)


def write_geojson(path: str | Path, annotated: AnnotatedSet, *, tolerance: float = 0) -> WriteReport:
    """Write a file for each image into a folder, or one file for all; the images belong into `images/` there.

    Args:
        path: the folder, or a name that ends in .geojson or .json.
        annotated: of kind instance.
        tolerance: pixels that outlines may move to have fewer corners; 0 keeps every pixel.
    """
    path, tally = Path(path), Tally()
    names = {key: annotated.image_name(key) for key in annotated.keys}
    classes = [{"name": entry.name, "color": _number(entry.color)} for entry in annotated.classes.classes]
    if path.suffix.lower() not in (".geojson", ".json"):
        for _, part in annotated.each(partial(_encode, path, names, tolerance)):
            tally.add(part)
        write_bytes(path / CLASSES, json.dumps({"pathClasses": classes}, indent=2, ensure_ascii=False).encode())
        return tally.report()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.write(f'{{"type": "FeatureCollection", "pathClasses": {json.dumps(classes)}, "features": [')
        images, before = [], ""
        for _, part in annotated.each(partial(_encode, None, names, tolerance)):
            image, features = part.content
            images.append(image)
            for feature in features:
                feature["properties"]["image"] = image["name"]
                file.write(f"{before}\n{json.dumps(feature)}")
                before = ","
            tally.add(part)
        file.write(f'\n], "images": {json.dumps(images)}}}\n')
    return tally.report()


def recognizes_geojson(path: Path) -> str | None:
    """Why this is a GeoJSON file, or a folder of them; or None."""
    files = few_files(path, ".geojson") if path.is_dir() else [path]
    for file in files:
        ends = ends_of_file(file, ".geojson") or ends_of_file(file, ".json")
        if re.search(r'"type"\s*:\s*"Feature(Collection)?"', ends) is not None:
            return f"{file.name} holds features, as GeoJSON does."
    return None


def _encode(folder: Path | None, names: Mapping[str, str], tolerance: float, annotated: Annotated) -> Part:
    objects = annotated.truth
    if not isinstance(objects, Instances):
        raise SegmentationError(f"{annotated.key}: GeoJSON files hold objects, not a {type(objects).__name__}.")
    features, ious = [], []
    for index, crop in enumerate(placed_crops(objects)):
        pieces = polygons_of_object(objects, index, tolerance)
        ious.append(crop_iou(crop, mask_of_polygons(pieces, objects.size_hw)))
        rings = [[[*ring.tolist(), ring[0].tolist()] for ring in (piece.outer, *piece.holes)] for piece in pieces]
        several = len(rings) != 1
        geometry = {"type": "MultiPolygon" if several else "Polygon", "coordinates": rings if several else rings[0]}
        entry = objects.classes.classes[objects.class_id[index]]
        properties: dict[str, Any] = {
            "objectType": "annotation",
            "classification": {"name": entry.name, "color": list(entry.color)},
        }
        if objects.is_crowd is not None and objects.is_crowd[index]:
            properties["is_crowd"] = True
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    image = {"name": names[annotated.key], "height": objects.size_hw[0], "width": objects.size_hw[1]}
    if folder is not None:
        collection = {"type": "FeatureCollection", "features": features, "images": [image]}
        write_bytes(folder / f"{annotated.key}.geojson", json.dumps(collection, ensure_ascii=False).encode())
    return Part.of(
        annotated, None if folder is not None else [image, features], lost=[OTHER_TRUTH] * len(annotated.other_truths), ious=ious
    )


def _entries(content: Any, name: str) -> dict[str, _Image]:
    """The images of a file, by name; one that is called `name` where it names none."""
    if isinstance(content, Mapping) and content.get("type") == "Feature":
        content = [content]
    features = content if isinstance(content, list) else content["features"]
    listed = [] if isinstance(content, list) else content.get("images") or []
    sizes = {str(image["name"]): (image["height"], image["width"]) for image in listed}
    named = [(feature.get("properties") or {}).get("image") for feature in features]
    if not any(isinstance(each, str) for each in named) and len(sizes) < 2:
        return {next(iter(sizes), name): _Image(features, next(iter(sizes.values()), None))}
    of_name: dict[str, list[Feature]] = {each: [] for each in sizes}
    for each, feature in zip(named, features, strict=True):
        if not isinstance(each, str):
            raise ValueError(f"a feature says the image {each!r}, and others the name of theirs")
        of_name.setdefault(each, []).append(feature)
    return {each: _Image(of_image, sizes.get(each)) for each, of_image in of_name.items()}


def _geometry(feature: Feature) -> Mapping[str, Any]:
    return feature.get("geometry") or {}


def _only(mapping: Mapping[str, T], key: str) -> dict[str, T]:
    return {key: mapping[key]} if key in mapping else {}


def _class(feature: Feature, attribute: str) -> tuple[str | None, object]:
    """The class of a feature and its colour; QuPath's derived classes are several names."""
    value = (feature.get("properties") or {}).get(attribute)
    if not isinstance(value, Mapping):
        return (str(value) if value is not None else None), None
    names = value.get("names") or [value.get("name")]
    label = ": ".join(str(name) for name in names if name is not None)
    return label or None, value.get("color", value.get("colorRGB"))


def _declared(listed: Iterable[Mapping[str, Any]] | None) -> dict[str, object]:
    """The classes that a project of QuPath lists, with their colours; the one without a name is none."""
    return {str(entry["name"]): entry.get("color") for entry in listed or () if entry.get("name")}


def _number(color: Color) -> int:
    """A colour as QuPath packs it: alpha, red, green and blue in 32 bits with a sign."""
    return (color[0] << 16 | color[1] << 8 | color[2]) - 2**24


def _crop(geometry: Mapping[str, Any], size_hw: tuple[int, int]) -> Crop:
    coordinates = geometry["coordinates"]
    polygons = [coordinates] if geometry["type"] == "Polygon" else coordinates
    found = [[points_of([point[:2] for point in ring]) for ring in rings if ring] for rings in polygons]
    return mask_of_polygons([Polygon(rings[0], tuple(rings[1:])) for rings in found if rings], size_hw) if found else NOTHING
