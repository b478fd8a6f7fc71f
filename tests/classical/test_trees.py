"""Trees as flat arrays, and how they are grown."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from intarsia.classical._grow_trees import Bins, bootstrap_counts, grow_trees
from intarsia.classical._trees import Trees

LEAF = -1


def grow(points, labels, weights=None, *, classes=None, candidates=None, depth=30, min_leaf=1, seed=0, **options) -> Trees:
    """One tree on all points and with all features, if nothing else is said; points are (N, F) here."""
    points, labels = np.asarray(points, np.float32), np.asarray(labels)
    return grow_trees(
        np.ascontiguousarray(points.T),
        labels,
        np.ones((1, len(labels))) if weights is None else np.asarray(weights),
        classes=int(labels.max()) + 1 if classes is None else classes,
        candidates=candidates or points.shape[1],
        depth=depth,
        min_leaf=min_leaf,
        rng=np.random.default_rng(seed),
        **options,
    )


def of_sklearn(forest: RandomForestClassifier) -> Trees:
    """The trees that scikit-learn grew, as ours."""

    def convert(tree) -> Trees:
        leaf = tree.children_left < 0
        order, position, queue = [], {}, [0]
        while queue:  # siblings side by side
            node = queue.pop(0)
            position[node] = len(order)
            order.append(node)
            if not leaf[node]:
                queue += [tree.children_left[node], tree.children_right[node]]
        feature = np.where(leaf, LEAF, tree.feature)[order].astype(np.int16)
        threshold = tree.threshold[order].astype(np.float32)
        threshold = np.where(threshold > tree.threshold[order], np.nextafter(threshold, np.float32(-np.inf)), threshold)
        rank = np.cumsum(leaf[order]) - 1
        child = [rank[i] if leaf[node] else position[tree.children_left[node]] for i, node in enumerate(order)]
        shares = tree.value[np.array(order)[leaf[order]], 0]
        return Trees(
            np.zeros(1, np.int32),
            feature,
            threshold,
            np.array(child, np.int32),
            (shares / shares.sum(1, keepdims=True)).astype(np.float32),
        )

    return Trees.join([convert(estimator.tree_) for estimator in forest.estimators_])


def stump(threshold, left, right) -> Trees:
    child = np.array([1, 0, 1], np.int32)
    shares = np.array([left, right], np.float32)
    return Trees(np.zeros(1, np.int32), np.array([0, -1, -1], np.int16), np.array([threshold, 0, 0], np.float32), child, shares)


def noisy(count, features=6, classes=3, seed=0, values=60):
    """Whole numbers, whose class is a noisy function of two of them."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, values, (count, features))
    labels = ((points[:, 0] + 2 * points[:, 1] + rng.normal(0, values / 6, count)) * classes / (3.2 * values)).clip(
        0, classes - 1
    )
    return points.astype(np.float32), labels.astype(np.int64)


# By hand


def test_a_tree_on_four_points():
    tree = grow([[0], [1], [4], [5]], [0, 0, 1, 1])
    assert tree.feature.tolist() == [0, LEAF, LEAF]
    assert tree.threshold.tolist() == [2.5, 0, 0], "midway between 1 and 4"
    assert tree.child.tolist() == [1, 0, 1]
    assert tree.posterior.tolist() == [[1, 0], [0, 1]]
    assert tree.predict(np.array([[2.5, 2.6]])).tolist() == [[1, 0], [0, 1]], "a threshold itself goes left"


def test_the_border_with_the_least_impurity_is_taken():
    # Feature 0 at 0.5 leaves 1 + 0 of 4 wrong ones; feature 1 separates two against two with one wrong on each side.
    tree = grow([[0, 0], [1, 0], [1, 1], [1, 1]], [0, 1, 1, 1], depth=1)
    assert (tree.feature[0], tree.threshold[0]) == (0, 0.5)
    # sum of n_side * gini: {0} | {1, 1, 0} gives 3 * (1 - 5/9) = 4/3, and {0, 1} | {1, 0}, which is 2: the first is better.
    tree = grow([[0, 0], [1, 0], [1, 1], [1, 1]], [0, 1, 1, 0], depth=1)
    assert (tree.feature[0], tree.threshold[0]) == (0, 0.5)
    np.testing.assert_allclose(tree.posterior, [[1, 0], [1 / 3, 2 / 3]], atol=1e-6)


def test_a_weight_is_as_good_as_the_point_again():
    points, labels = noisy(60)
    counts = np.random.default_rng(1).integers(0, 4, 60)
    weighted = grow(points, labels, counts[None], depth=4, classes=3)
    repeated = grow(points.repeat(counts, 0), labels.repeat(counts), depth=4, classes=3)
    assert np.array_equal(weighted.feature, repeated.feature)
    assert np.array_equal(weighted.threshold, repeated.threshold)
    np.testing.assert_allclose(weighted.posterior, repeated.posterior, rtol=1e-6)


