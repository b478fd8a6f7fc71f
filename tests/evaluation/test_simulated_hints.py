import numpy as np
import pytest

import intarsia
from intarsia.classical import create_method
from intarsia.core import ClassSpace, Instances, LabelMap, Sample, SettingsError
from intarsia.data.formats import write_image
from intarsia.evaluation import Guided, simulate_hints

TWO = ClassSpace.from_names(["glass", "cell"])


def cells() -> LabelMap:
    """Two discs and a corner without truth, (60, 90)."""
    y, x = np.mgrid[:60, :90]
    ids = (np.minimum(np.hypot(y - 30, x - 22), np.hypot(y - 28, x - 66)) < 14).astype(np.uint8)
    ids[:4, :4] = 255
    return LabelMap(ids, TWO)


def picture(truth: LabelMap) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 5, (60, 90, 3))
    return (np.where(truth.ids[..., None] == 1, [190, 90, 160], [80, 110, 90]) + noise).clip(0, 255).astype(np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_boxes_are_those_of_the_parts_and_of_objects() -> None:
    ids = np.zeros((10, 12), np.uint8)
    ids[1:4, 2:6] = ids[6:9, 8:11] = 1
    expected = [[2, 1, 6, 4], [8, 6, 11, 9]]
    hints = simulate_hints(LabelMap(ids, TWO), "box", 1, rng())
    assert hints is not None
    assert hints.boxes_xyxy.tolist() == expected
    ids[6:9, 8:11] = 2
    objects = Instances.from_ids(ids, ClassSpace.from_names(["cell"], things=["cell"]), 0)
    of_objects = simulate_hints(objects, "box", 1, rng())
    assert of_objects is not None
    assert of_objects.boxes_xyxy.tolist() == expected


def test_clicks_lie_well_inside_each_class_and_are_the_same_again() -> None:
    truth = cells()
    hints, again = (simulate_hints(truth, "clicks", 5, rng()) for _ in range(2))
    assert hints is not None
    assert again is not None
    assert np.array_equal(hints.points_yx, again.points_yx)
    assert hints.point_class.tolist() == [0] * 5 + [1] * 5
    assert truth.ids[tuple(hints.points_yx.T)].tolist() == hints.point_class.tolist()
    nearest = [min(np.hypot(y - 30, x - 22), np.hypot(y - 28, x - 66)) for y, x in hints.points_yx[5:]]
    assert max(nearest) < 8, "at most half the radius from a centre"


def test_contours_go_around_each_part() -> None:
    hints = simulate_hints(cells(), "contour", 8, rng())
    assert hints is not None
    assert hints.point_class.tolist() == [1] * 8 + [2] * 8
    points = hints.points_yx[:8] - (28, 66)
    assert np.hypot(*points.T) == pytest.approx(13.5, abs=1)
    turns = np.diff(np.unwrap(np.arctan2(*points.T)))
    assert (turns > 0).all() or (turns < 0).all(), "in order"


def test_nothing_to_point_at_is_no_hint() -> None:
    empty = LabelMap(np.zeros((5, 6), np.uint8), TWO)
    assert simulate_hints(empty, "box", 1, rng()) is None
    assert simulate_hints(empty, "contour", 8, rng()) is None
    found = Guided(create_method("grabcut"), "box").predict_sample(Sample(np.zeros((5, 6, 3), np.uint8), (empty,), "x"))
    assert not found.ids.any()


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        ("grabcut", "box"),
        ("random_walker", "clicks=5"),
        ("scribble_graph_cut", "clicks=5"),
        ("intelligent_scissors", "contour=8"),
    ],
)
def test_evaluate_simulates_what_suits_the_method_and_says_so(name, hints, tmp_path) -> None:
    truth = cells()
    for number in range(2):
        write_image(tmp_path / "images" / f"{number}.png", picture(truth))
        truth.save(tmp_path / "masks" / f"{number}.png")
    evaluation = intarsia.evaluate(tmp_path, model=name, split="val", out=tmp_path / "out")
    assert evaluation.predictor == f"{name} (simulated {hints})"
    assert evaluation.notes[0].startswith("Hints were simulated from the truth: ")
    assert evaluation.scores.miou > 0.85
    assert (tmp_path / "out" / "report.html").is_file()


def test_what_cannot_be_is_said(tmp_path) -> None:
    three = LabelMap(np.zeros((4, 4), np.uint8), ClassSpace.from_names(["a", "b", "c"]))
    with pytest.raises(SettingsError, match=r"the truth has 3 classes: a, b, c\. Take clicks"):
        simulate_hints(three, "box", 1, rng())
    for hints in ("boxes", "clicks", "clicks=0", "box=3", ""):
        with pytest.raises(SettingsError, match=f"Simulated hints are '{hints}'; box, clicks=5 or contour=8"):
            Guided(create_method("grabcut"), hints)
    with pytest.raises(SettingsError, match="slic takes no hints, and 'box' was to be simulated"):
        intarsia.evaluate(tmp_path, model="slic", hints="box")
