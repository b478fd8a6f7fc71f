from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from intarsia.classical._permutohedral import in_parts, permutohedral
from intarsia.core import SettingsError


def pixels(height, width, sd):
    return np.mgrid[:height, :width].reshape(2, -1).T / sd


def exact(features, values):
    squares = ((features[:, None] - features[None]) ** 2).sum(2)
    kernel = np.exp(-squares / 2)
    return kernel @ values, kernel.sum(1)


def test_one_point_by_hand():
    # d = 1: the point lies on a corner, whose only neighbour is the other end of its segment. Both axes run along the line:
    # (1, 0) -> (1, 1/2) -> (5/4, 1). Corners that hold no point do not pass on anything. alpha = 1 / (1 + 1/2).
    lattice = permutohedral(np.zeros((1, 1)), "none")
    assert len(lattice) == 2
    np.testing.assert_allclose(lattice.filter(np.ones((1, 1), np.float32)), 5 / 4 * 2 / 3, rtol=1e-6)


def test_points_that_share_a_place_are_added():
    lattice = permutohedral(np.full((5, 3), 0.3), "none")
    single = permutohedral(np.full((1, 3), 0.3), "none").filter(np.ones((1, 1), np.float32))
    np.testing.assert_allclose(
        lattice.filter(np.arange(5, dtype=np.float32)[:, None]), np.full((5, 1), 10 * single[0, 0]), rtol=1e-5
    )


@pytest.mark.parametrize(("features", "mass"), [(pixels(40, 40, 3.0), 0.88), (pixels(40, 40, 8.0), 0.88)])
def test_the_mass_of_a_plane_is_known(features, mass):
    middle = features.shape[0] // 2 + 20
    raw = permutohedral(features, "none").filter(np.ones((len(features), 1), np.float32))[middle, 0]
    assert raw / exact(features, np.ones(len(features)))[1][middle] == pytest.approx(mass, abs=0.02)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_a_normalised_filter_is_near_the_exact_gaussian_and_no_other(d):
    features = np.random.default_rng(0).normal(size=(1500, d)) * 1.5 / np.sqrt(d)
    values = np.sin(2 * features[:, :1]).astype(np.float32)
    filtered = permutohedral(features, "after").filter(values)
    errors = []
    for width in (1.0, 0.7, 1.4):
        summed, sums = exact(features / width, values)
        errors.append(np.abs(filtered - summed / sums[:, None]).mean())
    assert errors[0] < 0.04
    assert min(errors[1:]) > 2 * errors[0]


def test_nine_dimensions():
    features = np.random.default_rng(0).normal(size=(1500, 9)) / 2
    values = np.stack([np.sin(2 * features[:, 0]), np.ones(1500)], 1).astype(np.float32)
    filtered = permutohedral(features, "after").filter(values)
    summed, sums = exact(features, values)
    assert np.abs(filtered - summed / sums[:, None])[:, 0].mean() < 0.2 * np.abs(values - summed / sums[:, None])[:, 0].mean()
    np.testing.assert_allclose(filtered[:, 1], 1, rtol=1e-5)


@pytest.mark.parametrize("d", [2, 5])
def test_normalisation_is_folded_into_the_weights(d):
    draw = np.random.default_rng(1)
    features, values = draw.normal(size=(400, d)), draw.normal(size=(400, 3)).astype(np.float32)
    raw = permutohedral(features, "none")
    sums = raw.filter(np.ones((400, 1), np.float32))
    expected = {
        "symmetric": raw.filter(values / np.sqrt(sums)) / np.sqrt(sums),
        "before": raw.filter(values / sums),
        "after": raw.filter(values) / sums,
    }
    for mode, result in expected.items():
        np.testing.assert_allclose(permutohedral(features, mode).filter(values), result, atol=1e-5)
    np.testing.assert_allclose(permutohedral(features, "after").filter(np.ones((400, 1), np.float32)), 1, rtol=1e-5)


@pytest.mark.parametrize("mode", ["symmetric", "before", "after", "none"])
def test_the_transpose_is_the_transpose(mode):
    draw = np.random.default_rng(2)
    lattice = permutohedral(draw.normal(size=(60, 3)), mode)
    identity = np.eye(60, dtype=np.float32)
    matrix = lattice.filter(identity)
    np.testing.assert_allclose(lattice.filter(identity, transpose=True), matrix.T, atol=1e-6)
    assert not np.allclose(matrix, matrix.T, atol=1e-4)  # a filter of its own


@pytest.mark.parametrize("few", [1 << 20, 1 << 8])
def test_threads_change_no_bit_and_the_order_of_points_little(few, monkeypatch):
    monkeypatch.setattr("intarsia.classical._permutohedral.FEW_VALUES", few)  # whether threads share the blur
    draw = np.random.default_rng(3)
    features = draw.uniform(0, 80, (50_000, 2)).astype(np.float32)  # more corners than the first table holds
    values = draw.normal(size=(50_000, 2)).astype(np.float32)
    one = permutohedral(features)
    alone = one.filter(values)
    with ThreadPoolExecutor(3) as pool:
        many = permutohedral(features, pool=pool)
        assert np.array_equal(many.filter(values, pool=pool), alone)
    assert len(one.starts) == 4  # three parts
    for name in ("corners", "members", "entries", "neighbours"):
        assert np.array_equal(getattr(one, name), getattr(many, name))
    order = draw.permutation(len(features))
    np.testing.assert_allclose(permutohedral(features[order]).filter(values[order]), alone[order], atol=1e-5)


def test_parts_change_no_value(monkeypatch):
    draw = np.random.default_rng(5)
    features, values = draw.uniform(0, 5, (600, 3)), draw.normal(size=(600, 2))
    whole = permutohedral(features)
    expected = whole.filter(values)
    monkeypatch.setattr("intarsia.classical._permutohedral.SMALL_PART", 100)
    assert in_parts(lambda *part: part, 600, None)[4:] == [(4, 400, 500), (5, 500, 600)]
    parts = permutohedral(features)
    assert len(parts) == len(whole) < len(parts.members)
    assert parts.filter(values).dtype == np.float64
    np.testing.assert_allclose(parts.filter(values), expected, atol=1e-6)
    matrix = np.stack([parts.filter(column, transpose=True)[:, 0] for column in np.eye(600, 5).T[..., None]])
    np.testing.assert_allclose(matrix, parts.filter(np.eye(600))[:5], atol=1e-6)


def test_neighbours_are_mutual_and_entries_complete():
    lattice = permutohedral(np.random.default_rng(4).normal(size=(300, 4)) * 3)
    size = len(lattice)
    for before, after in np.moveaxis(lattice.neighbours, 2, 1):
        has = np.flatnonzero(after < size)
        assert has.size
        assert np.array_equal(before[after[has]], has)
    assert np.array_equal(np.sort(lattice.entries), np.arange(len(lattice.members)))
    assert np.array_equal(lattice.members[lattice.entries], np.repeat(np.arange(size), np.diff(lattice.first)))
    np.testing.assert_allclose(lattice.shares.sum(1), 1, rtol=1e-6)
    assert lattice.shares.min() > -1e-6


def test_errors():
    with pytest.raises(SettingsError, match=r"shape \(4,\); \(N, d\)"):
        permutohedral(np.zeros(4))
    with pytest.raises(SettingsError, match="finite"):
        permutohedral(np.full((2, 2), np.nan))
    with pytest.raises(SettingsError, match=r"The 5 features span 1000000, .* standard deviations"):
        permutohedral(np.array([[0.0] * 5, [1e6] * 5]))