def test_averages_and_votes():
    forest = Trees.join([stump(0, [0.9, 0.1], [0.2, 0.8]), stump(1, [0.6, 0.4], [0.4, 0.6]), stump(2, [0.45, 0.55], [0, 1])])
    points = np.array([[-1.0, 0.5, 1.5, 3.0]])
    shares = [[0.9 + 0.6 + 0.45, 1.05], [0.2 + 0.6 + 0.45, 1.75], [0.2 + 0.4 + 0.45, 1.95], [0.6, 2.4]]
    np.testing.assert_allclose(forest.predict(points), np.array(shares) / 3, rtol=1e-6)
    np.testing.assert_allclose(forest.by_vote().predict(points), np.array([[2, 1], [1, 2], [0, 3], [0, 3]]) / 3, rtol=1e-6)
    alone = np.array([[False] * 4, [True] * 4, [False, True, True, True]])
    np.testing.assert_allclose(forest.predict(points, skip=alone)[:2], [[1.35 / 2, 0.65 / 2], [0.2, 0.8]], rtol=1e-6)
    assert forest.predict(points, skip=np.ones((3, 4), bool)).tolist() == [[0, 0]] * 4


# Against scikit-learn


@pytest.mark.parametrize("seed", range(4))
def test_one_tree_on_everything_is_a_decision_tree(seed):
    """With leaves of 20 points no two borders are equally good; between equal ones the two would choose by chance."""
    points, labels = noisy(3000, seed=seed, values=250)
    ours = grow(points, labels, depth=5, min_leaf=20)
    theirs = DecisionTreeClassifier(max_depth=5, min_samples_leaf=20, random_state=0).fit(points, labels)
    fresh = np.random.default_rng(9).uniform(-1, 251, (500, 6)).astype(np.float32)
    np.testing.assert_allclose(ours.predict(points.T), theirs.predict_proba(points), atol=1e-6)
    np.testing.assert_allclose(ours.predict(fresh.T), theirs.predict_proba(fresh), atol=1e-6)
    inner = theirs.tree_.feature >= 0
    known = zip(theirs.tree_.feature[inner].tolist(), theirs.tree_.threshold[inner].tolist(), strict=True)
    found = ours.feature >= 0
    assert sorted(zip(ours.feature[found].tolist(), ours.threshold[found].tolist(), strict=True)) == sorted(known)


def test_a_fully_grown_tree_knows_what_it_learnt():
    points, labels = noisy(300, seed=3)
    assert np.array_equal(grow(points, labels).predict(points.T).argmax(1), labels)


def test_a_forest_of_scikit_learn_answers_the_same_here():
    points, labels = noisy(500)
    forest = RandomForestClassifier(12, max_depth=7, random_state=0).fit(points, labels)
    fresh = np.random.default_rng(1).uniform(0, 60, (5000, 6)).astype(np.float32)
    np.testing.assert_allclose(of_sklearn(forest).predict(fresh.T), forest.predict_proba(fresh), atol=2e-6)


def test_a_forest_is_as_good_as_that_of_scikit_learn():
    points, labels = noisy(1500)
    fresh, truth = noisy(3000, seed=1)
    rng = np.random.default_rng(0)
    ours = grow(points, labels, bootstrap_counts(np.arange(1500), 40, rng), candidates=2, min_leaf=3)
    theirs = RandomForestClassifier(40, max_features=2, min_samples_leaf=3, random_state=0).fit(points, labels)
    accuracy = (ours.predict(fresh.T).argmax(1) == truth).mean()
    assert abs(accuracy - theirs.score(fresh, truth)) < 0.015
    assert accuracy > (grow(points, labels).predict(fresh.T).argmax(1) == truth).mean() + 0.03, "than a single tree"


# Properties


def test_out_of_bag_is_1_over_e():
    counts = bootstrap_counts(np.arange(10_000), 8, np.random.default_rng(0))
    assert (counts.sum(1) == 10_000).all()
    assert abs((counts == 0).mean() - (1 - 1e-4) ** 10_000) < 0.004
    grouped = bootstrap_counts(np.repeat(np.arange(5), 7), 3, np.random.default_rng(0)).reshape(3, 5, 7)
    assert (grouped == grouped[..., :1]).all(), "points of a group are drawn together"
    assert (grouped[..., 0].sum(1) == 5).all()


