"""Train, validation and test, so that every class is in each and images of one scene stay together. No torch.

Stratification goes by the classes that occur in an image, the rarest first: Sechidis et al., "On the Stratification of
Multi-Label Data", ECML PKDD 2011; here of groups of images, and class by class rather than image by image.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intarsia.core import Array, BoolArray, DataError, Dataset, SettingsError

__all__ = ["Split", "divide", "group_of", "split_dataset"]

Progress = Callable[[int, int], None]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """A data set divided.

    keys: of each split, sorted.
    classes: names of the classes that were stratified by; none where it was not asked for.
    images: of each split, the images in which each class occurs, (K,) int64.
    groups: number of groups that stay together; as many as images without a pattern.
    largest_group: images in the largest.
    alone: images that the pattern does not match, each a group of its own.
    """

    keys: Mapping[str, Sequence[str]]
    classes: Sequence[str]
    images: Mapping[str, Array]
    groups: int
    largest_group: int
    alone: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "splits": {split: list(keys) for split, keys in self.keys.items()},
            "images_with_class": {
                split: dict(zip(self.classes, counts.tolist(), strict=True)) for split, counts in self.images.items()
            },
            "groups": self.groups,
            "largest_group": self.largest_group,
            "alone": self.alone,
        }


def split_dataset(
    dataset: Dataset,
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    group: str | None = None,
    stratify: bool = True,
    progress: Progress | None = None,
) -> Split:
    """Divide all images of a data set, whatever its splits are now.

    Args:
        dataset: the data set; with `stratify` every truth is read once.
        shares: of the images for "val" and "test"; the rest is "train". Without a share a split is left out.
        seed: of the choice among equals.
        group: a regular expression; keys in which it finds the same stay together. If it has parentheses, what is in them counts.
        stratify: whether each class shall occur in each split as often as its share says.
        progress: called with the images read and their number.

    Raises:
        SettingsError: shares that leave no train, or a pattern that is none or matches no key.
        DataError: fewer groups than splits, or a truth that cannot be read.
    """
    rest = 1 - sum(shares.values())
    if not shares.keys() <= {"val", "test"} or min(shares.values(), default=0) < 0 or not 0 < rest < 1:
        said = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise SettingsError(
            f"The shares {said} leave {rest:g} for train; val and test are from 0 up, and together between 0 and 1."
        )
    wanted = {"train": rest, **{split: shares[split] for split in SPLITS if shares.get(split, 0) > 0}}
    keys = sorted({key for of_split in dataset.splits.values() for key in of_split})
    groups, alone = group_of(keys, group)
    names = dataset.classes.names if stratify else ()
    present = np.zeros((len(keys), len(names)), np.bool_)
    for index, key in enumerate(keys if stratify else ()):
        areas = dataset.read(key).truth.areas()
        present[index] = [areas[name] > 0 for name in names]
        if progress is not None:
            progress(index + 1, len(keys))
    owner = divide(groups, present, wanted, seed)
    divided = {split: [key for key, own in zip(keys, owner, strict=True) if own == split] for split in wanted}
    images = {split: present[[own == split for own in owner]].sum(0, dtype=np.int64) for split in wanted}
    sizes = np.unique(groups, return_counts=True)[1]
    return Split(divided, names, images, len(sizes), int(sizes.max(initial=0)), alone)


def group_of(keys: Sequence[str], pattern: str | None) -> tuple[list[str], int]:
    """The group of each key, and how many keys the pattern does not match.

    Raises:
        SettingsError: no regular expression, or one that matches no key.
    """
    if pattern is None:
        return list(keys), 0
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"The pattern {pattern!r} is no regular expression ({error}). Such as '(scene[0-9]+)_'.") from error
    found = [expression.search(key) for key in keys]
    alone = found.count(None)
    if keys and alone == len(keys):
        raise SettingsError(f"The pattern {pattern!r} matches no image; they are called like {keys[0]!r}.")
    # A separator that no name holds keeps apart what is matched and what is not.
    return [
        key if m is None else "\0".join(("", *(m.groups(default="") or (m[0],)))) for key, m in zip(keys, found, strict=True)
    ], alone


def divide(groups: Sequence[str], present: BoolArray, shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of each image.

    Args:
        groups: of each of N images.
        present: (N, K), the classes that occur in each.
        shares: of each split; they add up to 1.
        seed: of the choice among equals.

    Raises:
        DataError: fewer groups than splits.
    """
    names, index = np.unique(np.array(groups, object), return_inverse=True)
    if len(names) < len(shares):
        raise DataError(f"{len(names)} groups of images cannot be divided into {', '.join(shares)}. Choose a finer pattern.")
    counts = np.zeros((len(names), present.shape[1] + 1), np.int64)  # the last column counts images
    np.add.at(counts, index, np.concatenate([present, np.ones((len(present), 1), np.bool_)], 1))
    rank = np.array([hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names], object).argsort().argsort()
    wanted = np.array(list(shares.values()))[:, None] * counts.sum(0)
    owner = np.full(len(names), -1)
    while (owner < 0).any():
        left = counts[owner < 0].sum(0)
        rarest = int(np.where(left > 0, left, left.max() + 1)[:-1].argmin()) if left[:-1].any() else -1
        having = np.flatnonzero((owner < 0) & (counts[:, rarest] > 0))
        for group in having[np.lexsort((rank[having], -counts[having, rarest]))]:
            lacks = np.lexsort((-wanted[:, -1], -wanted[:, rarest].round(9)))
            owner[group] = lacks[0]
            wanted[lacks[0]] -= counts[group]
    for empty in np.setdiff1d(np.arange(len(shares)), owner):  # a share of less than an image: its one image from the largest
        largest = np.bincount(owner, counts[:, -1], len(shares)).argmax()
        giving = np.flatnonzero(owner == largest)
        owner[giving[np.lexsort((rank[giving], counts[giving, -1]))[0]]] = empty
    splits = list(shares)
    return [splits[owner[i]] for i in index]
