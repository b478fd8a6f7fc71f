"""Readers under coverage-guided fuzzing: `python atheris_readers.py CORPUS`. Any exception but ours ends it with a report.

It needs atheris, which is in the extra `fuzz`. The first byte of an input says which reader gets the others as a file.
"""

import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["intarsia.data.formats", "intarsia.core"]):
    from intarsia.core import ClassSpace, IntarsiaError, LabelMap
    from intarsia.data.formats import read_image, read_mask, read_panoptic, write_mask
    from intarsia.data.formats._hostile import open_zip, read_json, read_xml, safe_join
    from intarsia.data.formats.coco import read_coco
    from intarsia.data.formats.coco_panoptic import read_coco_panoptic

CLASSES = ClassSpace.from_names(["sky", "cat", "dog"], things=["cat", "dog"])
ROOT = Path(tempfile.mkdtemp())
write_mask(ROOT / "p.png", LabelMap(np.eye(4, dtype=np.uint8), CLASSES))
(ROOT / "panoptic").mkdir()


def _coco(path: Path) -> None:
    file = read_coco(path)
    for name in file.instances:
        _ = file.instances[name]


def _zip(path: Path) -> None:
    with open_zip(path) as archive:
        for name in archive.names:
            archive.read(name, 2**20)


def _panoptic(path: Path) -> None:
    file = read_coco_panoptic(path, ROOT)
    for name in file.segments:
        file.read(name)


READERS = (
    ("a.json", _coco),
    ("a.json", _panoptic),
    ("a.json", read_json),
    ("p.json", lambda path: read_panoptic(path.with_suffix(".png"))),
    ("a.xml", read_xml),
    ("a.zip", _zip),
    ("a.png", lambda path: read_mask(path, CLASSES)),
    ("a.png", read_image),
    ("a.txt", lambda path: safe_join(ROOT, path.read_bytes().decode("utf-8", "replace"))),
)


def read_one(data: bytes) -> None:
    name, read = READERS[data[0] % len(READERS) if data else 0]
    (ROOT / name).write_bytes(data[1:])
    with suppress(IntarsiaError):
        read(ROOT / name)


if __name__ == "__main__":
    atheris.Setup(sys.argv, read_one)
    atheris.Fuzz()