def test_the_variance_of_the_mean_of_correlated_trees():
    """rho s^2 + (1 - rho) s^2 / T: s^2 and rho from one half of the repetitions, the variance of the mean from the other."""
    repetitions, trees = 120, 12
    fresh, _ = noisy(40, classes=2, seed=99)
    answers = []
    for repetition in range(repetitions):
        points, labels = noisy(60, classes=2, seed=repetition)
        rng = np.random.default_rng(repetition)
        forest = grow(points, labels, bootstrap_counts(np.arange(60), trees, rng), classes=2, candidates=2, seed=repetition)
        answers.append([forest.tree(t).predict(fresh.T)[:, 1] for t in range(trees)])
    known, unseen = np.split(np.array(answers), 2)  # (R, T, N) each
    centred = known - known.mean((0, 1))
    variance = (centred**2).mean((0, 1))
    pairs = (centred.sum(1) ** 2 - (centred**2).sum(1)).mean(0) / (trees * (trees - 1))
    rho = pairs.sum() / variance.sum()
    assert 0.02 < rho < 0.6
    expected = (rho + (1 - rho) / trees) * variance.mean()
    measured = unseen.mean(1).var(0, ddof=1).mean()
    assert measured == pytest.approx(expected, rel=0.2)
    assert measured < 0.5 * variance.mean()


def test_threads_change_nothing_and_seeds_do():
    points, labels = noisy(300)
    weights = bootstrap_counts(np.arange(300), 6, np.random.default_rng(0))
    one, two, other = (grow(points, labels, weights, candidates=2, seed=s, threads=t) for s, t in ((0, 1), (0, 2), (1, 1)))
    assert all(np.array_equal(one.to_arrays()[name], two.to_arrays()[name]) for name in one.to_arrays())
    assert not np.array_equal(one.feature, other.feature)
    many = np.random.default_rng(0).uniform(0, 60, (6, 9000)).astype(np.float32)
    assert np.array_equal(one.predict(many, threads=1), one.predict(many, threads=3))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 9))
def test_limits_are_kept(seed, depth, min_leaf):
    points, labels = noisy(80, features=3, seed=seed, values=9)
    tree = grow(points, labels, depth=depth, min_leaf=min_leaf, classes=3, candidates=1, seed=seed)
    lengths = tree.path_lengths(points.T)[:, 0]
    assert lengths.max() <= depth
    shares = tree.predict(points.T)
    _, sizes = np.unique(np.column_stack([shares, lengths]), axis=0, return_counts=True)
    assert sizes.min() >= min_leaf
    np.testing.assert_allclose(tree.posterior.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(shares.mean(0), np.bincount(labels, minlength=3) / 80, atol=1e-5)


def test_many_values_fall_into_bins_of_like_size():
    values = np.random.default_rng(0).normal(size=(1, 10_000)).astype(np.float32)
    bins = Bins.of(values)
    codes = bins.sort(values)[0]
    assert np.bincount(codes).min() >= 38
    assert (bins.lowest[0][codes] <= values[0]).all()
    assert (values[0] <= bins.highest[0][codes]).all()
    assert (bins.highest[0, :-1] < bins.lowest[0, 1:]).all()
    beyond = bins.sort(np.array([[-99.0, 99.0]], np.float32))[0]
    assert beyond.tolist() == [0, 255]
    few = Bins.of(np.array([[3.0, 1.0, 3.0, 2.0]], np.float32))
    assert few.lowest[0, :4].tolist() == [1, 2, 3, np.inf]


# Degenerate


def test_nothing_to_decide():
    assert grow([[1], [2]], [1, 1], classes=3).posterior.tolist() == [[0, 1, 0]], "one class"
    assert grow([[1, 2], [1, 2], [1, 2]], [0, 1, 1]).posterior.tolist() == [[np.float32(1 / 3), np.float32(2 / 3)]], (
        "no difference"
    )
    assert grow([[5]], [0]).predict(np.zeros((1, 3))).tolist() == [[1]] * 3, "one point"
    assert grow([[0], [1]], [0, 1], depth=0).posterior.tolist() == [[0.5, 0.5]], "no question: the shares of the classes"
    empty = grow([[0], [1]], [0, 1]).predict(np.zeros((1, 0)))
    assert empty.shape == (0, 2)


def test_neighbouring_floats_are_told_apart():
    below = np.float32(1)
    above = np.nextafter(below, np.float32(2))
    tree = grow([[below], [above]], [0, 1])
    assert tree.predict(np.array([[below, above]])).tolist() == [[1, 0], [0, 1]]


def test_arrays_come_back_and_contradictions_are_refused():
    forest = grow(*noisy(50))
    arrays = forest.to_arrays()
    assert all(np.array_equal(arrays[name], Trees.from_arrays(arrays).to_arrays()[name]) for name in arrays)
    with pytest.raises(KeyError, match="threshold"):
        Trees.from_arrays({name: array for name, array in arrays.items() if name != "threshold"})
    loop = forest.child.copy()
    loop[0] = 0
    beyond = forest.child.copy()
    beyond[np.flatnonzero(forest.feature >= 0)[-1]] = len(beyond)
    changes = {"threshold": forest.threshold[1:], "posterior": forest.posterior[:-1], "roots": forest.roots + 10**6}
    for change in [*({name: array} for name, array in changes.items()), {"child": loop}, {"child": beyond}]:
        with pytest.raises(ValueError, match=re.escape("the arrays of its trees contradict each other")):
            Trees.from_arrays({**arrays, **change})
