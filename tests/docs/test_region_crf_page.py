"""The page of the region CRF says what benchmarks/region_crf.py measured, and what it measured bears out what the page says."""

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "region_crf.md").read_text(encoding="utf-8")
FOUND = json.loads((REPOSITORY / "benchmarks" / "results" / "region_crf.json").read_text(encoding="utf-8"))
FOREST, REFINED = FOUND["scores"][0], FOUND["scores"][3]


def rows_of(name: str) -> list[list[str]]:
    """The cells of a table of the page, without its head."""
    part = re.search(rf"<!-- made by benchmarks/region_crf.py: {name} -->(.*?)<!-- end of {name} -->", PAGE, re.DOTALL)
    assert part is not None
    lines = [line for line in part[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_tables_have_the_figures_of_the_results() -> None:
    shown = rows_of("scores")
    assert [row[0] for row in shown] == [row[""] for row in FOUND["scores"]]
    for cells, row in zip(shown, FOUND["scores"], strict=True):
        assert cells[1:3] == [f"{row['accuracy']:.3f}", f"{row['mIoU']:.3f}"]
        assert np.isclose(np.mean(row["iou"]), row["mIoU"])
    classes = rows_of("classes")
    assert [row[0] for row in classes] == list(FOUND["above"])
    assert [row[1:3] for row in classes] == [[f"{a:.3f}", f"{b:.3f}"] for a, b in zip(FOREST["iou"], REFINED["iou"], strict=True)]


def test_the_field_is_better_than_the_forest() -> None:
    assert REFINED["mIoU"] > FOREST["mIoU"] + 0.005
    assert REFINED["accuracy"] > FOREST["accuracy"] + 0.01
    above, names = FOUND["above"], list(FOUND["above"])
    assert above["building"][names.index("pavement")] > 0 > above["road"][names.index("building")]


def test_the_picture_shows_something() -> None:
    with Image.open(REPOSITORY / "docs" / "images" / "region_crf.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 20
    assert "](images/region_crf.png)" in PAGE
