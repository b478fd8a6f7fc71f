"""Energies whose pairs are of several kinds, and mean field, against every labelling of four nodes with three labels."""

from itertools import product

import numpy as np
import pytest

from intarsia.classical._belief_propagation import marginals, min_sum
from intarsia.classical._expansion import exact_binary, expansion, swap
from intarsia.classical._icm import icm
from intarsia.classical._mean_field import expected_costs, mean_field
from intarsia.classical._mrf_energy import Energy, potts
from intarsia.core import SettingsError

EVERY = np.array(list(product(range(3), repeat=4)))
PAIRS = np.array([[0, 1], [0, 2], [3, 0], [1, 2], [3, 1], [2, 3]])


def random_energy(seed: int, strength: float = 1.0, pairs: np.ndarray = PAIRS) -> Energy:
    """Four nodes, three labels, all pairs, two kinds of any costs."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, len(pairs))
    return Energy(rng.normal(size=(4, 3)), pairs, rng.random(len(pairs)), strength * rng.normal(size=(2, 3, 3)), kinds)


def costs_of_all(energy: Energy) -> np.ndarray:
    costs = np.array([sum(energy.unary[i, x[i]] for i in range(4)) for x in EVERY])
    for (i, j), weight, kind in zip(energy.edges, energy.weights, energy.table, strict=True):
        costs += weight * energy.label_cost[kind][EVERY[:, i], EVERY[:, j]]
    return costs


def exact_marginals(energy: Energy) -> np.ndarray:
    prob = np.exp(-costs_of_all(energy))
    return np.array([[prob[EVERY[:, i] == k].sum() for k in range(3)] for i in range(4)]) / prob.sum()


def test_an_energy_by_hand() -> None:
    tables = np.array([[[0, 1], [2, 3]], [[0, 10], [20, 30]]])
    energy = Energy(np.zeros((3, 2)), np.array([[0, 1], [2, 1]]), np.array([1.0, 0.5]), tables, np.array([0, 1]))
    assert energy.cost(np.array([0, 1, 0])) == 1 + 0.5 * 10
    assert energy.cost(np.array([1, 0, 1])) == 2 + 0.5 * 20
    even = np.full((3, 2), 0.5)
    assert expected_costs(energy, even)[1].tolist() == [(0 + 2) / 2 + (0 + 20) / 4, (1 + 3) / 2 + (10 + 30) / 4]


@pytest.mark.parametrize("seed", range(4))
def test_the_cost_is_the_sum_and_a_pair_may_be_named_either_way(seed: int) -> None:
    energy = random_energy(seed)
    assert [energy.cost(x) for x in EVERY] == pytest.approx(costs_of_all(energy))
    turned = Energy(energy.unary, PAIRS[:, ::-1], energy.weights, energy.label_cost.transpose(0, 2, 1), energy.table)
    assert [turned.cost(x) for x in EVERY] == pytest.approx(costs_of_all(energy))
    for solver in (icm, min_sum):
        assert np.array_equal(solver(turned).labels, solver(energy).labels)
    assert mean_field(turned) == pytest.approx(mean_field(energy))


def test_solvers_against_all_labellings() -> None:
    found = {"icm": 0, "messages": 0, "mean field": 0}
    for seed in range(30):
        energy = random_energy(seed)
        lowest = costs_of_all(energy).min()
        for name, labels in (
            ("icm", icm(energy).labels),
            ("messages", min_sum(energy, iterations=50, damping=0.5).labels),
            ("mean field", mean_field(energy).argmax(1)),
        ):
            cost = energy.cost(labels)
            assert cost >= lowest - 1e-12
            found[name] += cost < lowest + 1e-9
    assert found["icm"] >= 15
    assert found["messages"] >= 27
    assert found["mean field"] >= 24


@pytest.mark.parametrize("seed", range(4))
def test_icm_is_the_best_of_its_neighbours(seed: int) -> None:
    energy = random_energy(seed)
    labels = icm(energy).labels
    for node, label in product(range(4), range(3)):
        other = labels.copy()
        other[node] = label
        assert energy.cost(other) >= energy.cost(labels) - 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_beliefs_on_a_chain_are_exact(seed: int) -> None:
    energy = random_energy(seed, pairs=np.array([[1, 0], [1, 2], [3, 2]]))
    labels = min_sum(energy, iterations=10).labels
    assert energy.cost(labels) == pytest.approx(costs_of_all(energy).min())
    assert marginals(energy, iterations=10) == pytest.approx(exact_marginals(energy), rel=1e-9)


def test_mean_field_is_exact_without_pairs_and_close_where_they_are_weak() -> None:
    apart = random_energy(0, 0)
    assert mean_field(apart) == pytest.approx(exact_marginals(apart))
    for seed in range(10):
        weak = random_energy(seed, 0.2)
        assert mean_field(weak) == pytest.approx(exact_marginals(weak), abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_the_free_energy_falls_to_a_fixed_point_above_that_of_the_field(seed: int) -> None:
    energy = random_energy(seed, 2)

    def free(prob: np.ndarray) -> float:
        joint = np.prod([prob[i, EVERY[:, i]] for i in range(4)], axis=0)
        return float(joint @ costs_of_all(energy) + (prob * np.log(prob)).sum())

    course = [free(mean_field(energy, iterations=sweeps)) for sweeps in range(6)]
    assert (np.diff(course) <= 1e-12).all()
    assert course[-1] >= -np.log(np.exp(-costs_of_all(energy)).sum())
    prob = mean_field(energy, iterations=500, settled=1e-13)
    expected = np.exp(-expected_costs(energy, prob))
    assert prob == pytest.approx(expected / expected.sum(1, keepdims=True), abs=1e-9)


def test_one_kind_needs_no_table() -> None:
    rng = np.random.default_rng(0)
    unary, weights = rng.normal(size=(4, 3)), rng.random(6)
    plain = Energy(unary, PAIRS, weights, potts(3))
    tabled = Energy(unary, PAIRS, weights, potts(3)[None], np.zeros(6, int))
    assert mean_field(plain) == pytest.approx(mean_field(tabled))
    assert icm(plain).energies == pytest.approx(icm(tabled).energies)


def test_what_does_not_fit_is_named() -> None:
    energy = random_energy(0)
    with pytest.raises(SettingsError, match=r"table has shape \(5,\); \(6,\) is expected"):
        Energy(energy.unary, PAIRS, energy.weights, energy.label_cost, np.zeros(5, int))
    with pytest.raises(SettingsError, match="table holds 0 to 2, and there are 2 costs"):
        Energy(energy.unary, PAIRS, energy.weights, energy.label_cost, np.array([0, 0, 1, 0, 2, 0]))
    with pytest.raises(SettingsError, match=r"label_cost has shape \(2, 3, 3\); \(3, 3\) is expected"):
        Energy(energy.unary, PAIRS, energy.weights, energy.label_cost)
    for solver in (expansion, swap, exact_binary):
        with pytest.raises(SettingsError, match="Cuts are for pairs of one kind"):
            solver(energy)
