"""The page of forests says what benchmarks/forests.py measured, and what it measured bears out what the page says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "forests.md").read_text(encoding="utf-8")
FOUND = json.loads((REPOSITORY / "benchmarks" / "results" / "forests.json").read_text(encoding="utf-8"))


def rows_of(name: str) -> list[list[str]]:
    """The cells of a table of the page, without its head."""
    part = re.search(rf"<!-- made by benchmarks/forests.py: {name} -->(.*?)<!-- end of {name} -->", PAGE, re.DOTALL)
    assert part is not None
    lines = [line for line in part[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("name", ["trees", "candidates", "bags", "speed", "data"])
def test_every_table_has_the_figures_of_the_results(name: str) -> None:
    shown = rows_of(name)
    assert len(shown) == len(FOUND[name]) > 1
    for cells, row in zip(shown, FOUND[name], strict=True):
        values = [value for value in row.values() if isinstance(value, int | float)]
        numbers = [float(cell) for cell in cells if re.fullmatch(r"[\d.]+", cell)]
        assert len(numbers) == len(values)
        for number in numbers:
            assert min(abs(number - value) / max(1, abs(value)) for value in values) < 0.051


def test_forests_beat_trees_and_means_beat_votes() -> None:
    means = [row["mean"] for row in FOUND["trees"]]
    assert means[0] < means[3] < means[-1] + 0.005
    assert np.mean([row["mean"] - row["vote"] for row in FOUND["trees"][1:]]) > 0
    assert all(row["32 trees"] > row["one tree"] + 0.03 for row in FOUND["candidates"])


def test_the_formula_of_the_variance_holds() -> None:
    for row in FOUND["variance"]["rows"]:
        assert row["measured"] == pytest.approx(row["formula"], rel=0.15)


def test_bags_leave_out_what_they_should_and_those_of_pixels_flatter() -> None:
    pixels, images = FOUND["bags"]
    assert pixels["unseen share"] == pytest.approx(0.368, abs=0.002)
    assert images["unseen share"] == pytest.approx(0.366, abs=0.02)  # (1 - 1/90)^90, over 32 draws
    assert pixels["out of bag"] > images["out of bag"] + 0.01
    assert images["out of bag"] > images["other images"]


def test_it_is_as_quick_as_the_page_says() -> None:
    seconds = {row["what"]: row["seconds"] for row in FOUND["speed"]}
    assert seconds["features of 640 x 480 pixels"] < 0.25
    assert seconds["scribbles: learnt and shown again"] < 0.3


def test_the_picture_shows_something() -> None:
    with Image.open(REPOSITORY / "docs" / "images" / "forests.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 20
    assert "](images/forests.png)" in PAGE
