from itertools import product

import numpy as np
import pytest

from intarsia.classical.scribble_graph_cut import _color_costs, scribble_cut, scribble_graph_cut
from intarsia.core import Hints, SettingsError


def test_histograms_by_hand() -> None:
    colors = np.array([[0, 0, 0], [255, 255, 255], [0, 0, 0]], np.uint8)
    costs = _color_costs(colors, np.array([0, 1, -1]), np.array([0, 1]), 1)
    assert costs == pytest.approx(0), "with a single bin every colour is certain"
    far = _color_costs(colors, np.array([0, 1, -1]), np.array([0, 1]), 16)
    assert far[0, 0] == far[2, 0] < far[2, 1]
    share = np.exp(-far[0, 1])
    assert share == pytest.approx(1 / 16**3 / 1.5, rel=0.35), "a colour never seen has the share of its bin of one pixel"


@pytest.mark.parametrize("seed", range(3))
def test_no_labelling_is_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (3, 4, 3), np.uint8)
    scribbles = np.full((3, 4), -1)
    scribbles[0, 0], scribbles[2, 3] = 2, 6
    cut = scribble_cut(image, Hints(scribbles=scribbles), smoothness=1.5)
    free = np.flatnonzero(scribbles.ravel() < 0)
    labels = np.zeros(12, int)
    labels[11] = 1
    costs = []
    for choice in product((0, 1), repeat=len(free)):
        labels[free] = choice
        costs.append(cut.problem.cost(labels))
    assert cut.energy == pytest.approx(min(costs))
    assert cut.ids[0, 0] == 2
    assert cut.ids[2, 3] == 6


def test_pairs_by_hand() -> None:
    image = np.array([[0, 0], [0, 90]], np.uint8)[..., None]
    problem = scribble_cut(image, Hints(scribbles=np.array([[0, -1], [-1, 1]])), smoothness=2.0).problem
    mean = 3 * (3 * 90**2) / 6  # 3 of 6 pairs reach the bright pixel, in each of 3 channels
    bright = 2 * np.exp(-3 * 90**2 / (2 * mean))
    assert sorted(problem.weights) == pytest.approx(sorted([2, 2, 2 / np.sqrt(2), bright, bright, bright / np.sqrt(2)]))


def test_flat_colours_are_cut_exactly_and_scribbles_are_kept() -> None:
    y, x = np.mgrid[:40, :50]
    disc = (y - 20) ** 2 + (x - 24) ** 2 < 144
    image = np.where(disc[..., None], [200, 30, 30], [30, 60, 160]).astype(np.uint8)
    scribbles = np.full((40, 50), -1)
    scribbles[20, 20:28], scribbles[2, 2:40] = 1, 0
    assert np.array_equal(scribble_graph_cut(image, Hints(scribbles=scribbles)), disc.astype(int))
    wrong = scribbles.copy()
    wrong[20, 24] = 0
    assert scribble_graph_cut(image, Hints(scribbles=wrong))[20, 24] == 0


def test_three_classes_and_one() -> None:
    image = np.repeat(np.array([[20, 120, 220]], np.uint8), 10, 1).repeat(20, 0)[..., None]
    points = np.array([[10, 4], [10, 14], [10, 24]])
    ids = scribble_graph_cut(image, Hints(points_yx=points, point_class=np.array([5, 0, 3])), smoothness=2.0)
    assert np.array_equal(ids, np.repeat([[5, 0, 3]], 10, 1).repeat(20, 0))
    assert (scribble_graph_cut(image, Hints(points_yx=points[:1], point_class=np.array([4]))) == 4).all()


def test_one_pixel_wide() -> None:
    column = np.array([10, 12, 11, 200, 210], np.uint8)[:, None, None]
    hints = Hints(points_yx=np.array([[0, 0], [4, 0]]), point_class=np.array([0, 1]))
    assert scribble_graph_cut(column, hints).ravel().tolist() == [0, 0, 0, 1, 1]


def test_what_cannot_be_is_said() -> None:
    image, hints = np.zeros((4, 5, 1), np.uint8), Hints(scribbles=np.full((4, 5), -1))
    with pytest.raises(SettingsError, match=r"smoothness is -2\.0 and bins 16"):
        scribble_graph_cut(image, hints, smoothness=-2.0)
    with pytest.raises(SettingsError, match="no point and no scribbled pixel"):
        scribble_graph_cut(image, hints)
    with pytest.raises(SettingsError, match=r"scribbles are \(4, 5\) and the image \(3, 5\)"):
        scribble_graph_cut(image[:3], hints)
