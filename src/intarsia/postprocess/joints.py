"""Joints of a body from what the pixels of a depth image belong to: modes of the density of each part in space.

Shotton et al., "Real-Time Human Pose Recognition in Parts from Single Depth Images", CVPR 2011, section 3.4.

Every pixel stands for a point in space, weighted by w = P(part) d^2, the area that it covers at its depth d. Mean shift with a
Gaussian climbs from the pixels that are likely enough; a mode is a proposal, whose score is the weight of the pixels that reach
it, and is pushed back from the skin into the body. Parts come from any predictor that gives probabilities, a forest or a network.

Deviations: at most 64 pixels, evenly taken, start a climb, each for those left out; pixels below 2 % play no part in a density.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numba import njit

from intarsia.core import Array, SettingsError

__all__ = ["JointFinder", "Proposals", "back_project", "joint_precision"]

_STARTS = 64
_NEGLIGIBLE = 0.02
_STEPS = 50


class Proposals(NamedTuple):
    """Places proposed for one joint, the best first.

    places_m: (Q, 3) metres.
    scores: (Q,) larger is surer; square metres of skin, if parts are sure.
    """

    places_m: Array
    scores: Array


@dataclass(frozen=True)
class JointFinder:
    """How to find J joints.

    Args:
        parts: class ids whose probabilities add up to that of the part around each joint.
        bandwidth_m: (J,) of the Gaussian exp(-|x - p|^2 / b^2).
        threshold: (J,) probability from which a pixel starts a climb.
        push_back_m: (J,) from the mode on the skin to the joint, along z.

    Raises:
        SettingsError: settings of different lengths, or a bandwidth that is not larger than 0.
    """

    parts: Sequence[Sequence[int]]
    bandwidth_m: Sequence[float]
    threshold: Sequence[float]
    push_back_m: Sequence[float]

    def __post_init__(self) -> None:
        lengths = {len(values) for values in (self.parts, self.bandwidth_m, self.threshold, self.push_back_m)}
        if len(lengths) > 1:
            raise SettingsError(f"JointFinder has settings for {sorted(lengths)} joints; one value for each joint is expected.")
        if min(self.bandwidth_m) <= 0:
            raise SettingsError(f"A bandwidth of JointFinder is {min(self.bandwidth_m)} m; it is larger than 0.")

    @classmethod
    def published(cls, parts: Sequence[Sequence[int]]) -> JointFinder:
        """The means of the paper's settings for every joint: 0.065 m, 0.14 and 0.039 m."""
        return cls(parts, [0.065] * len(parts), [0.14] * len(parts), [0.039] * len(parts))

    def find(self, points_m: Array, prob: Array) -> list[Proposals]:
        """Propose places for each joint.

        Args:
            points_m: (N, 3) of the pixels that show something, x right, y down, z away.
            prob: (N, K) of the classes.

        Returns:
            J proposals, empty where no pixel is likely enough.
        """
        points = np.ascontiguousarray(points_m, np.float64)
        found = []
        for ids, bandwidth, threshold, back in zip(self.parts, self.bandwidth_m, self.threshold, self.push_back_m, strict=True):
            share = prob[:, list(ids)].sum(1, dtype=np.float64)
            near = np.flatnonzero(share >= min(_NEGLIGIBLE, threshold))
            own, weights = points[near], share[near] * points[near, 2] ** 2
            starts = np.flatnonzero(share[near] >= threshold)
            modes, scores = _modes(own, weights, starts, bandwidth)
            order = np.argsort(-scores, kind="stable")
            found.append(Proposals(modes[order] + np.array([0, 0, back]), scores[order]))
        return found

    def pushed_back(self, proposals: Sequence[Sequence[Proposals]], joints_m: Sequence[Array]) -> JointFinder:
        """The same finder with the push back that fits examples best.

        Args:
            proposals: J proposals of each example, of this finder.
            joints_m: (J, 3) true places of each example.
        """
        lengths = []
        for joint, back in enumerate(self.push_back_m):
            short = [0.0]
            for found, true in zip(proposals, joints_m, strict=True):
                aside = found[joint].places_m[:1] - true[joint]
                short += [float(-z) for x, y, z in aside if np.hypot(x, y) < 0.1 and abs(z) < 0.2]
            lengths.append(back + float(np.median(short[1:] or short)))
        return replace(self, push_back_m=lengths)


