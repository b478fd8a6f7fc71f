"""Distances between the surfaces of truth and prediction: Hausdorff, its 95th percentile, and the average symmetric one.

The surface of a class are its pixels (voxels) with one of another class beside one of their faces; the outside of the image is
outside of every class. From each surface point of either side the Euclidean distance to the nearest of the other is taken:

    Hausdorff = the largest,    Hausdorff 95 = the larger of the 95th percentiles of either way
    average symmetric (ASSD) = the sum over the points of both ways / their number

Tools differ here: MedPy takes one percentile of both ways together, this file that of each, as Metrics Reloaded and DeepMind's
surface-distance do. Distances have the unit of `spacing`, the distance of neighbouring pixels along each axis; with the default
they are in pixels. Each score is the mean over the images in which both sides have the class. Where one side alone has it there
is no distance; such images are counted, since leaving them out flatters. Pixels that the truth ignores make no surface. It merges
over images and processes, not over tiles.

Source: Huttenlocher et al., "Comparing Images Using the Hausdorff Distance", 1993; Maier-Hein et al., "Metrics Reloaded", 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from intarsia.core import Array, ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._pairing import need_same_size, shared_classes
from intarsia.metrics._scores import RowScores, mean_defined, ratio

__all__ = [
    "SurfaceDistanceEvidence",
    "observe_surface_distance",
    "observe_volume_surface_distance",
    "score_surface_distance",
    "score_tallies",
    "surface_distances",
]

DISTANCES = ("hausdorff", "hausdorff_95", "average_distance")


class SurfaceDistanceEvidence(RowEvidence):
    """Tallies (I, 6, K), by class: the distances in the order of `DISTANCES`, then 1 where both sides have the class, where only
    the truth has it, and where only the prediction has it.

    `about` holds the names of the classes and the spacing.
    """


def observe_surface_distance(
    prediction: LabelMap, truth: LabelMap, key: str, *, spacing: Sequence[float] = (1.0, 1.0)
) -> SurfaceDistanceEvidence:
    """Measure the surfaces of one image.

    Args:
        prediction: label map with classes.
        truth: label map of the same size, with classes of the same names in the same order.
        key: names the image.
        spacing: distance of neighbouring pixels along rows and columns (y, x), in any unit, such as mm.

    Raises:
        SegmentationError: regions without classes, or sizes that differ.
        ClassSpaceError: other classes.
        SettingsError: a spacing that does not fit.
    """
    classes = shared_classes(prediction, truth, key)
    return observe_volume_surface_distance(prediction.ids, truth.ids, classes, key, spacing=spacing)


def observe_volume_surface_distance(
    prediction: Array, truth: Array, classes: ClassSpace, key: str, *, spacing: Sequence[float]
) -> SurfaceDistanceEvidence:
    """The same for a volume.

    Args:
        prediction: (D, H, W) integer class ids; any other id is no class.
        truth: likewise; `classes.ignore_id` marks voxels without truth.
        classes: the K classes.
        key: names the volume.
        spacing: distance of neighbouring voxels along each axis (z, y, x).

    Raises:
        SegmentationError: sizes that differ.
        SettingsError: a spacing that does not fit.
    """
    need_same_size(prediction.shape, truth.shape, key)
    steps = np.asarray(spacing, np.float64)
    if steps.shape != (truth.ndim,) or not (steps > 0).all():
        raise SettingsError(f"{key}: the spacing is {tuple(spacing)}; {truth.ndim} numbers above 0 fit, one for each axis.")
    valid = truth != classes.ignore_id
    sides = [_surface_points(ids, valid) for ids in (prediction, truth)]
    tallies = np.zeros((6, len(classes)))
    for index in range(len(classes)):
        predicted, true = (points[owner == index] * steps for points, owner in sides)
        if len(predicted) and len(true):
            tallies[:4, index] = *surface_distances(predicted, true), 1
        else:
            tallies[4:, index] = len(true) > 0, len(predicted) > 0
    return SurfaceDistanceEvidence((classes.names, tuple(steps.tolist())), (key,), tallies[None])


def surface_distances(points: Array, other: Array) -> tuple[float, float, float]:
    """Hausdorff, Hausdorff 95 and average symmetric distance of two sets of points, (M, D) and (N, D), neither empty.

    Raises:
        SegmentationError: an empty set, which is at no distance from anything.
    """
    if not len(points) or not len(other):
        raise SegmentationError(f"Of two sets of {len(points)} and {len(other)} points one is empty, so there is no distance.")
    from scipy.spatial import KDTree

    there, back = KDTree(other).query(points)[0], KDTree(points).query(other)[0]
    percentile = max(np.percentile(there, 95), np.percentile(back, 95))
    return float(max(there.max(), back.max())), float(percentile), float((there.sum() + back.sum()) / (len(there) + len(back)))


def score_surface_distance(evidence: SurfaceDistanceEvidence) -> RowScores:
    """The `DISTANCES` of each class and their means over classes; `both`, `truth_only` and `prediction_only` count images."""
    return RowScores.of_evidence(
        evidence, score_tallies, "mean over the images in which both sides have the class", evidence.about[0]
    )


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (R, 6, K), for `intarsia.metrics.bootstrap`."""
    tallies = np.asarray(tallies, np.float64)
    each = {name: ratio(tallies[..., row, :], tallies[..., 3, :]) for row, name in enumerate(DISTANCES)}
    counts = {name: tallies[..., 3 + row, :] for row, name in enumerate(("both", "truth_only", "prediction_only"))}
    return {**{f"mean_{name}": mean_defined(values) for name, values in each.items()}, **each, **counts}


def _surface_points(ids: Array, valid: Array) -> tuple[Array, Array]:
    """(M, D) positions of the pixels on a surface of any class, and (M,) their ids, in one pass for all classes."""
    surface = np.zeros(ids.shape, np.bool_)
    for axis in range(ids.ndim):
        one, other = ((slice(None),) * axis + (cut,) for cut in (slice(None, -1), slice(1, None)))
        differ = (ids[one] != ids[other]) & valid[one] & valid[other]
        surface[one] |= differ
        surface[other] |= differ
        np.moveaxis(surface, axis, 0)[[0, -1] if ids.shape[axis] else []] = True
    surface &= valid
    return np.argwhere(surface), ids[surface]
