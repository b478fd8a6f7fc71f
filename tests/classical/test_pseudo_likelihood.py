"""Pseudo-likelihood, against its definition and against fields whose weights are known."""

from itertools import product

import numpy as np
import pytest

from intarsia.classical._pseudo_likelihood import learn_weights, pseudo_likelihood


def test_one_node_by_hand() -> None:
    costs = np.array([[[1.0, 0.0], [0.0, 2.0]]])
    value, gradient = pseudo_likelihood(np.array([np.log(2), 0]), costs, np.array([0]))
    assert value == pytest.approx(np.log(3)), "odds of 1/2 to 1"
    assert gradient == pytest.approx([1 - 1 / 3, 0 - 2 * 2 / 3])


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_finite_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, labels, weights, worth = rng.normal(size=(20, 4, 3)), rng.integers(0, 4, 20), rng.normal(size=3), rng.random(20)
    gradient = pseudo_likelihood(weights, costs, labels, worth)[1]
    for f, step in enumerate(1e-5 * np.eye(3)):
        up, down = (pseudo_likelihood(weights + sign * step, costs, labels, worth)[0] for sign in (1, -1))
        assert (up - down) / 2e-5 == pytest.approx(gradient[f], abs=1e-6)


def test_a_node_worth_two_counts_as_two() -> None:
    rng = np.random.default_rng(0)
    costs, labels, weights = rng.normal(size=(5, 3, 2)), rng.integers(0, 3, 5), rng.normal(size=2)
    twice = np.array([0, 1, 2, 3, 4, 4])
    value, gradient = pseudo_likelihood(weights, costs, labels, np.array([1, 1, 1, 1, 2]))
    again, same = pseudo_likelihood(weights, costs[twice], labels[twice])
    assert value == pytest.approx(again)
    assert gradient == pytest.approx(same)


def test_the_weights_of_a_ring_are_found_again() -> None:
    """Four nodes in a ring, two labels; p(x) ~ exp(-0.8 (what x = 1 costs) - 0.6 (ends that differ)), drawn from all 16."""
    rng, planted = np.random.default_rng(0), np.array([0.8, 0.6])
    every = np.array(list(product((0, 1), repeat=4)))
    features = np.stack([every.sum(1), (every != np.roll(every, 1, 1)).sum(1)], 1)
    prob = np.exp(-features @ planted)
    drawn = every[rng.choice(16, 10000, p=prob / prob.sum())]
    beside = np.stack([np.roll(drawn, 1, 1), np.roll(drawn, -1, 1)])
    costs = np.stack([np.stack([np.full(drawn.shape, label), (beside != label).sum(0)], -1) for label in (0, 1)], 2)
    found = learn_weights(costs.reshape(-1, 2, 2), drawn.ravel())
    assert found == pytest.approx(planted, rel=0.1)


def test_weights_are_never_negative_and_never_endless() -> None:
    costs = np.array([[[0.0], [1.0]]] * 4)
    assert learn_weights(costs, np.ones(4, int)).tolist() == [0]
    found = learn_weights(costs, np.zeros(4, int), spread=10.0)[0]
    assert 4 / (1 + np.exp(found)) == pytest.approx(found / 10.0**2, rel=1e-3), "where the prior holds what the nodes pull"
