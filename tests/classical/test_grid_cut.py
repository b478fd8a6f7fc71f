"""Exact cuts of grids and graphs."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from intarsia.classical._graph_cut import arrange_arcs, graph_cut
from intarsia.classical._grid_cut import grid_cut
from intarsia.core import SettingsError

NAMES = ("right", "down", "down_right", "down_left", "left", "up", "up_left", "up_right")


def grid_edges(height: int, width: int) -> dict[str, np.ndarray]:
    """(E, 2) node pairs of each of the four directions."""
    ids = np.arange(height * width).reshape(height, width)
    pairs = {
        "right": (ids[:, :-1], ids[:, 1:]),
        "down": (ids[:-1], ids[1:]),
        "down_right": (ids[:-1, :-1], ids[1:, 1:]),
        "down_left": (ids[:-1, 1:], ids[1:, :-1]),
    }
    return {name: np.stack([a.ravel(), b.ravel()], 1) for name, (a, b) in pairs.items()}


def random_grid(rng: np.random.Generator, height: int, width: int, top: int = 20) -> dict[str, np.ndarray]:
    """Integer capacities of an 8-connected grid, both ways, many of them 0."""

    def draw(*shape: int) -> np.ndarray:
        return rng.integers(0, top, shape) * rng.integers(0, 2, shape)

    across, along = (height, width - 1), (height - 1, width)
    shapes = dict(zip(NAMES, [across, along, *[(height - 1, width - 1)] * 2] * 2, strict=True))
    shapes["left"], shapes["up"] = across, along
    caps = {f"{name}_caps": draw(*shapes[name]) for name in NAMES}
    return {"source_caps": draw(height, width), "sink_caps": draw(height, width), **caps}


def as_graph(caps: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges, forward and backward capacities of the same problem."""
    edges = grid_edges(*caps["source_caps"].shape)
    forward = np.concatenate([caps[f"{name}_caps"].ravel() for name in edges])
    backward = np.concatenate([caps[f"{name}_caps"].ravel() for name in ("left", "up", "up_left", "up_right")])
    return np.concatenate(list(edges.values())), forward, backward


def cost(caps: dict[str, np.ndarray], cut: np.ndarray) -> float:
    edges, forward, backward = as_graph(caps)
    low, high = cut.ravel()[edges].T
    terminals = caps["source_caps"][cut].sum() + caps["sink_caps"][~cut].sum()
    return float(terminals + forward[~low & high].sum() + backward[low & ~high].sum())


def scipy_flow(caps: dict[str, np.ndarray]) -> int:
    edges, forward, backward = as_graph(caps)
    count = caps["source_caps"].size
    pixels = np.arange(count)
    tails = np.concatenate([edges[:, 0], edges[:, 1], np.full(count, count), pixels])
    heads = np.concatenate([edges[:, 1], edges[:, 0], pixels, np.full(count, count + 1)])
    values = np.concatenate([forward, backward, caps["source_caps"].ravel(), caps["sink_caps"].ravel()]).astype(np.int32)
    return int(maximum_flow(csr_array((values, (tails, heads)), shape=(count + 2, count + 2)), count, count + 1).flow_value)


def test_three_pixels_by_hand() -> None:
    flow, cut = grid_cut(np.array([[5, 0, 0]]), np.array([[0, 1, 4]]), np.array([[2, 3]]), np.zeros((0, 3)))
    assert flow == 2
    assert cut.tolist() == [[False, True, True]]
    flow, cut = graph_cut(
        np.array([5, 0, 0]), np.array([0, 1, 4]), np.array([[0, 1], [2, 1]]), np.array([2, 3]), np.array([2, 0])
    )
    assert flow == 1, "the arc from node 1 to node 2 holds nothing back"
    assert cut.tolist() == [False, False, True]


def test_an_arc_counts_one_way_only() -> None:
    ends = np.array([[9, 0]]), np.array([[0, 9]])
    assert grid_cut(*ends, np.array([[1]]), np.zeros((0, 2)), left_caps=np.array([[7]]))[0] == 1
    assert grid_cut(*ends[::-1], np.array([[1]]), np.zeros((0, 2)), left_caps=np.array([[7]]))[0] == 7


