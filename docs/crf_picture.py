"""Draws the picture of docs/crf.md: a street before and after, whole and in detail.

    python docs/crf_picture.py ../shared/data

takes the stored unaries of `dense_crf/camvid` and the settings that `benchmarks/crf_camvid.py` found on other images, and writes
docs/images/crf.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from intarsia.core import LabelMap
from intarsia.core.whole_file import written_whole
from intarsia.data.datasets.camvid import CamVid
from intarsia.inference.refined import create_refinement
from intarsia.postprocess.dense_crf import refine
from intarsia.viz.colorize import colorize
from intarsia.viz.panel import tile
from intarsia.viz.sheet import sheet

DOCS = Path(__file__).parent
SETTINGS = DOCS.parent / "benchmarks" / "results" / "crf_camvid.toml"
CAPTIONS = ("image", "before", "after", "truth")
DETAIL = (slice(110, 260), slice(280, 480))
WIDTH = 320


def main(root: Path) -> None:
    classes, folder = CamVid(root / "camvid").classes, root / "dense_crf" / "camvid"
    image = np.array(Image.open(folder / "image.png").convert("RGB"))
    unary = np.load(folder / "unary.npz")["neg_log_prob"]
    before = LabelMap(unary.argmin(0).astype(np.uint8), classes)
    after = refine(unary, image, create_refinement(file=SETTINGS)[1], classes=classes)
    truth = LabelMap(np.array(Image.open(folder / "labels.png")), classes)
    pictures = [image, *(colorize(labels) for labels in (before, after, truth))]
    rows = [
        (name, [tile(picture[where], WIDTH, flat=number > 0) for number, picture in enumerate(pictures)])
        for name, where in (("a val image of CamVid, simulated unaries", ...), ("a part of it", DETAIL))
    ]
    shown = sorted(set(np.unique(np.stack([before.ids, truth.ids])).tolist()) - {classes.ignore_id})
    with written_whole(DOCS / "images" / "crf.png") as partial:
        Image.fromarray(sheet(CAPTIONS, rows, classes, shown, ignored=True, tile_width=WIDTH)).save(partial, "png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
