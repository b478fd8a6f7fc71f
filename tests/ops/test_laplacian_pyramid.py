import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from intarsia.ops.laplacian_pyramid import blur_binomial, laplacian_pyramid


def test_blur_by_hand_and_by_scipy() -> None:
    spot = torch.zeros(1, 1, 7, 7)
    spot[..., 3, 3] = 256
    kernel = torch.tensor([1.0, 4, 6, 4, 1])
    assert torch.equal(blur_binomial(spot)[0, 0, 1:6, 1:6], torch.outer(kernel, kernel))
    x = np.random.default_rng(0).standard_normal((6, 9))
    expected = correlate1d(correlate1d(x, kernel.numpy() / 16, axis=0, mode="mirror"), kernel.numpy() / 16, axis=1, mode="mirror")
    np.testing.assert_allclose(blur_binomial(torch.from_numpy(x)[None, None])[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("size", [(16, 20), (15, 21), (5, 1), (1, 1)])
def test_bands_sum_up_to_the_image(size: tuple[int, int]) -> None:
    """Summed again by a loop over pixels: those that are there in the next level, and weighted means of their neighbours."""
    torch.manual_seed(0)
    image = torch.randn(1, 2, *size, dtype=torch.float64)
    bands = laplacian_pyramid(image, 3)
    total = bands[-1]
    for band in (bands[1], bands[0]):
        spread = torch.zeros_like(band)
        spread[..., ::2, ::2] = total
        for axis in (-2, -1):
            n = band.shape[axis]
            if n == 1:
                continue
            moved = spread.movedim(axis, 0).clone()
            filled = moved.clone()
            for i in range(n):
                mirrored = [min(abs(i + step), 2 * (n - 1) - abs(i + step)) if n > 1 else 0 for step in (-2, -1, 0, 1, 2)]
                mirrored = [abs(place) for place in mirrored]
                filled[i] = sum(weight * moved[place] for weight, place in zip((1, 4, 6, 4, 1), mirrored, strict=True)) / 8
            spread = filled.movedim(0, axis)
        total = band + spread
    torch.testing.assert_close(total, image)
    assert [tuple(band.shape[-2:]) for band in bands] == [tuple(-(-side // 2**level) for side in size) for level in range(3)]


def test_a_constant_is_in_the_last_level_alone() -> None:
    fine, middle, coarse = laplacian_pyramid(torch.full((1, 1, 13, 10), 3.0), 3)
    assert fine.abs().max() < 1e-6
    assert middle.abs().max() < 1e-6
    torch.testing.assert_close(coarse, torch.full((1, 1, 4, 3), 3.0))


def test_bands_are_bands() -> None:
    """A slow wave is in a coarse level, a fast one in the finest."""
    place = torch.arange(64.0)
    power = []
    for period in (3.0, 24.0):
        wave = torch.sin(2 * torch.pi * place / period).expand(1, 1, 64, 64)
        power.append([band.square().mean().item() for band in laplacian_pyramid(wave, 3)])
    assert power[0][0] > 10 * max(power[0][1:])
    assert power[1][2] > 5 * max(power[1][:2])


def test_gradient() -> None:
    x = torch.randn(1, 1, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: tuple(laplacian_pyramid(x, 2)), x)
