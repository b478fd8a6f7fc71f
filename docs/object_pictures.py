"""Draws the picture of what is shown of objects on docs/instances.md.

    python docs/object_pictures.py ../shared/data/nuclei

writes docs/images/objects.png. Above: a drawn street, its objects and its panoptic map as `predict` shows them. Below: nuclei,
the truth, and what `threshold_watershed` found, missed and invented, as a report shows it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from intarsia.classical import create_method
from intarsia.core import Array
from intarsia.data.datasets import open_dataset
from intarsia.evaluation.gallery_objects import WORDS, compare_objects
from intarsia.viz.overlay import overlay

PICTURE = Path(__file__).parent / "images" / "objects.png"
WIDTH, GAP = 480, 8
STREET, NUCLEI = "train/0001", "val/693bc6458127"


def main(root: Path) -> None:
    tiles = []
    for view in ("instance", "panoptic"):
        sample = open_dataset("scenes:train=2,size=320x480", view=view).read(STREET)
        tiles.append(overlay(sample.image, sample.truth, labels=True))
    tiles.insert(0, sample.image)
    sample = open_dataset(root, view="instance").read(NUCLEI)
    found = create_method("threshold_watershed").predict(sample.image)
    pictures = compare_objects(sample.image, sample.truth, found, width=WIDTH).pictures
    tiles += [pictures[name] for name in ("image", "truth", WORDS)]
    rows = [np.concatenate([padded(tile) for tile in row], 1) for row in (tiles[:3], tiles[3:])]
    picture = np.concatenate(rows)[:-GAP, :-GAP]
    Image.fromarray(picture).quantize(256).save(PICTURE, optimize=True)


def padded(tile: Array) -> Array:
    """`WIDTH` wide, 320 high at most, with white to the right and below."""
    picture = Image.fromarray(np.ascontiguousarray(tile))
    height = round(tile.shape[0] * WIDTH / tile.shape[1])
    resized = np.asarray(picture.resize((WIDTH, height)))[:320]
    return np.pad(resized, ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
