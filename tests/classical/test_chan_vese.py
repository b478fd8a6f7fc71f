import numpy as np
import pytest
from sklearn.cluster import KMeans

from intarsia.classical.chan_vese import chan_vese, chan_vese_trace
from intarsia.core import Hints


def noisy_disc(sigma: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:100, :100]
    disc = (y - 50) ** 2 + (x - 50) ** 2 < 25**2
    return disc, (disc + np.random.default_rng(0).normal(0, sigma, disc.shape)).astype(np.float32)[..., None]


def test_without_length_it_is_two_means() -> None:
    rng = np.random.default_rng(1)
    image = (np.where(rng.random((12, 14, 1)) < 0.4, 0.65, 0.35) + rng.normal(0, 0.09, (12, 14, 3))).astype(np.float32)
    inside = chan_vese_trace(image, mu=0.0, iterations=3000, tolerance=0.0).inside
    colors = image.reshape(-1, 3)
    means = np.stack([image[~inside].mean(0), image[inside].mean(0)])
    assert np.array_equal(((colors[:, None] - means) ** 2).sum(2).argmin(1) == 1, inside.ravel()), "each at the nearer mean"
    assert np.array_equal(KMeans(2, init=means, n_init=1).fit_predict(colors) == 1, inside.ravel())
    assert not np.array_equal(inside, image.mean(2) > image.mean()), "the start was another"


def test_a_disc_in_noise_with_falling_energy() -> None:
    disc, image = noisy_disc()
    found = chan_vese(image)
    assert (found & disc).sum() / (found | disc).sum() >= 0.95
    energies = np.array(chan_vese_trace(image).energies)
    assert (np.diff(energies) < 0).all()
    assert energies[-1] < 0.9 * energies[0]


def test_length_alone_shrinks_a_box_and_rounds_it() -> None:
    flat = np.full((40, 40, 1), 9, np.uint8)
    box = Hints(boxes_xyxy=np.array([[8, 8, 32, 32]]))
    areas = [chan_vese(flat, box, mu=5.0, iterations=n, tolerance=-1.0).sum() for n in (0, 30, 60)]
    assert areas[0] == 24 * 24 > areas[1] > areas[2]
    assert not chan_vese(flat, box, mu=5.0, iterations=30, tolerance=-1.0)[8, 8], "corners go first"


def test_negative_contrast_and_longer_borders() -> None:
    disc, image = noisy_disc(0.1)
    byte = (image.clip(0, 1) * 200).astype(np.uint8)
    found = chan_vese(byte)
    assert np.array_equal(found, chan_vese(255 - byte))
    assert (found == disc).mean() > 0.98
    _, rough = noisy_disc()
    border = [np.abs(np.diff(chan_vese(rough, mu=mu).astype(int))).sum() for mu in (0.0, 0.1, 0.3)]
    assert border[0] > border[1] >= border[2]


@pytest.mark.parametrize("shape", [(1, 30, 3), (30, 1, 1), (1, 1, 1)])
def test_one_pixel_wide(shape: tuple[int, ...]) -> None:
    assert chan_vese(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).shape == shape[:2]
