import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from intarsia.classical._motion import Flow, dense_flow
from intarsia.classical.affine_layers import _numbered_as, affine_layers, layers_of_flow
from intarsia.core import SettingsError

GROUND = np.array([[1.5, 0.004, -0.002], [-0.5, 0.003, 0.001]])
DISC = np.array([[-3.0, 0.0, 0.01], [2.0, -0.01, 0.0]])


def flow_of(motion: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([np.ones_like(x), x, y], 2) @ motion.T


def disc_in(size: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return (y - 50) ** 2 + (x - 60) ** 2 < 30**2


def texture(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Smooth noise, (H, W) in 0 to 255."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=size), 2)
    return 128 + 50 * noise / noise.std()


def test_exact_flow_gives_exact_layers_and_motions() -> None:
    size = 110, 140
    disc = disc_in(size)
    ids, motions = layers_of_flow(np.where(disc[..., None], flow_of(DISC, size), flow_of(GROUND, size)), block=10)
    assert np.array_equal(ids, disc.astype(int)), "the larger layer comes first"
    assert motions == pytest.approx(np.stack([GROUND, DISC]), abs=1e-9)


def test_one_motion_is_one_layer_and_noise_does_not_split_it() -> None:
    flow = flow_of(GROUND, (60, 80)) + np.random.default_rng(0).normal(0, 0.1, (60, 80, 2))
    ids, motions = layers_of_flow(flow)
    assert not ids.any()
    assert flow_of(motions[0], (60, 80)) == pytest.approx(flow_of(GROUND, (60, 80)), abs=0.02)


def test_motions_known_before_are_found_again_where_no_block_fits() -> None:
    size = 110, 140
    flow = np.where(disc_in(size)[..., None], flow_of(DISC, size), flow_of(GROUND, size))
    alone = layers_of_flow(flow, block=100).motions
    ids, motions = layers_of_flow(flow, block=100, start=np.stack([DISC, GROUND]))
    assert len(alone) == 1, "one block is most of the image, and no affine motion explains it"
    assert np.array_equal(ids, disc_in(size).astype(int))
    assert motions == pytest.approx(np.stack([GROUND, DISC]), abs=1e-9)


@pytest.mark.parametrize("method", ["dis", "farneback"])
def test_flow_of_a_shifted_texture_to_a_fraction_of_a_pixel(method: Flow) -> None:
    image = texture((70, 90))
    y, x = np.mgrid[:70, :90].astype(float)
    moved = map_coordinates(image, [y - 0.75, x - 1.5], order=3, mode="nearest")  # what was at x is now at x + 1.5
    one, other = (frame.clip(0, 255).astype(np.uint8) for frame in (image, moved))
    flow = dense_flow(one, other, method)[15:-15, 15:-15]
    assert np.median(flow, (0, 1)) == pytest.approx([1.5, 0.75], abs=0.1)


def test_a_square_that_moves_over_a_texture() -> None:
    ground, square = texture((80, 110)), texture((36, 36), 1)
    frames, inside = [], np.zeros((4, 80, 110), bool)
    for step in range(4):
        frame = np.roll(ground, -step, 1)
        frame[20:56, 20 + 4 * step : 56 + 4 * step] = square
        inside[step, 20:56, 20 + 4 * step : 56 + 4 * step] = True
        frames.append(frame.clip(0, 255).astype(np.uint8)[..., None])
    ids = affine_layers(np.stack(frames), block=10)
    number = np.bincount(ids[inside]).argmax()
    shared = ((ids == number) & inside).sum((1, 2)) / ((ids == number) | inside).sum((1, 2))
    assert shared.min() > 0.7, "the same number in each frame"


def test_numbers_follow_the_layers() -> None:
    before = np.array([[0, 0, 0, 1, 1, 1]])
    assert _numbered_as(before, np.array([[1, 1, 1, 0, 0, 0]])).tolist() == [[0, 0, 0, 1, 1, 1]]
    assert _numbered_as(before, np.array([[1, 1, 2, 0, 0, 0]])).tolist() == [[0, 0, 2, 1, 1, 1]]


def test_one_frame_and_narrow_frames() -> None:
    assert not affine_layers(np.zeros((1, 9, 8, 3), np.uint8)).any()
    assert affine_layers(np.random.default_rng(0).integers(0, 256, (3, 40, 1, 1), np.uint8)).shape == (3, 40, 1)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(SettingsError, match=r"layers is 0, block 20"):
        affine_layers(np.zeros((2, 9, 9, 1), np.uint8), layers=0)
