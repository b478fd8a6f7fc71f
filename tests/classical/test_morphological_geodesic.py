from typing import Literal

import numpy as np
import pytest
from skimage.segmentation import morphological_geodesic_active_contour as peer

from intarsia.classical._curve_start import edge_indicator
from intarsia.classical.morphological_geodesic import morphological_geodesic
from intarsia.core import Hints


def disc_image(side: int = 60, radius: float = 15.0) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:side, :side]
    disc = (y - side // 2) ** 2 + (x - side // 2) ** 2 < radius**2
    return disc, np.where(disc, 200, 60).astype(np.uint8)[..., None]


def scribble(size_hw: tuple[int, int], y: int, x: int) -> Hints:
    marks = np.full(size_hw, -1, np.int32)
    marks[y - 3 : y + 4, x - 3 : x + 4] = 1
    return Hints(scribbles=marks)


def test_the_edge_indicator_by_hand() -> None:
    ramp = np.tile(np.arange(0, 90, 3, dtype=np.uint8), (9, 1))[..., None]  # 3 grey levels per pixel
    g = edge_indicator(ramp, 1.0, 3.0)
    assert np.allclose(g[:, 8:-8], 0.5, atol=1e-4)
    assert (edge_indicator(ramp * 0, 1.0, 3.0) == 1).all()


@pytest.mark.parametrize("hints", [None, scribble((60, 60), 30, 30), Hints(boxes_xyxy=np.array([[8, 9, 52, 50]]))])
def test_a_disc_from_outside_and_from_inside(hints: Hints | None) -> None:
    disc, image = disc_image()
    found = morphological_geodesic(image, hints)
    assert (found & disc).sum() / (found | disc).sum() > 0.93


@pytest.mark.parametrize(("balloon", "force"), [("shrink", -1), ("grow", 1), ("none", 0)])
def test_equal_to_scikit_image(balloon: Literal["shrink", "grow", "none"], force: int) -> None:
    _, image = disc_image()
    image = (image + np.random.default_rng(0).normal(0, 5, image.shape)).astype(np.uint8)
    start = np.zeros(image.shape[:2], np.int8)
    start[12:50, 9:46] = 1
    ours = morphological_geodesic(
        image, Hints(boxes_xyxy=np.array([[9, 12, 46, 50]])), iterations=7, smoothing=2, balloon=balloon, threshold=0.4
    )
    g = edge_indicator(image, 2.0, 3.0)
    theirs = peer(g, 7, init_level_set=start, smoothing=2, balloon=force, threshold=0.4)
    assert (ours == (theirs > 0))[3:-3, 3:-3].all()


def test_a_flat_image_holds_nothing() -> None:
    flat = np.full((20, 33, 3), 50, np.uint8)
    assert not morphological_geodesic(flat).any()
    assert morphological_geodesic(flat, scribble((20, 33), 9, 9)).all()


@pytest.mark.parametrize("shape", [(1, 30, 3), (30, 1, 1), (1, 1, 1)])
def test_one_pixel_wide(shape: tuple[int, ...]) -> None:
    assert morphological_geodesic(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).shape == shape[:2]
