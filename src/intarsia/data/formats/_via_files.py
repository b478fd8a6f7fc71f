"""VIA's two kinds of file: the CSV of its export, read and written, and the project, written image by image."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from intarsia.core import ClassSpace, DataError
from intarsia.data.formats._files import read_bytes

__all__ = ["CLASS_ATTRIBUTE", "COLUMNS", "csv_writer", "entries_of_csv", "project_writer"]

COLUMNS = (
    "filename",
    "file_size",
    "file_attributes",
    "region_count",
    "region_id",
    "region_shape_attributes",
    "region_attributes",
)
CLASS_ATTRIBUTE = "class"
SETTINGS = {
    "ui": {
        "annotation_editor_height": 25,
        "annotation_editor_fontsize": 0.8,
        "leftsidebar_width": 18,
        "image_grid": {
            "img_height": 80,
            "rshape_fill": "none",
            "rshape_fill_opacity": 0.3,
            "rshape_stroke": "yellow",
            "rshape_stroke_width": 2,
            "show_region_shape": True,
            "show_image_policy": "all",
        },
        "image": {
            "region_label": CLASS_ATTRIBUTE,
            "region_color": CLASS_ATTRIBUTE,
            "region_label_font": "10px Sans",
            "on_image_annotation_editor_placement": "NEAR_REGION",
        },
    },
    "core": {"buffer_size": 18, "filepath": {}, "default_filepath": "images/"},
    "project": {"name": "intarsia"},
}
"""VIA 2 takes the settings of a project as they stand, so they must be whole."""

Add = Callable[[Mapping[str, Any]], None]


def entries_of_csv(path: Path) -> dict[str, Any]:
    """The images of a CSV file, as the JSON export has them.

    Raises:
        DataError: no CSV, or other columns.
        ValueError: text in a cell that is no JSON.
    """
    entries: dict[str, Any] = {}
    before = csv.field_size_limit(2**31 - 1)  # outlines are longer than the 128 KiB that a cell may have otherwise
    try:
        rows = csv.DictReader(StringIO(read_bytes(path).decode("utf-8-sig"), newline=""))
        names = [name.lstrip("#") for name in rows.fieldnames or ()]
        missing = [column for column in COLUMNS if column not in names]
        if missing:
            raise DataError(f"{path} is no CSV file of VIA: it has no column {', '.join(missing)}.")
        rows.fieldnames = names
        for row in rows:
            name = f"{row['filename']}{row['file_size']}"
            entry = entries.setdefault(
                name, {"filename": row["filename"], "regions": [], "file_attributes": json.loads(row["file_attributes"])}
            )
            shape = json.loads(row["region_shape_attributes"])
            if shape:
                region = {"shape_attributes": shape, "region_attributes": json.loads(row["region_attributes"])}
                entry["regions"].append(region)
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file ({error}).") from error
    finally:
        csv.field_size_limit(before)
    return entries


@contextmanager
def csv_writer(file: TextIO) -> Iterator[Add]:
    """Gives a function that writes an image's rows."""
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(COLUMNS)

    def add(entry: Mapping[str, Any]) -> None:
        regions = entry["regions"]
        begin = [entry["filename"], entry["size"], json.dumps(entry["file_attributes"]), len(regions)]
        nothing: dict[str, Any] = {"shape_attributes": {}, "region_attributes": {}}
        for number, region in enumerate(regions or [nothing]):
            rows.writerow([*begin, number, json.dumps(region["shape_attributes"]), json.dumps(region["region_attributes"])])

    yield add


@contextmanager
def project_writer(file: TextIO, classes: ClassSpace) -> Iterator[Add]:
    """Gives a function that writes an image; the project lists the classes as the options of one attribute, in order."""
    options = dict.fromkeys(classes.names, "")
    attribute = {"type": "dropdown", "description": "", "options": options, "default_options": {}}
    begin = {
        "_via_settings": SETTINGS,
        "_via_attributes": {"region": {CLASS_ATTRIBUTE: attribute}, "file": {}},
        "_via_data_format_version": "2.0.10",
    }
    file.write(f'{json.dumps(begin)[:-1]}, "_via_img_metadata": {{')
    names: list[str] = []

    def add(entry: Mapping[str, Any]) -> None:
        name = f"{entry['filename']}{entry['size']}"
        file.write(f"{', ' if names else ''}{json.dumps(name)}: {json.dumps(entry)}")
        names.append(name)

    yield add
    file.write(f'}}, "_via_image_id_list": {json.dumps(names)}}}')
