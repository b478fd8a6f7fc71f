import numpy as np
import pytest
from skimage.segmentation import morphological_chan_vese as peer

from intarsia.classical._morphology import smooth_curve
from intarsia.classical.morphological_chan_vese import morphological_chan_vese
from intarsia.core import Hints, SettingsError


def noisy_disc(sigma: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:100, :100]
    disc = (y - 50) ** 2 + (x - 50) ** 2 < 25**2
    return disc, (disc + np.random.default_rng(0).normal(0, sigma, disc.shape)).astype(np.float32)[..., None]


def test_a_curvature_step_by_hand() -> None:
    corner = np.zeros((5, 5), bool)
    corner[1:4, 1:4] = True
    rounded = corner.copy()
    rounded[[1, 1, 3, 3], [1, 3, 1, 3]] = False  # no line of three through a corner stays inside
    assert np.array_equal(smooth_curve(corner, True), rounded)
    assert np.array_equal(smooth_curve(~corner, False), ~rounded), "inside and outside are alike"
    half = np.arange(5)[:, None] < np.full(5, 2)
    assert np.array_equal(smooth_curve(half, True), half), "a straight border stays, at the image's border too"


def test_a_disc_in_noise() -> None:
    disc, image = noisy_disc()
    found = morphological_chan_vese(image, smoothing=2)
    assert (found & disc).sum() / (found | disc).sum() >= 0.98


def test_equal_to_scikit_image_away_from_the_border() -> None:
    disc, image = noisy_disc(0.2)
    box = Hints(boxes_xyxy=np.array([[20, 30, 70, 80]]))
    start = np.zeros(disc.shape, np.int8)
    start[30:80, 20:70] = 1
    for iterations in (2, 10):
        ours = morphological_chan_vese(image, box, iterations=iterations, smoothing=2)
        theirs = peer(image[..., 0].astype(float), iterations, init_level_set=start, smoothing=2)
        core = np.s_[4:-4, 4:-4]  # scikit-image takes what is outside the image for background
        assert np.array_equal(ours[core], theirs[core] > 0)


def test_negative_and_colour() -> None:
    disc, image = noisy_disc(0.05)
    byte = (image.clip(0, 1) * 255).astype(np.uint8)
    assert np.array_equal(morphological_chan_vese(byte), morphological_chan_vese(255 - byte))
    red_on_green = np.concatenate([byte, 255 - byte, byte * 0 + 9], 2)
    assert (morphological_chan_vese(red_on_green) == disc).mean() > 0.99


@pytest.mark.parametrize("shape", [(1, 30, 3), (30, 1, 1), (1, 1, 1)])
def test_one_pixel_wide(shape: tuple[int, ...]) -> None:
    assert morphological_chan_vese(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).shape == shape[:2]


def test_hints_that_say_nothing() -> None:
    with pytest.raises(SettingsError, match="mark no pixel of the 8x9 image"):
        morphological_chan_vese(np.zeros((8, 9, 1), np.uint8), Hints(boxes_xyxy=np.array([[20, 20, 30, 30]])))
