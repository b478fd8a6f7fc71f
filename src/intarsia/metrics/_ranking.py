"""Evidence of objects that are ranked by their scores over all images, which does not pool by addition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np

from intarsia.core import Array, SegmentationError, SettingsError
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._scores import RowScores

__all__ = ["FALSE", "IGNORED", "TRUE", "ImageEvidence", "RankedImage", "average_precisions", "ranked", "truths_by_image"]

FALSE, TRUE, IGNORED = 0, 1, -1
"""What became of a predicted object."""

Image = TypeVar("Image")
Curve = Callable[[Array, Array, float], Array]


@dataclass(frozen=True, eq=False)
class ImageEvidence(Generic[Image]):
    """What was seen in each image, kept apart. Merges by `+` over images and processes.

    Args:
        about: what it was seen of, such as the classes and the settings; only equal ones merge.
        keys: I names of images; a key comes again for another annotator.
        images: one entry for each key.
    """

    about: tuple[object, ...]
    keys: tuple[str, ...]
    images: tuple[Image, ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.keys):
            raise SegmentationError(f"{type(self).__name__} has {len(self.keys)} keys and {len(self.images)} images.")

    def __add__(self, other: Self) -> Self:
        return self.concatenate([self, other])

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Merge many at once.

        Raises:
            SettingsError: nothing to merge, or evidence of another metric, other classes or other settings.
        """
        if not parts:
            raise SettingsError("There is no evidence to merge: nothing was observed.")
        first = parts[0]
        for part in parts[1:]:
            if type(part) is not type(first) or part.about != first.about:
                raise SettingsError(
                    f"{type(first).__name__} of {first.about} does not merge with {type(part).__name__} of {part.about}: "
                    "classes and settings must be the same."
                )
        keys = tuple(key for part in parts for key in part.keys)
        return replace(first, keys=keys, images=tuple(image for part in parts for image in part.images))

    @property
    def draws(self) -> RowEvidence:
        """Rows (I, I) that pool to how often each image was drawn, for `intarsia.metrics.bootstrap`."""
        return RowEvidence(("draws",), self.keys, np.eye(len(self.keys)))

    def beside(self, other: Self) -> tuple[Self, RowEvidence, RowEvidence]:
        """The evidence of two models on the same images together, and the `draws` of either from it, for a paired test.

        `both, ours, theirs = one.beside(other); paired_test(ours, theirs, coco_ap_of_draws(both))`.
        """
        both = self.concatenate([self, other])
        rows, count = np.eye(len(both.keys)), len(self.keys)
        return both, RowEvidence(("draws",), self.keys, rows[:count]), RowEvidence(("draws",), other.keys, rows[count:])

    @property
    def names(self) -> tuple[str, ...]:
        """The K classes, which `about` names second."""
        names = self.about[1]
        return tuple(map(str, names)) if isinstance(names, tuple) else ()

    def score(self, score_draws: Callable[[Array], Mapping[str, Array]]) -> RowScores:
        """The scores when each image is drawn once."""
        values = {name: of_one[0] for name, of_one in score_draws(np.ones((1, len(self.keys)))).items()}
        return RowScores("objects of all images ranked together", self.names, values, len(self.keys))


class RankedImage(NamedTuple):
    """The D predicted objects of an image, matched to its truth at each of T thresholds.

    class_id: (D,) int.
    score: (D,) float.
    outcome: (D, T) int8, `TRUE`, `FALSE` or `IGNORED`.
    truths: (K,) int true objects of each class.
    """

    class_id: Array
    score: Array
    outcome: Array
    truths: Array


def ranked(score: Array | None, count: int) -> Array:
    """Scores as they are ranked: 1 for each object where there are none."""
    return np.ones(count) if score is None else np.asarray(score, np.float64)


def truths_by_image(evidence: ImageEvidence[RankedImage]) -> Array:
    """(I, K) true objects."""
    return np.stack([image.truths for image in evidence.images])


def average_precisions(evidence: ImageEvidence[RankedImage], draws: Array, curve: Curve, *, ties_together: bool) -> Array:
    """(R, K, T) average precision of R draws of the images; NaN for a class without a true object.

    Args:
        evidence: I images.
        draws: (R, I), how often each image counts.
        curve: true and false positives (D, T), counted from the highest score down, and the number of true objects, to (T,).
        ties_together: whether objects of one score are one point of the curve.
    """
    truths = draws @ truths_by_image(evidence)
    owner = np.repeat(np.arange(len(evidence.images)), [len(image.score) for image in evidence.images])
    class_id, score, outcome = (np.concatenate([image[part] for image in evidence.images]) for part in range(3))
    ap = np.full((len(draws), truths.shape[1], outcome.shape[1]), np.nan)
    for class_index in range(truths.shape[1]):
        chosen = np.flatnonzero(class_id == class_index)
        if not len(chosen):
            ap[truths[:, class_index] > 0, class_index] = 0.0
            continue
        chosen = chosen[np.argsort(-score[chosen], kind="stable")]
        points = np.append(np.flatnonzero(np.diff(score[chosen])), len(chosen) - 1) if ties_together else np.arange(len(chosen))
        is_true, is_false = outcome[chosen] == TRUE, outcome[chosen] == FALSE
        for draw in np.flatnonzero(truths[:, class_index]):
            times = draws[draw, owner[chosen], None]
            true, false = np.cumsum(times * is_true, 0)[points], np.cumsum(times * is_false, 0)[points]
            ap[draw, class_index] = curve(true, false, float(truths[draw, class_index]))
    return ap