def back_project(depth_mm: Array, places: Array, focal_px: float) -> Array:
    """(N, 3) metres: what pixels (N, 2), row and column, of a depth image (H, W) see; the camera looks at its middle."""
    height, width = depth_mm.shape
    z = depth_mm[places[:, 0], places[:, 1]] / 1000.0
    x = (places[:, 1] - 0.5 * (width - 1)) * z / focal_px
    y = (places[:, 0] - 0.5 * (height - 1)) * z / focal_px
    return np.stack([x, y, z], 1)


def joint_precision(proposals: Sequence[Proposals], true_m: Array, *, within_m: float = 0.1) -> float:
    """Average precision of one joint over images, the area under the curve of precision over recall; Shotton et al., section 4.

    Proposals of all images go from the highest score down. The first within the distance of its image's joint is right, every
    other proposal is wrong; joints without one are missed.

    Args:
        proposals: of each image.
        true_m: (I, 3), where the joint is; a row of NaN where it is not to be found.
        within_m: largest distance.

    Returns:
        In [0, 1]; NaN if there is no joint to be found.
    """
    scores, right = [], []
    for found, true in zip(proposals, true_m, strict=True):
        near = np.linalg.norm(found.places_m - true, axis=1) <= within_m
        first = np.arange(len(near)) == (near.argmax() if near.any() else -1)
        scores.append(found.scores)
        right.append(first)
    wanted = int((~np.isnan(true_m).any(1)).sum())
    if not wanted:
        return float("nan")
    hits = np.concatenate(right)[np.argsort(-np.concatenate(scores), kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / wanted)


def _modes(points: Array, weights: Array, starts: Array, bandwidth: float) -> tuple[Array, Array]:
    """(Q, 3) modes that climbs from some of the points end at, and (Q,) the weight of the points that they stand for."""
    if not len(starts):
        return np.zeros((0, 3)), np.zeros(0)
    chosen = starts[np.linspace(0, len(starts) - 1, min(len(starts), _STARTS)).astype(int)]
    ends = points[chosen].copy()
    _climb(points, weights, ends, bandwidth)
    worth = weights[chosen] * (weights[starts].sum() / weights[chosen].sum())
    modes: list[Array] = []
    scores: list[float] = []
    for end, weight in zip(ends, worth, strict=True):
        near = [i for i, mode in enumerate(modes) if ((mode - end) ** 2).sum() < (bandwidth / 2) ** 2]
        if near:
            scores[near[0]] += float(weight)
        else:
            modes.append(end)
            scores.append(float(weight))
    return np.array(modes), np.array(scores)


@njit(nogil=True, cache=True)
def _climb(points: Array, weights: Array, at: Array, bandwidth: float) -> None:
    """Move each place, in place, to the weighted mean around it until that is nearer than bandwidth / 1000."""
    per_square = 1 / bandwidth**2
    for place in at:
        for _ in range(_STEPS):
            total, x, y, z = 0.0, 0.0, 0.0, 0.0
            for i in range(len(points)):
                dx, dy, dz = points[i, 0] - place[0], points[i, 1] - place[1], points[i, 2] - place[2]
                squared = (dx * dx + dy * dy + dz * dz) * per_square
                if squared < 16:  # beyond, the Gaussian is below 2e-7
                    share = weights[i] * np.exp(-squared)
                    total += share
                    x, y, z = x + share * dx, y + share * dy, z + share * dz
            if total == 0:
                break
            x, y, z = x / total, y / total, z / total
            place[0], place[1], place[2] = place[0] + x, place[1] + y, place[2] + z
            if (x * x + y * y + z * z) * per_square < 1e-6:
                break
