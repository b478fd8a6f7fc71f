import numpy as np
import pytest

from intarsia.classical.background_mixture import background_mixture, background_mixture_states
from intarsia.core import SettingsError


def flat(values: list[float]) -> np.ndarray:
    """(T, 1, 1, 1) float32, one pixel over time."""
    return np.array(values, np.float32)[:, None, None, None]


@pytest.mark.parametrize("seen", [1, 5, 12])
def test_the_weight_of_a_new_colour_after_n_frames(seen: int) -> None:
    states = background_mixture_states(flat([0.2] * 40 + [0.8] * seen), learning=0.05)
    new = states.mean[0, 0, :, 0] > 0.5
    assert states.weight[0, 0, new] == pytest.approx([1 - 0.95**seen])
    assert states.weight.sum() == pytest.approx(1)
    assert states.mean[0, 0, new, 0] == pytest.approx([0.8])


def test_a_colour_is_background_once_the_others_are_not_enough() -> None:
    moving = background_mixture_states(flat([0.2] * 40 + [0.8] * 12), learning=0.05, background=0.7).foreground.ravel()
    first = next(n for n in range(1, 50) if 0.95 ** (n - 1) * 0.95 <= 0.7 or 1 - 0.95**n > 0.5)
    assert not moving[:40].any()
    assert moving[40 : 40 + first - 1].all()
    assert not moving[40 + first :].any()


def test_two_colours_that_take_turns_are_both_background() -> None:
    states = background_mixture_states(flat([0.2, 0.8] * 30), background=0.9)
    assert not states.foreground[4:].any()
    assert sorted(states.weight[0, 0])[1:] == pytest.approx([0.5, 0.5], abs=0.02)
    assert background_mixture_states(flat([0.2, 0.8] * 30 + [0.5]), background=0.9).foreground[-1].all()


def test_mean_and_variance_are_those_of_the_frames_seen_at_first() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.02, 50).clip(0, 1)
    states = background_mixture_states(flat(values.tolist()), components=1, learning=1e-6, threshold=10.0)
    assert states.mean.item() == pytest.approx(values.mean(), abs=1e-6)


def test_noise_is_foreground_as_rarely_as_a_gaussian_says() -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.03, (150, 60, 60, 1)).astype(np.float32)
    moving = background_mixture_states(noise, threshold=4.0, learning=0.01, deviation=0.03).foreground[80:]
    assert 2e-5 < moving.mean() < 2.5e-4, "P(|z| > 4) is 6e-5; the variance itself is known to about 10 percent"


def test_a_square_that_moves() -> None:
    inside = np.zeros((30, 40, 60), bool)
    for step in range(30):
        inside[step, 16:24, (4 * step) % 52 : (4 * step) % 52 + 8] = True
    frames = np.where(inside[..., None], [200, 60, 90], [90, 120, 100]) + np.random.default_rng(0).normal(0, 2, (30, 40, 60, 3))
    masks = background_mixture(frames.clip(0, 255).astype(np.uint8))[10:]
    assert (masks & inside[10:]).sum() / (masks | inside[10:]).sum() > 0.9


def test_a_still_scene_and_a_single_frame() -> None:
    assert not background_mixture(np.full((5, 9, 7, 3), 40, np.uint8)).any()
    assert not background_mixture(np.full((1, 9, 1, 1), 40, np.uint8)).any()


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(SettingsError, match=r"components is 0, learning 0\.02"):
        background_mixture(np.zeros((2, 4, 4, 1), np.uint8), components=0)
