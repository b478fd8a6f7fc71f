"""What a split holds: pixels of each class, weights that balance them, scale and size of the images, a fingerprint. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from intarsia.core import Array, ClassSpace, DataError, Dataset, Instances, LabelMap, MultiLabel, Panoptic, Segmentation

__all__ = [
    "LEAST_SCORED",
    "ClassCounts",
    "ImageStatistics",
    "auto_class_weights",
    "count_classes",
    "count_labels",
    "fingerprint",
    "image_statistics",
    "log_class_weights",
    "median_frequency_weights",
]

LEAST_SCORED = 0.5
"""Share of the pixels of a split that must have a truth for a score of it to mean anything."""


class ClassCounts(NamedTuple):
    """How often each class occurs.

    pixels: (K,) int64, its pixels.
    images: (K,) int64, the images that contain it.
    host_pixels: (K,) int64, all pixels of those images, ignored ones included.
    total: all pixels of all images, ignored ones included.
    """

    pixels: Array
    images: Array
    host_pixels: Array
    total: int


class ImageStatistics(NamedTuple):
    """What images look like, on the scale where uint8 and uint16 span [0, 1] and float is as it is.

    channels: of every image.
    mean: of each channel, over all pixels.
    std: of each channel, over all pixels.
    sizes_hw: height and width of each image looked at.
    """

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sizes_hw: tuple[tuple[int, int], ...]


def count_classes(dataset: Dataset, keys: Sequence[str]) -> ClassCounts:
    """Count the pixels of each class in the first truth of each sample; every truth is read once."""
    pixels, images, hosts = np.zeros((3, len(dataset.classes)), np.int64)
    total = 0
    for key in keys:
        truth = dataset.read(key).truth
        by_name = truth.areas()
        areas = np.array([by_name[name] for name in dataset.classes.names], np.int64)
        size = truth.size_hw[0] * truth.size_hw[1]
        pixels += areas
        images += areas > 0
        hosts += (areas > 0) * size
        total += size
    return ClassCounts(pixels, images, hosts, total)


def count_labels(labels: Iterable[Array], classes: ClassSpace) -> Array:
    """Pixels of each class in arrays of class ids, (K,) int64; other ids, such as the one to ignore, do not count."""
    pixels = np.zeros(len(classes), np.int64)
    for label in labels:
        pixels += np.bincount(label.ravel(), minlength=len(classes))[: len(classes)]
    return pixels


def median_frequency_weights(counts: ClassCounts) -> Array:
    """Median frequency balancing: weight = median of f / f, (K,) float64, where f = pixels / host_pixels.

    The frequency of a class is its share in the images that contain it, ignored pixels included in the denominator; the median is
    taken over the classes that occur. A class that does not occur has weight 0. Unbounded: a rare class can weigh a thousandfold.

    Source: Eigen & Fergus, "Predicting depth, surface normals and semantic labels", ICCV 2015, section 6.3.1; as in SegNet.
    """
    occurs = counts.pixels > 0
    weights = np.zeros(len(occurs))
    if occurs.any():
        frequency = counts.pixels[occurs] / counts.host_pixels[occurs]
        weights[occurs] = np.median(frequency) / frequency
    return weights


def auto_class_weights(pixels: Array, *, strongest: float = 4.0) -> Array:
    """Gentle balancing, (K,) float64: sqrt(median of f / f) within [1 / strongest, strongest], where f = pixels / their sum.

    The root, and the bounds, since the full inverse frequency lets a few pixels of a rare class drown the rest. Then scaled so
    that the mean over the labelled pixels is 1: the size of the loss, and with it the learning rate, stays what it is without
    weights. A class that does not occur has weight 1.

    Raises:
        DataError: no pixel has a class.
    """
    if not pixels.sum():
        raise DataError("No pixel of these masks has a class: all of them are to be ignored. Check the declared classes.")
    occurs = pixels > 0
    share = pixels[occurs] / pixels.sum()
    bounded = np.sqrt(np.median(share) / share).clip(1 / strongest, strongest)
    weights = np.ones(len(pixels))
    weights[occurs] = bounded / (share * bounded).sum()
    return weights


def log_class_weights(pixels: Array) -> Array:
    """Bounded inverse frequency, (K,) float64: 1 / ln(1.02 + share of the labelled pixels), in [1.4, 50.5].

    Source: Paszke et al., "ENet", 2016, section 5.2; used by LinkNet as well.
    """
    weights: Array = 1 / np.log(1.02 + pixels / max(1, pixels.sum()))
    return weights


def image_statistics(dataset: Dataset, keys: Sequence[str], *, limit: int = 200) -> ImageStatistics:
    """Look at up to `limit` images, evenly spread over `keys`.

    Grey, colour and images with transparency among each other count as colour, as `Preprocessing.match_channels` makes them.

    Raises:
        DataError: no key, other mixed numbers of channels, or values that are not finite; the message names the images.
    """
    if not keys:
        raise DataError(f"{dataset.name} has no image to look at: the list of keys is empty.")
    looked = [_look(key, dataset.read(key).image) for key in _spread(keys, limit)]
    first_with = {len(look.mean): look.key for look in looked}
    mixed = len(first_with) > 1
    channels = 3 if mixed else len(looked[0].mean)
    if mixed and not set(first_with) <= {1, 3, 4}:
        found = ", ".join(f"{key} has {count}" for count, key in sorted(first_with.items()))
        raise DataError(f"A network takes one number of channels, and {found}. Convert the images to one kind.")
    counts = np.array([look.size_hw[0] * look.size_hw[1] for look in looked], np.float64)[:, None]
    means, stds = (
        np.stack([np.resize(values, channels) for values in side])
        for side in zip(*((k.mean, k.std) for k in looked), strict=True)
    )
    mean = (means * counts).sum(0) / counts.sum()
    std = np.sqrt((((stds**2 + means**2) * counts).sum(0) / counts.sum() - mean**2).clip(0))
    return ImageStatistics(channels, tuple(mean.tolist()), tuple(std.tolist()), tuple(look.size_hw for look in looked))


class _Look(NamedTuple):
    key: str
    size_hw: tuple[int, int]
    mean: Array
    std: Array


def _look(key: str, image: Array) -> _Look:
    import cv2

    scale = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
    planes = [cv2.meanStdDev(np.ascontiguousarray(image[..., c])) for c in range(image.shape[2])]
    mean, std = np.array(planes)[..., 0, 0].T / scale
    if not (np.isfinite(mean).all() and np.isfinite(std).all()):
        raise DataError(f"The image of {key} holds values that are not finite (NaN, infinite). Fill them before training.")
    return _Look(key, (image.shape[0], image.shape[1]), mean, std)


def fingerprint(dataset: Dataset, *, limit: int = 16) -> str:
    """Sixteen hexadecimal digits that change with the classes, the splits, the keys, or the samples looked at.

    Of each split up to `limit` samples, evenly spread, are read and go into it pixel by pixel; a change in another sample
    alone stays unseen. Places of files do not matter, nor how an image is compressed, as long as its pixels are the same.
    """
    digest = hashlib.sha256(json.dumps([dataset.task, dataset.classes.to_dict()], sort_keys=True).encode())
    for split, keys in sorted(dataset.splits.items()):
        digest.update(json.dumps([split, list(keys)]).encode())
        for key in _spread(keys, limit):
            sample = dataset.read(key)
            for array in (sample.image, *(part for truth in sample.truths for part in _arrays(truth))):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _spread(keys: Sequence[str], limit: int) -> Iterator[str]:
    return (keys[int(i)] for i in np.linspace(0, len(keys) - 1, min(len(keys), limit)))


def _arrays(truth: Segmentation) -> list[Array]:
    """The content of a segmentation as arrays of fixed types."""
    if isinstance(truth, LabelMap):
        return [truth.ids.astype("<i4")]
    if isinstance(truth, Instances):
        return [truth.masks.boxes_xyxy, truth.masks.bits, truth.class_id.astype("<i4")]
    if isinstance(truth, Panoptic):
        return [truth.ids.astype("<i4"), np.array([(s.id, s.class_id) for s in truth.segments], "<i4")]
    if isinstance(truth, MultiLabel):
        return [np.packbits(truth.masks)]
    return []
