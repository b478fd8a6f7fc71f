"""The page of body parts: its example runs, and its figures are those of the results."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.classical.depth_forest import DepthForest
from intarsia.data.datasets.bodies import Bodies
from intarsia.inference import write_method

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "kinect.md").read_text(encoding="utf-8")
RESULTS = json.loads((REPOSITORY / "benchmarks" / "results" / "kinect.json").read_text(encoding="utf-8"))


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Bodies(train=6)
    forest = DepthForest.fit(map(data.read, data.splits["train"]), data.classes, depth=6, candidates=20)
    write_method(tmp_path / "runs" / "bodies" / "best.safetensors", forest)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(block, names)
    assert len(names["proposals"]) == 16
    assert names["hand"].places_m.shape[1:] == (3,)


def test_the_results_are_what_they_should_be_and_stand_on_the_page() -> None:
    accuracy = {images: RESULTS[f"images/{images}"]["mean_accuracy"] for images in (50, 500)}
    assert accuracy[500] >= accuracy[50] + 0.05
    true, inferred, speed = RESULTS["joints/true parts"], RESULTS["joints/inferred parts"], RESULTS["speed"]
    assert true["precision"] >= 0.9
    assert inferred["precision"] >= 0.6
    assert speed["foreground"] >= 0.3
    assert speed["path"] >= 14
    assert speed["frames_per_second_of_two_free_cores"] >= 60
    rendered = RESULTS["rendering"]["images_per_second_of_one_core"]
    assert rendered >= 30
    for figure in (
        *(f"{value:.1%}" for value in accuracy.values()),
        f"{true['precision']:.2f} |",
        f"{inferred['precision']:.2f} |",
        f"One core renders {rendered:.0f} people",
    ):
        assert figure in PAGE


@pytest.mark.parametrize("name", ["parts.jpg", "curves.png"])
def test_the_pictures_show_something(name: str) -> None:
    assert f"](images/kinect/{name})" in PAGE
    path = REPOSITORY / "docs" / "images" / "kinect" / name
    assert path.stat().st_size < 250_000
    with Image.open(path) as image:
        assert np.asarray(image.convert("L"), np.float32).std() > 20
