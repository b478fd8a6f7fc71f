"""Panoptic masks: PNG of segment ids with a JSON file of the same stem beside it, in the words of the COCO panoptic format.

Ids up to 65535 are 16-bit grey; higher ones are RGB with id = R + 256 G + 65536 B, as COCO writes them (https://cocodataset.org,
"format-data", panoptic segmentation). Both are read. 0 is void.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from intarsia.core import ClassSpace, DataError, Panoptic, Segment, SegmentationError
from intarsia.data.formats._files import png_path, write_bytes
from intarsia.data.formats._hostile import read_json, refused
from intarsia.data.formats._masks import read_mask_values, write_ids
from intarsia.data.formats.image import write_image

__all__ = ["read_panoptic", "write_panoptic"]


def read_panoptic(path: str | Path, classes: ClassSpace | None = None) -> Panoptic:
    """Read segment ids and the JSON file beside them.

    Args:
        path: the PNG file.
        classes: what `category_id` counts in. None: the classes stored in the JSON file, if it is one of ours. When both are
            there, classes are matched by name.

    Raises:
        DataError: a file that cannot be read, a JSON file without the entries of the format, or classes that nobody says.
        ClassSpaceError: a stored class that `classes` do not have.
        SegmentationError: segment ids that the JSON file does not list.
    """
    path = Path(path)
    values = read_mask_values(path).values
    ids = values.astype(np.int32) @ np.array([1, 256, 65536], np.int32) if values.ndim == 3 else values
    sidecar = path.with_suffix(".json")
    expected = '{"segments_info": [{"id": 1, "category_id": 0}, ...]}, one entry for each id in the PNG'
    with refused(sidecar, "list of segments", expected):
        content = read_json(sidecar, what="list of segments")
        stored = ClassSpace.from_dict(content) if "classes" in content else None
        space = classes or stored
        if space is None:
            raise DataError(f"{sidecar} does not say the classes: give `classes`.")
        entries = [
            (
                int(s["id"]),
                stored.names[s["category_id"]] if stored else int(s["category_id"]),
                float(s.get("score", 1.0)),
                bool(s.get("iscrowd", False)),
            )
            for s in content["segments_info"]
        ]
    segments = tuple(Segment(n, space.index(c) if isinstance(c, str) else c, score, crowd) for n, c, score, crowd in entries)
    return Panoptic(ids, segments, space)


def write_panoptic(path: str | Path, panoptic: Panoptic) -> Path:
    """Write the PNG and the JSON file; `category_id` is the class id, and the classes are stored.

    Raises:
        SegmentationError: an id above 2**24 - 1.
    """
    path = png_path(path)
    highest = int(panoptic.ids.max(initial=0))
    if highest >= 2**24:
        raise SegmentationError(f"{path}: the segment id {highest} does not fit three bytes; {2**24 - 1} is the highest.")
    if highest < 2**16:
        write_ids(path, panoptic.ids, bits=16)
    else:
        write_image(path, (panoptic.ids[..., None] >> np.array([0, 8, 16]) & 255).astype(np.uint8))
    info = [{"id": s.id, "category_id": s.class_id, "iscrowd": int(s.is_crowd), "score": s.score} for s in panoptic.segments]
    content = {"file_name": path.name, "segments_info": info, **panoptic.classes.to_dict()}
    write_bytes(path.with_suffix(".json"), json.dumps(content, indent=1).encode())
    return path
