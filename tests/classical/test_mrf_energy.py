"""Energies of labellings and what minimises them, against every labelling of small graphs."""

from itertools import product

import numpy as np
import pytest

from intarsia.classical._belief_propagation import marginals, min_sum
from intarsia.classical._expansion import exact_binary, expansion, swap
from intarsia.classical._grid_cut import grid_cut
from intarsia.classical._icm import icm
from intarsia.classical._mrf_energy import Energy, contrast, grid_edges, potts
from intarsia.core import SettingsError

SOLVERS = (icm, min_sum, expansion, swap)


def random_energy(seed: int, height: int = 3, width: int = 3, labels: int = 3, label_cost: np.ndarray | None = None) -> Energy:
    rng = np.random.default_rng(seed)
    edges = grid_edges((height, width))
    cost = potts(labels) if label_cost is None else label_cost
    return Energy(rng.random((height * width, labels)), edges, rng.random(len(edges)), cost)


def random_tree(seed: int, nodes: int = 8, labels: int = 3) -> Energy:
    """A tree with its nodes numbered at random, and any label cost, of either sign."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(nodes)
    edges = np.array([[order[i], order[rng.integers(i)]] for i in range(1, nodes)])
    cost = rng.normal(size=(labels, labels))
    return Energy(rng.normal(size=(nodes, labels)), edges, rng.random(nodes - 1), cost + cost.T)


def every(energy: Energy) -> tuple[np.ndarray, np.ndarray]:
    """All labellings (A, N) and what they cost, by the sum itself."""
    nodes, labels = energy.unary.shape
    every = np.array(list(product(range(labels), repeat=nodes)))
    costs = sum(energy.unary[i][every[:, i]] for i in range(nodes))
    for (i, j), weight in zip(energy.edges, energy.weights, strict=True):
        costs = costs + weight * energy.label_cost[every[:, i], every[:, j]]
    return every, costs


def test_an_energy_by_hand() -> None:
    energy = Energy(np.array([[1, 5], [2, 0], [7, 3]]), np.array([[0, 1], [1, 2]]), np.array([10, 100]), potts(2))
    assert energy.cost(np.array([0, 1, 1])) == 1 + 0 + 3 + 10
    assert energy.cost(np.array([0, 1, 0])) == 1 + 0 + 7 + 10 + 100
    assert exact_binary(energy).labels.tolist() == [1, 1, 1]
    assert icm(energy).labels.tolist() == [1, 1, 1], "the first node gives way"


def test_a_grids_neighbours_and_contrast_by_hand() -> None:
    assert grid_edges((2, 2)).tolist() == [[0, 1], [2, 3], [0, 2], [1, 3]]
    assert grid_edges((2, 2), 8)[4:].tolist() == [[0, 3], [1, 2]]
    squares = np.array([0, 4, 4 / 3, 8 / 3])
    edges = np.array([[0, 1], [0, 2], [0, 3], [0, 4]])
    features = np.array([0, *np.sqrt(squares)])[:, None]
    assert contrast(features, edges) == pytest.approx(np.exp(-squares / 4))
    assert contrast(np.ones((5, 3)), edges).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_two_labels_are_exact_by_all_that_cut(seed: int) -> None:
    energy = random_energy(seed, 3, 4, 2)
    lowest = every(energy)[1].min()
    across, along = energy.weights[:9].reshape(3, 3), energy.weights[9:].reshape(2, 4)
    flow, cut = grid_cut(energy.unary[:, 1].reshape(3, 4), energy.unary[:, 0].reshape(3, 4), across, along)
    assert flow == pytest.approx(lowest, rel=1e-12)
    for solver in (exact_binary, expansion, swap):
        result = solver(energy)
        assert result.energies[-1] == pytest.approx(lowest, rel=1e-12)
        assert np.array_equal(result.labels.reshape(3, 4), cut)


@pytest.mark.parametrize("solver", [exact_binary, *SOLVERS])
def test_costs_may_be_small_whole_numbers(solver: type[icm]) -> None:
    unary = np.array([[250, 3], [2, 0], [1, 200], [0, 0]], np.uint8)
    edges, weights = grid_edges((2, 2)), np.array([3, 4, 5, 6], np.uint8)
    narrow, wide = Energy(unary, edges, weights, potts(2)), Energy(unary.astype(float), edges, weights.astype(float), potts(2))
    assert solver(narrow).energies == solver(wide).energies
    assert solver(narrow).labels.tolist() == solver(wide).labels.tolist()


def test_costs_of_two_equal_labels_are_cut_too() -> None:
    energy = random_energy(0, 3, 4, 2, np.array([[0.3, 0.8], [0.8, -0.1]]))
    assert exact_binary(energy).energies[-1] == pytest.approx(every(energy)[1].min(), rel=1e-12)


@pytest.mark.parametrize("solver", [expansion, swap])
def test_moves_end_near_the_optimum_and_never_rise(solver: type[expansion]) -> None:
    ratios = []
    for seed in range(20):
        energy = random_energy(seed)
        result = solver(energy)
        assert (np.diff(result.energies) < 0).all()
        assert result.energies[-1] == energy.cost(result.labels)
        ratios.append(result.energies[-1] / every(energy)[1].min())
    assert max(ratios) < 1.1, "the bound of expansion is 2"
    assert sum(ratio < 1 + 1e-9 for ratio in ratios) >= 15


def test_no_expansion_makes_the_result_cheaper() -> None:
    energy = random_energy(3, 3, 4, 3, np.minimum(np.abs(np.subtract.outer(np.arange(3), np.arange(3))), 1.5))
    labels = expansion(energy).labels
    takes = np.array(list(product((False, True), repeat=12)))
    for alpha in range(3):
        assert min(energy.cost(np.where(take, alpha, labels)) for take in takes) >= energy.cost(labels) - 1e-12


def test_a_swap_minds_neighbours_of_other_labels() -> None:
    unary = np.array([[99, 99, 0], [0, 0.5, 99], [99, 99, 0]])
    energy = Energy(unary, np.array([[0, 1], [2, 1]]), np.array([1, 3]), np.array([[0, 1, 5], [1, 0, 1], [5, 1, 0]]))
    result = swap(energy)
    assert result.labels.tolist() == [2, 1, 2]
    assert result.energies == [5 + 15, 0.5 + 1 + 3]


@pytest.mark.parametrize("seed", range(4))
def test_no_swap_makes_the_result_cheaper_where_the_label_cost_is_no_metric(seed: int) -> None:
    squares = np.square(np.subtract.outer(np.arange(3.0), np.arange(3)))
    energy = random_energy(seed, 3, 4, 3, 0.3 * squares)
    labels = swap(energy, np.random.default_rng(seed).integers(0, 3, 12)).labels
    for alpha, beta in ((0, 1), (0, 2), (1, 2)):
        free = np.flatnonzero((labels == alpha) | (labels == beta))
        for choice in product((alpha, beta), repeat=len(free)):
            other = labels.copy()
            other[free] = choice
            assert energy.cost(other) >= energy.cost(labels) - 1e-12
    with pytest.raises(SettingsError, match=r"breaks the triangle inequality.*Take swap"):
        expansion(energy)


@pytest.mark.parametrize("seed", range(3))
def test_beliefs_on_a_tree_are_exact(seed: int) -> None:
    energy = random_tree(seed)
    labellings, costs = every(energy)
    result = min_sum(energy, iterations=20)
    assert result.energies[-1] == pytest.approx(costs.min(), rel=1e-12)
    assert np.array_equal(result.labels, labellings[costs.argmin()])
    weight = np.exp(costs.min() - costs)
    expected = [[weight[labellings[:, i] == k].sum() for k in range(3)] for i in range(8)]
    assert marginals(energy, iterations=20) == pytest.approx(np.array(expected) / weight.sum(), rel=1e-9)
    assert marginals(energy, iterations=200, damping=0.5) == pytest.approx(np.array(expected) / weight.sum(), rel=1e-6)


def test_a_chain_takes_one_iteration_and_ties_agree() -> None:
    energy = random_energy(0, 1, 8)
    labellings, costs = every(energy)
    assert np.array_equal(min_sum(energy, iterations=1).labels, labellings[costs.argmin()])
    differ = Energy(np.zeros((5, 2)), grid_edges((1, 5)), np.ones(4), np.eye(2))
    assert min_sum(differ).labels.tolist() == [0, 1, 0, 1, 0]
    assert marginals(differ) == pytest.approx(np.full((5, 2), 0.5))


def test_beliefs_with_loops_come_close() -> None:
    found = [min_sum(random_energy(seed), iterations=30).energies for seed in range(20)]
    lowest = [every(random_energy(seed))[1].min() for seed in range(20)]
    ratios = np.array([min(energies) for energies in found]) / lowest
    assert ratios.min() >= 1 - 1e-12
    assert (ratios < 1 + 1e-9).sum() >= 15
    assert ratios.max() < 1.2


@pytest.mark.parametrize("seed", range(3))
def test_icm_never_rises_and_no_single_change_is_cheaper(seed: int) -> None:
    energy = random_energy(seed, 6, 7, 4)
    labels, energies = icm(energy)
    assert (np.diff(energies) < 0).all()
    assert energies[-1] == pytest.approx(energy.cost(labels))
    for node, label in product(range(42), range(4)):
        other = labels.copy()
        other[node] = label
        assert energy.cost(other) >= energies[-1] - 1e-12
    start = np.random.default_rng(9).integers(0, 4, 42)
    assert icm(energy, start, max_sweeps=0).labels.tolist() == start.tolist()


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_weights_each_node_decides_for_itself(solver: type[icm]) -> None:
    energy = random_energy(1, 4, 5)
    alone = Energy(energy.unary, energy.edges, np.zeros(len(energy.edges)), energy.label_cost)
    start = {} if solver is min_sum else {"start": np.zeros(20, int)}
    assert np.array_equal(solver(alone, **start).labels, energy.unary.argmin(1))


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_node_one_label_and_no_edges(solver: type[icm]) -> None:
    nothing = np.zeros((0, 2), int)
    assert solver(Energy(np.array([[3.0, 1.0]]), nothing, np.zeros(0), potts(2))).labels.tolist() == [1]
    assert solver(Energy(np.zeros((4, 1)), grid_edges((2, 2)), np.ones(4), potts(1))).labels.tolist() == [0, 0, 0, 0]


def test_what_does_not_fit_is_named() -> None:
    unary, edges, weights = np.zeros((4, 2)), grid_edges((2, 2)), np.ones(4)
    with pytest.raises(SettingsError, match=r"unary has shape \(2, 2, 2\)"):
        Energy(unary.reshape(2, 2, 2), edges, weights, potts(2))
    with pytest.raises(SettingsError, match=r"label_cost has shape \(3, 3\); \(2, 2\)"):
        Energy(unary, edges, weights, potts(3))
    with pytest.raises(SettingsError, match=r"weights hold -1; they are 0 or more"):
        Energy(unary, edges, -weights, potts(2))
    with pytest.raises(SettingsError, match="unary holds a value that is not finite"):
        Energy(unary + np.inf, edges, weights, potts(2))
    with pytest.raises(SettingsError, match="label_cost is not symmetric"):
        Energy(unary, edges, weights, np.array([[0, 1], [2, 0]]))
    energy = Energy(unary, edges, weights, -potts(2))
    with pytest.raises(SettingsError, match="favours neighbours that differ"):
        exact_binary(energy)
    with pytest.raises(SettingsError, match=r"is negative, or not 0 between equal labels, as swap needs"):
        swap(energy)
    with pytest.raises(SettingsError, match=r"between two labels, and there are 3\. Take expansion or swap"):
        exact_binary(random_energy(0))
    with pytest.raises(SettingsError, match=r"labels 0 to 2; \(4,\) and 0 to 1 are expected"):
        icm(energy, np.array([0, 1, 2, 0]))
    with pytest.raises(SettingsError, match="damping is 1"):
        min_sum(energy, damping=1.0)
    with pytest.raises(SettingsError, match="connectivity is 6"):
        grid_edges((2, 2), 6)
