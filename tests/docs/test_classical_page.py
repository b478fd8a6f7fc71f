"""The page of classical methods: all have a picture that shows something, and all that give regions a row in the table."""

import json
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.classical import CLASSICAL, describe_method

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "classical.md").read_text(encoding="utf-8")
PICTURES = REPOSITORY / "docs" / "images" / "classical"
SCORES = json.loads((REPOSITORY / "benchmarks" / "results" / "classical_bsds.json").read_text(encoding="utf-8"))
DRAWN = [name for name in CLASSICAL.names if describe_method(name)["result"] != "learned"]
"""What learns is drawn on a page of its own."""
REGIONS = [
    about["name"]
    for about in map(describe_method, CLASSICAL.names)
    if about["result"] == "regions" and not about["sequence"] and not about["hints"]
]


def result_of(path: Path) -> np.ndarray:
    """The lower half of a picture, where results are, in grey."""
    with Image.open(path) as image:
        picture = np.asarray(image.convert("L"), np.float32)
    return picture[len(picture) // 2 + 8 :]


@pytest.mark.parametrize("name", DRAWN)
def test_every_method_has_a_picture_on_the_page_that_is_not_blank(name: str) -> None:
    path = PICTURES / f"{name}.jpg"
    assert f"](images/classical/{name}.jpg)" in PAGE
    assert path.stat().st_size < 150_000
    result = result_of(path)
    assert 600 <= result.shape[1] <= 900
    scenes = np.array_split(result, 3, axis=1)
    assert min(float(scene.std()) for scene in scenes) > 5


def test_no_two_results_are_alike() -> None:
    results = [result_of(PICTURES / f"{name}.jpg") for name in DRAWN]
    assert len({sha256(result.tobytes()).digest() for result in results}) == len(results)
    apart = [np.abs(a - b).mean() for i, a in enumerate(results) for b in results[:i] if a.shape == b.shape]
    assert min(apart) > 0.5


def test_there_is_no_picture_of_what_is_gone() -> None:
    assert {path.stem for path in PICTURES.iterdir()} == set(DRAWN)


@pytest.mark.parametrize("name", REGIONS)
def test_every_method_of_regions_has_a_row_with_the_figures_of_the_results(name: str) -> None:
    _, _, measured = PAGE.partition("benchmarks/classical.py: begin")
    (cells,) = re.findall(rf"^\| `{name}` \| (.*) \|$", measured.partition("end of benchmarks/classical.py")[0], re.MULTILINE)
    row = SCORES[name]
    figures = [row[key] for key in ("covering", "variation_of_information", "boundary_recall")]
    assert cells.split(" | ")[1:4] == [f"{figure:.3f}" for figure in figures]
    assert row["options"] == describe_method(name)["options"], "its defaults changed: run benchmarks/classical.py again"
    assert row["images"] == 20
