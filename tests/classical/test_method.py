"""What every classical method must do, without a line for it, and how a method is a predictor."""

import inspect
import re
import subprocess
import sys

import numpy as np
import pytest

from intarsia.classical import CLASSICAL, create_method, describe_method
from intarsia.core import Hints, Instances, LabelMap, Predictor, SettingsError, UnknownNameError

LEARNED = [name for name in CLASSICAL.names if describe_method(name)["result"] == "learned"]
METHODS = [name for name in CLASSICAL.names if name not in LEARNED]


def picture(height: int = 40, width: int = 56, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A bright disc on a dark ground with a little noise."""
    y, x = np.mgrid[:height, :width]
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 3.5) ** 2
    colors = np.array([[40, 60, 90, 50, 70], [210, 180, 60, 190, 220]])[:, :channels]
    noisy = colors[disc.astype(int)] + np.random.default_rng(seed).normal(0, 4, (height, width, channels))
    return noisy.clip(0, 255).astype(np.uint8)


def hints_for(image: np.ndarray) -> Hints:
    height, width = image.shape[:2]
    scribbles = np.full((height, width), -1, np.int32)
    scribbles[height // 2 - 1 : height // 2 + 1, width // 2 - 3 : width // 2 + 3] = 1
    scribbles[:2] = scribbles[-2:] = 0
    box = np.array([[width // 2 - height // 3, height // 8, width // 2 + height // 3, height - height // 8]])
    ring = [
        (height // 2 + round(height / 3.5 * s), width // 2 + round(height / 3.5 * c))
        for s, c in ((1, 0), (0, 1), (-1, 0), (0, -1))
    ]
    return Hints(boxes_xyxy=box, points_yx=np.array(ring), point_class=np.ones(4, np.int32), scribbles=scribbles)


def segment(name: str, image: np.ndarray) -> list:
    """One segmentation per frame, of the image with what else the method asks for."""
    method = create_method(name)
    if method.about["sequence"]:
        return method.segment_sequence([np.roll(image, 2 * step, 1) for step in range(4)])
    return [method.predict(image, hints_for(image) if method.about["hints"] else None)]


@pytest.mark.parametrize("name", CLASSICAL.names)
def test_the_file_says_what_it_is(name: str) -> None:
    about, text = describe_method(name), inspect.getdoc(CLASSICAL.module(name)) or ""
    assert about["summary"].endswith(".")
    assert re.search(r"\b(19|20)\d\d\b", about["citation"]), "the second paragraph is the citation, with its year"
    for part in ("Idea:", "Source:", "Limits:"):
        assert part in text
    assert about["result"] in ("regions", "foreground", "objects", "hinted", "learned")
    assert set(about["hints"]) | set(about["optional_hints"]) <= {"box", "points", "scribbles"}
    assert inspect.getdoc(CLASSICAL.load(name))
    assert all(default is not inspect.Parameter.empty for default in about["options"].values())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_a_segmentation_of_the_images_size_twice_the_same(name: str, channels: int) -> None:
    image = picture(channels=channels)
    once, again = segment(name, image), segment(name, image)
    assert isinstance(create_method(name), Predictor)
    for one, other in zip(once, again, strict=True):
        assert one.size_hw == image.shape[:2]
        assert isinstance(one, LabelMap | Instances)
        assert one.areas() == other.areas()


@pytest.mark.parametrize("name", METHODS)
def test_other_dtypes_and_a_constant_image(name: str) -> None:
    image = picture(24, 31)
    for other in (image.astype(np.uint16) * 257, image.astype(np.float32) / 255, np.full((24, 31, 3), 77, np.uint8)):
        assert all(one.size_hw == (24, 31) for one in segment(name, other))


@pytest.mark.parametrize("name", [name for name in METHODS if describe_method(name)["optional_hints"]])
def test_hints_that_a_method_can_do_without(name: str) -> None:
    image = picture(24, 31)
    hints, method = hints_for(image), create_method(name)
    given = {"box": hints.boxes_xyxy, "scribbles": hints.scribbles}
    for kind in set(given) & set(method.about["optional_hints"]):
        hint = Hints(boxes_xyxy=given[kind]) if kind == "box" else Hints(scribbles=given[kind])
        by_hand = CLASSICAL.load(name)(image, hint)
        result = method.predict(image, hint)
        assert isinstance(result, LabelMap)
        assert np.array_equal(result.ids.astype(bool), by_hand)


@pytest.mark.parametrize("name", LEARNED)
def test_a_method_that_learns_knows_nothing_before(name: str) -> None:
    assert "rng" in describe_method(name)["options"]
    assert all(hasattr(CLASSICAL.load(name), part) for part in ("fit", "predict", "to_arrays", "from_arrays"))
    with pytest.raises(SettingsError, match=rf"{name} knows nothing until it is fitted.*intarsia train DATA --model {name}"):
        create_method(name)


def test_options_are_checked() -> None:
    with pytest.raises(SettingsError, match=r"slic has no option 'segmants'\. Did you mean 'segments'\?.*segments=250"):
        create_method("slic", segmants=3)
    with pytest.raises(SettingsError, match=r"slic's option segments is of type int, as 250; 'many' was given"):
        create_method("slic", segments="many")
    with pytest.raises(UnknownNameError, match=r"no classical method called 'slick'\. Did you mean 'slic'"):
        create_method("slick")


def test_methods_do_without_torch() -> None:
    code = (
        "import sys, numpy as np\nfrom intarsia.classical import CLASSICAL, create_method, describe_method\n"
        "[describe_method(name) for name in CLASSICAL.names]\n"
        "create_method('slic').predict(np.zeros((20, 20, 3), np.uint8))\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
