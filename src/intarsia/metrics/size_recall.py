"""Recall of truth segments by their size: which share of the small, the medium and the large ones was found.

A segment is a connected region of one class in the truth (8 neighbours). It is found if at least half of its pixels are predicted
as its class; no overlap with a predicted segment is asked for, since a label map cannot tell two touching objects apart. It is
small, medium or large by its share of the image, so the same picture at another resolution has the same score; the bounds are
those of COCO (32 x 32 and 96 x 96 pixels) in a picture of 480 x 640, which are exactly 1/300 and 3/100 of it. Counts add up over
images and processes; over tiles they do not, since a tile cuts segments.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and its detection evaluation, for the bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intarsia.core import Array, ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.metrics._pairing import need_same_classes, shared_classes
from intarsia.metrics._scores import ratio

__all__ = ["SizeRecallEvidence", "SizeRecallScores", "observe_size_recall", "score_size_recall"]

SIZES = ("small", "medium", "large")


@dataclass(frozen=True, eq=False)
class SizeRecallEvidence:
    """Counts of truth segments by class and size, one row for each image. Merges by `+`.

    Args:
        classes: the K classes.
        keys: I names of images; a key comes again for another annotator.
        counts: (I, K, 3, 2) int64, segments and those of them that were found, by class and by size as in `SIZES`.
    """

    classes: ClassSpace
    keys: tuple[str, ...]
    counts: Array

    def __post_init__(self) -> None:
        expected = (len(self.keys), len(self.classes), len(SIZES), 2)
        if self.counts.shape != expected:
            raise SegmentationError(
                f"SizeRecallEvidence has counts of shape {self.counts.shape}; {expected} fits its keys and classes."
            )

    def __add__(self, other: SizeRecallEvidence) -> SizeRecallEvidence:
        return self.concatenate([self, other])

    @staticmethod
    def concatenate(parts: Sequence[SizeRecallEvidence]) -> SizeRecallEvidence:
        """Merge many at once.

        Raises:
            SettingsError: nothing to merge.
            ClassSpaceError: evidence of other classes.
        """
        if not parts:
            raise SettingsError("There is no evidence to merge: nothing was observed.")
        for part in parts[1:]:
            need_same_classes(part.classes, parts[0].classes, "Evidence of two class spaces does not merge")
        keys = tuple(key for part in parts for key in part.keys)
        return SizeRecallEvidence(parts[0].classes, keys, np.concatenate([part.counts for part in parts]))


@dataclass(frozen=True, eq=False)
class SizeRecallScores:
    """Recall pooled over images: segments of all images are counted together.

    Args:
        classes: the K classes.
        segments: (K, 3) int64 truth segments, by size as in `SIZES`.
        found: (K, 3) int64, those of them that were found.
    """

    classes: ClassSpace
    segments: Array
    found: Array

    @property
    def recall(self) -> Array:
        """(K, 3) in [0, 1]; NaN where the truth has no segment of that class and size."""
        return ratio(self.found, self.segments)

    @property
    def recall_of_all(self) -> Array:
        """(3,), the segments of all classes together."""
        return ratio(self.found.sum(0), self.segments.sum(0))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a recall that is undefined is None. `from_dict` reads it back."""

        def plain(segments: Array, found: Array) -> dict[str, Any]:
            counts = zip(SIZES, segments.tolist(), found.tolist(), strict=True)
            return {size: {"segments": n, "found": k, "recall": k / n if n else None} for size, n, k in counts}

        rows = zip(self.classes.names, self.segments, self.found, strict=True)
        return {
            "pooling": "connected regions of the truth in all images counted together; found: half of the pixels are right",
            "share_of_image": {"small": [0, 1 / 300], "medium": [1 / 300, 0.03], "large": [0.03, 1]},
            "all": plain(self.segments.sum(0), self.found.sum(0)),
            "classes": [{"name": name, **plain(segments, found)} for name, segments, found in rows],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], classes: ClassSpace) -> SizeRecallScores:
        """Inverse of `to_dict`."""
        counts = np.array([[[row[size]["segments"], row[size]["found"]] for size in SIZES] for row in data["classes"]], np.int64)
        return cls(classes, counts[..., 0], counts[..., 1])


def observe_size_recall(prediction: LabelMap, truth: LabelMap, key: str) -> SizeRecallEvidence:
    """Count the truth segments of one image, and those that were found. Pixels that the truth ignores are in no segment.

    Args:
        prediction: label map with classes.
        truth: label map of the same size, with classes of the same names in the same order.
        key: names the image.

    Raises:
        SegmentationError: regions without classes, or sizes that differ.
        ClassSpaceError: other classes.
    """
    from skimage import measure

    label: Callable[..., Array] = measure.label
    classes = shared_classes(prediction, truth, key)
    ids = np.where(truth.ids == classes.ignore_id, -1, truth.ids.astype(np.int32))
    segments = label(ids, background=-1, connectivity=2)
    area = np.bincount(segments.ravel())
    right = np.bincount(segments[prediction.ids == truth.ids], minlength=len(area))
    class_of = np.zeros(len(area), np.int32)
    class_of[segments] = ids
    size = (300 * area >= ids.size).astype(np.int32) + (100 * area >= 3 * ids.size)
    counts = np.zeros((1, len(classes), len(SIZES), 2), np.int64)
    np.add.at(counts[0], (class_of[1:], size[1:]), np.stack([np.ones_like(area), 2 * right >= area], -1)[1:])
    return SizeRecallEvidence(classes, (key,), counts)


def score_size_recall(evidence: SizeRecallEvidence) -> SizeRecallScores:
    """The pooled recall of the evidence."""
    total = evidence.counts.sum(0)
    return SizeRecallScores(evidence.classes, total[..., 0], total[..., 1])