@pytest.mark.parametrize("seed", range(3))
def test_no_labelling_of_a_small_grid_is_cheaper(seed: int) -> None:
    caps = random_grid(np.random.default_rng(seed), 3, 4)
    flow, cut = grid_cut(**caps)
    costs = {bits: cost(caps, np.array(bits, bool).reshape(3, 4)) for bits in product((0, 1), repeat=12)}
    assert flow == cost(caps, cut) == min(costs.values())
    assert cut.sum() == min(sum(bits) for bits, value in costs.items() if value == flow), "the fewest True of the cheapest"


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 9), width=st.integers(1, 9), eight=st.booleans())
def test_the_flow_is_scipys_and_the_cut_costs_it(seed: int, height: int, width: int, eight: bool) -> None:
    caps = random_grid(np.random.default_rng(seed), height, width)
    if not eight:
        for name in ("down_right", "down_left", "up_left", "up_right"):
            caps[f"{name}_caps"][:] = 0
    given = caps if eight else {key: value for key, value in caps.items() if key.count("_") == 1}
    flow, cut = grid_cut(**given)
    assert flow == scipy_flow(caps) == cost(caps, cut)
    edges, forward, backward = as_graph(caps)
    graph_flow, graph_labels = graph_cut(caps["source_caps"].ravel(), caps["sink_caps"].ravel(), edges, forward, backward)
    assert graph_flow == flow
    assert np.array_equal(graph_labels.reshape(cut.shape), cut)


def test_a_photographs_size_with_long_paths() -> None:
    rng = np.random.default_rng(0)
    caps = random_grid(rng, 60, 90, 100)
    caps["source_caps"][:] = caps["sink_caps"][:] = 0
    caps["source_caps"][:, 0] = caps["sink_caps"][:, -1] = 10**6
    flow, cut = grid_cut(**caps)
    assert flow == scipy_flow(caps) == cost(caps, cut)


def test_float_capacities_and_scale() -> None:
    rng = np.random.default_rng(1)
    source, sink, right, down = rng.random((20, 30)), rng.random((20, 30)), rng.random((20, 29)), rng.random((19, 30))
    flow, cut = grid_cut(source, sink, right, down)
    zero = {key: np.zeros_like(value) for key, value in random_grid(rng, 20, 30).items()}
    caps = zero | {
        "source_caps": source,
        "sink_caps": sink,
        "right_caps": right,
        "left_caps": right,
        "down_caps": down,
        "up_caps": down,
    }
    assert flow == pytest.approx(cost(caps, cut), rel=1e-12)
    scaled, same = grid_cut(*(8 * part for part in (source, sink, right, down)))
    assert scaled == pytest.approx(8 * flow, rel=1e-12)
    assert np.array_equal(same, cut)


def test_swapping_source_and_sink_turns_the_cut_round() -> None:
    rng = np.random.default_rng(2)
    source, sink, right, down = rng.random((9, 7)), rng.random((9, 7)), rng.random((9, 6)), rng.random((8, 7))
    flow, cut = grid_cut(source, sink, right, down)
    other_flow, other = grid_cut(sink, source, right, down)
    assert other_flow == pytest.approx(flow, rel=1e-12)
    assert np.array_equal(other, ~cut)


def test_nothing_to_cut() -> None:
    flow, cut = grid_cut(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros((1, 0)), np.zeros((0, 1)))
    assert (flow, cut.tolist()) == (0, [[False]])
    flow, labels = graph_cut(np.array([1, 3]), np.array([2, 0]), np.zeros((0, 2), int), np.zeros(0))
    assert (flow, labels.tolist()) == (1, [True, False])
    parallel = np.array([[0, 1], [0, 1]])
    assert graph_cut(np.array([9, 0]), np.array([0, 9]), parallel, np.array([2, 3]))[0] == 5, "parallel edges add"


def test_arcs_know_their_reverse() -> None:
    edges = np.array([[2, 0], [0, 1], [3, 2]])
    arcs = arrange_arcs(edges, 5)
    assert arcs.first.tolist() == [0, 2, 3, 5, 6, 6]
    assert np.array_equal(arcs.reverse[arcs.reverse], np.arange(6))
    assert np.array_equal(arcs.head[arcs.forward], edges[:, 1])
    assert np.array_equal(arcs.head[arcs.reverse[arcs.forward]], edges[:, 0])


def test_wrong_capacities_are_named() -> None:
    good, across, along = np.ones((4, 5)), np.ones((4, 4)), np.ones((3, 5))
    with pytest.raises(SettingsError, match=r"right_caps has shape \(4, 5\); \(4, 4\) is expected"):
        grid_cut(good, good, good, along)
    with pytest.raises(SettingsError, match=r"sink_caps holds -1; capacities are 0 or more"):
        grid_cut(good, -good, across, along)
    with pytest.raises(SettingsError, match=r"source_caps holds a value that is not finite\. To tie a pixel"):
        grid_cut(np.inf * good, good, across, along)
    with pytest.raises(SettingsError, match=r"source_caps has shape \(4,\); \(H, W\)"):
        grid_cut(good[:, 0], good, across, along)
    with pytest.raises(SettingsError, match=r"Edges join nodes 0 to 4, and there are 3"):
        graph_cut(np.ones(3), np.ones(3), np.array([[0, 4]]), np.ones(1))
    with pytest.raises(SettingsError, match=r"Edges are int64 of shape \(1, 3\)"):
        graph_cut(np.ones(3), np.ones(3), np.array([[0, 1, 2]]), np.ones(1))
