import numpy as np
import pytest

from intarsia.core import ClassSpace, Instances, LabelMap
from intarsia.data.targets import make_targets
from intarsia.data.targets.direction import direction

CELLS = ClassSpace.from_names(["background", "cell"])


def disc(size: int, centre_yx: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return (rows - centre_yx[0]) ** 2 + (columns - centre_yx[1]) ** 2 <= radius**2


def test_by_hand() -> None:
    # A strip of five rows: depth 1 2 3 2 1, so that both halves point to the middle, where there is no rise.
    ids = np.zeros((9, 7), np.int32)
    ids[2:7] = 1
    field = direction(LabelMap(ids))
    assert field.dtype == np.float32
    assert field[0, :, 3].tolist() == [0, 0, 1, 1, 0, -1, -1, 0, 0]
    assert not field[1].any()


@pytest.mark.parametrize("radius", [12, 18, 28])
def test_of_a_disc_points_to_its_centre(radius: int) -> None:
    """Within 5 degrees in the mean, away from the centre, where the depth is flat, and the jagged boundary."""
    centre = 32.0
    mask = disc(65, (centre, centre), radius)
    field = direction(LabelMap(mask.astype(np.int32))).astype(np.float64)
    rows, columns = np.mgrid[:65, :65]
    to_centre = np.stack([centre - rows, centre - columns])
    distance = np.hypot(*to_centre)
    ring = mask & (distance > 3) & (distance < radius - 1)
    cosine = (field * to_centre).sum(0)[ring] / distance[ring]
    angle = np.degrees(np.arccos(cosine.clip(-1, 1)))
    assert angle.mean() < 5
    assert angle.max() < 30
    assert np.hypot(*field)[ring] == pytest.approx(1, abs=1e-5)
    assert not field[:, ~mask].any()


def test_turns_round_where_two_objects_touch() -> None:
    ids = np.zeros((20, 40), np.int32)
    ids[2:18, 4:20], ids[2:18, 20:36] = 1, 2
    field = direction(LabelMap(ids))
    assert field[1, 10, 19] == -1
    assert field[1, 10, 20] == 1


def test_mirrors_with_its_sign() -> None:
    rng = np.random.default_rng(0)
    ids = np.kron(rng.integers(0, 4, (5, 6)), np.ones((7, 7), int)).astype(np.int32)
    field, mirrored = direction(LabelMap(ids)), direction(LabelMap(ids[:, ::-1].copy()))
    np.testing.assert_allclose(mirrored[1], -field[1, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(mirrored[0], field[0, :, ::-1], atol=1e-6)


def test_an_object_does_not_end_at_the_border_of_the_image() -> None:
    whole = disc(41, (20, 20), 15)
    whole_field = direction(LabelMap(whole.astype(np.int32)))
    cut = direction(Instances.from_ids(whole[:, 14:].astype(np.int32), CELLS, 1))
    assert (cut[0, 8, 2:10] > 0.9).all()  # above the middle: down
    np.testing.assert_allclose(
        cut[:, :, 14:], whole_field[:, :, 28:], atol=1e-6
    )  # what is nearer to the true boundary is the same


@pytest.mark.parametrize("ids", [np.zeros((0, 4)), np.zeros((3, 3)), np.ones((3, 3)), np.ones((1, 1))])
def test_nothing_to_point_from(ids: np.ndarray) -> None:
    field = make_targets(["direction"], LabelMap(ids.astype(np.int32)))["direction"]
    assert np.array_equal(field, np.zeros((2, *ids.shape)))
