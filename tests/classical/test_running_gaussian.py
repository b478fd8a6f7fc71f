import numpy as np
import pytest

from intarsia.classical.running_gaussian import running_gaussian, running_gaussian_background
from intarsia.core import SettingsError


def moving_square(count: int = 12, noise: float = 3) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, 40, 60, 3) with a square of 8 that moves by 4, and where it is."""
    inside = np.zeros((count, 40, 60), bool)
    for step in range(count):
        inside[step, 16:24, 2 + 4 * step : 10 + 4 * step] = True
    frames = np.where(inside[..., None], [200, 60, 90], [90, 120, 100]) + np.random.default_rng(0).normal(
        0, noise, (*inside.shape, 3)
    )
    return frames.clip(0, 255).astype(np.uint8), inside


def test_mean_and_variance_by_hand() -> None:
    pixels, mean, variance = np.array([[[0.6], [0.9]]]), np.array([[[0.5], [0.5]]]), np.full((1, 2, 1), 0.01)
    moving, mean, variance = running_gaussian_background(pixels, mean, variance, 0.1, 3.0)
    assert moving.tolist() == [[False, True]], "0.1 is one deviation, 0.4 is four"
    assert mean.ravel() == pytest.approx([0.51, 0.5])
    assert variance.ravel() == pytest.approx([0.01, 0.01])


def test_a_step_is_followed_exponentially() -> None:
    mean, variance = np.zeros((1, 1, 1)), np.ones((1, 1, 1))
    for _ in range(20):
        _, mean, variance = running_gaussian_background(np.ones((1, 1, 1)), mean, variance, 0.1, 4.0)
    assert mean.item() == pytest.approx(1 - 0.9**20)


def test_noise_is_foreground_as_often_as_a_gaussian_says() -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.03, (60, 60, 60, 1)).astype(np.float32)
    masks = running_gaussian(noise, threshold=2.0, learning=0.0, deviation=0.03, start=60, min_size=1)
    assert masks.mean() == pytest.approx(0.0455, abs=0.004), "P(|z| > 2), and a little for the error of the median"


def test_a_square_that_moves() -> None:
    frames, inside = moving_square()
    masks = running_gaussian(frames)
    assert (masks & inside).sum() / (masks | inside).sum() > 0.95
    ghost = running_gaussian(frames, start=1)
    assert ghost[6, 16:24, 2:10].mean() > 0.9, "the first frame alone leaves a ghost where the square was"


def test_a_still_scene_and_a_single_frame() -> None:
    assert not running_gaussian(np.full((5, 9, 7, 3), 40, np.uint8)).any()
    assert not running_gaussian(np.full((1, 9, 1, 1), 40, np.uint8)).any()


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(SettingsError, match=r"learning is 2\.0, start 25"):
        running_gaussian(np.zeros((2, 4, 4, 1), np.uint8), learning=2.0)
