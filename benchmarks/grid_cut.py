"""The exact cut of an image grid, against PyMaxflow in the same run where it is installed (GPL, so a peer and no dependency).

    python benchmarks/grid_cut.py

481 x 321 pixels, each with building the graph; processor time of one thread, so that other work on the machine counts little.
`noise` has a random cost for either label at each pixel, `scribble` ties a disc to the source and the rim to the sink in a smooth
texture, `far` ties the left edge to one and the right edge to the other, the worst case: all flow takes long ways. At most 2
times PyMaxflow is asked. scipy's maximum flow, which takes whole numbers only, is timed on the scribbles.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from intarsia.classical._grid_cut import grid_cut
from intarsia.core import Array

try:
    import maxflow
except ImportError:
    maxflow = None

HEIGHT, WIDTH = 321, 481
STEPS = {"right": (0, 1), "down": (1, 0), "down_right": (1, 1), "down_left": (1, -1)}

Problem = dict[str, Array]


def texture(rng: np.random.Generator, steps: list[str]) -> Problem:
    """Whole capacities, small across the edges of a smooth texture."""
    image = cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH)), (0, 0), 2)
    image /= image.std()
    ends = {
        "right": (image[:, 1:], image[:, :-1]),
        "down": (image[1:], image[:-1]),
        "down_right": (image[1:, 1:], image[:-1, :-1]),
        "down_left": (image[1:, :-1], image[:-1, 1:]),
    }
    return {f"{step}_caps": np.rint(1000 * np.exp(-2 * (ends[step][0] - ends[step][1]) ** 2) + 10) for step in steps}


def noise(rng: np.random.Generator, steps: list[str]) -> Problem:
    caps = {name: np.full_like(values, 0.5) for name, values in texture(rng, steps).items()}
    return {"source_caps": rng.exponential(size=(HEIGHT, WIDTH)), "sink_caps": rng.exponential(size=(HEIGHT, WIDTH)), **caps}


def scribble(rng: np.random.Generator, steps: list[str]) -> Problem:
    source, sink = np.zeros((HEIGHT, WIDTH)), np.full((HEIGHT, WIDTH), 1e8)
    cv2.circle(source, (WIDTH // 2, HEIGHT // 2), 20, 1e8, -1)
    sink[1:-1, 1:-1] = 0
    return {"source_caps": source, "sink_caps": sink, **texture(rng, steps)}


def far(rng: np.random.Generator, steps: list[str]) -> Problem:
    source, sink = np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))
    source[:, :3] = sink[:, -3:] = 1e8
    return {"source_caps": source, "sink_caps": sink, **texture(rng, steps)}


def by_pymaxflow(problem: Problem) -> tuple[float, Array]:
    graph = maxflow.Graph[float](HEIGHT * WIDTH, 4 * HEIGHT * WIDTH)
    nodes = graph.add_grid_nodes((HEIGHT, WIDTH))
    for step, (dy, dx) in STEPS.items():
        if (caps := problem.get(f"{step}_caps")) is None:
            continue
        weights, structure = np.zeros((HEIGHT, WIDTH)), np.zeros((3, 3))
        left = max(0, -dx)
        weights[: caps.shape[0], left : left + caps.shape[1]] = caps
        structure[1 + dy, 1 + dx] = 1
        graph.add_grid_edges(nodes, weights, structure=structure, symmetric=True)
    graph.add_grid_tedges(nodes, problem["source_caps"], problem["sink_caps"])
    flow = graph.maxflow()
    return flow, graph.get_grid_segments(nodes)


def by_scipy(problem: Problem) -> float:
    ids, count = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH), HEIGHT * WIDTH
    tails, heads, caps = [np.full(count, count), ids.ravel()], [ids.ravel(), np.full(count, count + 1)], []
    for step, (dy, dx) in STEPS.items():
        if (weights := problem.get(f"{step}_caps")) is not None:
            left = max(0, -dx)
            one = ids[: HEIGHT - dy, left : left + weights.shape[1]].ravel()
            other = one + dy * WIDTH + dx
            tails, heads, caps = [*tails, one, other], [*heads, other, one], [*caps, weights.ravel(), weights.ravel()]
    values = np.concatenate([problem["source_caps"].ravel(), problem["sink_caps"].ravel(), *caps]).astype(np.int32)
    graph = csr_array((values, (np.concatenate(tails), np.concatenate(heads))), shape=(count + 2, count + 2))
    graph.eliminate_zeros()
    return float(maximum_flow(graph, count, count + 1).flow_value)


def best_seconds(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    grid_cut(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 1)), np.zeros((1, 2)))  # compiles
    for make, repeats in ((noise, 7), (scribble, 7), (far, 2)):
        for steps in (["right", "down"], list(STEPS)):
            problem = make(np.random.default_rng(0), steps)
            flow, cut = grid_cut(**problem)
            ours_s = best_seconds(lambda problem=problem: grid_cut(**problem), repeats)
            line = f"{make.__name__:9} {2 * len(steps)} neighbours   grid_cut {1e3 * ours_s:7.1f} ms"
            if maxflow is not None:
                their_flow, their_cut = by_pymaxflow(problem)
                if abs(flow - their_flow) > 1e-9 * flow or not np.array_equal(cut, their_cut):
                    raise SystemExit(f"{make.__name__}: flow {flow} and PyMaxflow's {their_flow} or their cuts differ")
                theirs_s = best_seconds(lambda problem=problem: by_pymaxflow(problem), repeats)
                line += f"   PyMaxflow {1e3 * theirs_s:7.1f} ms   ratio {ours_s / theirs_s:.2f}"
            if make is scribble:
                if flow != by_scipy(problem):
                    raise SystemExit(f"{make.__name__}: the flow differs from scipy's")
                line += f"   scipy {1e3 * best_seconds(lambda problem=problem: by_scipy(problem), 2):7.1f} ms"
            print(line)


if __name__ == "__main__":
    main()
