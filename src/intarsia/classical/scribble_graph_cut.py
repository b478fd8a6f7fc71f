"""Scribbles by graph cut: the cheapest border between what was scribbled, for the colours of each side and the contrast.

Boykov, Jolly, "Interactive Graph Cuts for Optimal Boundary & Region Segmentation of Objects in N-D Images", ICCV 2001.

Idea: a pixel costs -log of how often its colour occurs under the scribbles of its class, and two neighbours of different classes
cost exp(-dz^2 / 2 sigma^2) / distance, so that a border prefers edges of the image. For two classes the cheapest segmentation
that keeps every scribble is a minimum cut, found exactly.

Source: equations 1 to 3 and table 1, with 8 neighbours; sigma^2 is the mean of dz^2; colour histograms are smoothed by one bin.
Deviation: more than two classes are cut by alpha-expansion (Boykov, Veksler, Zabih 2001), whose cost is within twice the least.
Limits: thin parts are cut off where the border is long for little area; two classes of like colours are told apart by contrast
only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from intarsia.classical._expansion import expansion
from intarsia.classical._mrf_energy import Energy, potts
from intarsia.classical._pixels import as_byte_color
from intarsia.classical._two_sides import cut_in_two, neighbour_weights
from intarsia.core import Array, Hints, SettingsError

__all__ = ["ScribbleCut", "scribble_cut", "scribble_graph_cut"]

RESULT = "hinted"
HINTS = ("scribbles", "points")


class ScribbleCut(NamedTuple):
    """ids: (H, W) int32 class ids. energy: what they cost. problem: the energy that was minimised, labels by class id."""

    ids: Array
    energy: float
    problem: Energy


def scribble_graph_cut(image: Array, hints: Hints, *, smoothness: float = 20.0, bins: int = 16) -> Array:
    """Give each pixel a class of the scribbles by the cheapest cut that keeps them.

    Args:
        image: (H, W, C), any range of its dtype; of more than three channels three count.
        hints: points and scribbles with class ids.
        smoothness: cost of a border between two like neighbours, against the -log of a colour's share; 0 looks at colour alone.
        bins: of the histograms, in each channel.

    Returns:
        (H, W) int32 class ids, those of the hints.

    Raises:
        SettingsError: a negative smoothness, bins outside 1 to 256, or hints without any point or scribbled pixel.
    """
    return scribble_cut(image, hints, smoothness=smoothness, bins=bins).ids


def scribble_cut(image: Array, hints: Hints, *, smoothness: float = 20.0, bins: int = 16) -> ScribbleCut:
    """The cut with its energy; arguments as of `scribble_graph_cut`."""
    if smoothness < 0 or not 1 <= bins <= 256:
        raise SettingsError(f"smoothness is {smoothness} and bins {bins}; the first is 0 or more, the second 1 to 256.")
    size = image.shape[0], image.shape[1]
    seeds = hints.seeds(size).ravel()
    classes = np.unique(seeds[seeds >= 0])
    if not len(classes):
        raise SettingsError("The hints hold no point and no scribbled pixel; a graph cut needs one of each class at least.")
    colors = as_byte_color(image).reshape(-1, 3)
    edges, weights = neighbour_weights(colors.astype(np.float64), size)
    weights *= smoothness
    unary = _color_costs(colors, seeds, classes, bins)
    border = np.bincount(edges.ravel(), np.repeat(weights, 2), len(seeds)).max(initial=0)
    said = seeds >= 0
    unary[said] = np.where(seeds[said, None] == classes, 0, 1 + border)  # 0 and K of table 1
    problem = Energy(unary, edges, weights, potts(len(classes)))
    labels = _solve(problem, size)
    return ScribbleCut(np.asarray(classes[labels], np.int32).reshape(size), problem.cost(labels), problem)


def _color_costs(colors: Array, seeds: Array, classes: Array, bins: int) -> Array:
    """(N, K) -log Pr(colour | class), from histograms (smoothed, with one pixel of every colour spread over all bins)."""
    from scipy.ndimage import gaussian_filter

    codes = colors.astype(np.int64) * bins // 256
    code = np.ravel_multi_index(tuple(codes.T), (bins,) * 3)
    costs = np.empty((len(colors), len(classes)))
    for column, number in enumerate(classes):
        counts = np.bincount(code[seeds == number], minlength=bins**3).astype(np.float64)
        smooth = gaussian_filter(counts.reshape((bins,) * 3), 1, mode="constant").ravel()
        costs[:, column] = -np.log((smooth + 1 / bins**3) / (smooth.sum() + 1))[code]
    return costs


def _solve(problem: Energy, size_hw: tuple[int, int]) -> Array:
    """(N,) labels: exact for two classes, by expansion for more."""
    count = problem.unary.shape[1]
    if count == 1:
        return np.zeros(len(problem.unary), np.int32)
    if count > 2:
        return expansion(problem).labels
    _, second = cut_in_two(problem.unary, problem.weights, size_hw)
    return np.asarray(second.ravel(), np.int32)
