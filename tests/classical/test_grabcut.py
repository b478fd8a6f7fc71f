from itertools import pairwise

import numpy as np
import pytest
from skimage.data import coins

from intarsia.classical._two_sides import neighbour_weights
from intarsia.classical.grabcut import LEAST_VARIANCE, _component_costs, _fit, grabcut, grabcut_trace
from intarsia.core import Hints, SettingsError


def box(*corners: int) -> Hints:
    return Hints(boxes_xyxy=np.array([corners]))


def noisy_disc(noise: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:50, :60]
    disc = (y - 25) ** 2 + (x - 30) ** 2 < 15**2
    image = np.where(disc[..., None], [190, 150, 60], [90, 110, 120]) + np.random.default_rng(0).normal(0, noise, (50, 60, 3))
    return image.clip(0, 255).astype(np.uint8), disc


def test_costs_are_those_of_the_mixture() -> None:
    from scipy.stats import multivariate_normal

    colors = np.random.default_rng(0).normal(100, 20, (200, 3))
    belongs = np.arange(200) % 3
    costs = _component_costs(colors, _fit(colors, belongs))
    for number in range(3):
        own = colors[belongs == number]
        density = multivariate_normal(own.mean(0), np.cov(own.T, bias=True)).logpdf(colors)
        assert costs[number] == pytest.approx(-density - np.log(len(own) / 200))


def test_a_flat_component_keeps_the_least_variance() -> None:
    costs = _component_costs(np.full((4, 3), 7.0), _fit(np.full((4, 3), 7.0), np.zeros(4, int)))
    assert costs == pytest.approx(1.5 * np.log(2 * np.pi * LEAST_VARIANCE))


def test_neighbours_by_hand() -> None:
    edges, weights = neighbour_weights(np.array([[0.0], [0], [0], [6]]), (2, 2))
    assert edges.tolist() == [[0, 1], [2, 3], [0, 2], [1, 3], [0, 3], [1, 2]]
    across = np.exp(-36 / (2 * 18))
    assert weights == pytest.approx([1, across, 1, across, across / np.sqrt(2), 1 / np.sqrt(2)])


def test_two_flat_colours_give_the_exact_mask() -> None:
    image, disc = noisy_disc(0)
    assert np.array_equal(grabcut(image, box(10, 5, 50, 45)), disc)
    assert np.array_equal(grabcut(image[..., :1], box(10, 5, 50, 45)), disc)


@pytest.mark.parametrize("rng", [0, 1])
def test_energy_never_rises(rng: int) -> None:
    coin = coins()[:130, :150, None]
    energies = grabcut_trace(coin, box(20, 18, 130, 120), iterations=8, rng=rng).energies
    assert len(energies) >= 3
    assert all(later <= earlier + 1e-9 * abs(earlier) for earlier, later in pairwise(energies))


def test_agrees_with_opencv() -> None:
    import cv2

    image, disc = noisy_disc(14)
    ours = grabcut(image, box(10, 5, 50, 45))
    mask, models = np.zeros(disc.shape, np.uint8), (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.grabCut(image, mask, (10, 5, 40, 40), *models, 5, cv2.GC_INIT_WITH_RECT)
    assert (ours == (mask % 2 == 1)).mean() > 0.99
    assert (ours & disc).sum() / (ours | disc).sum() > 0.97


def test_scribbles_hold_and_stand_for_a_box() -> None:
    image, disc = noisy_disc(10)
    scribbles = np.full(disc.shape, -1)
    scribbles[25, 25:35], scribbles[2, 5:55] = 1, 0
    assert (grabcut(image, Hints(scribbles=scribbles)) == disc).mean() > 0.98
    scribbles[24:27, 29:32] = 0
    held = grabcut(image, Hints(boxes_xyxy=np.array([[10, 5, 50, 45]]), scribbles=scribbles))
    assert not held[24:27, 29:32].any()
    assert not held[:, :10].any()


def test_degenerate_inputs() -> None:
    flat = np.full((12, 14, 3), 80, np.uint8)
    assert grabcut(flat, box(3, 3, 9, 9)).shape == (12, 14)
    assert grabcut_trace(flat, box(0, 0, 14, 12)).foreground.all(), "nothing is known of the background"
    line = np.array([5, 5, 200, 200, 5, 5], np.uint8)[None, :, None]
    assert grabcut(line, box(1, 0, 5, 1), gamma=1.0)[0].tolist() == [False, False, True, True, False, False]


def test_what_cannot_be_is_said() -> None:
    image = np.zeros((6, 8, 1), np.uint8)
    with pytest.raises(SettingsError, match=r"box \[20, 1, 25, 5\] \(x0, y0, x1, y1\) lies outside the image of 6 x 8"):
        grabcut(image, box(20, 1, 25, 5))
    with pytest.raises(SettingsError, match="hold no background"):
        grabcut(image, Hints(points_yx=np.array([[1, 1]]), point_class=np.array([1])))
    with pytest.raises(SettingsError, match="components 0"):
        grabcut(image, box(1, 1, 3, 3), components=0)
