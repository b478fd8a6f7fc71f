"""Evidence of the usual kind: a row of numbers for each image, which pool by addition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from intarsia.core import Array, SegmentationError, SettingsError

__all__ = ["RowEvidence"]


@dataclass(frozen=True, eq=False)
class RowEvidence:
    """Tallies, one row for each image. Merges by `+` over images and processes; add a subclass for each metric.

    Args:
        about: what the numbers are counted over, such as the names of the classes or the settings; only equal ones merge.
        keys: I names of images; a key comes again for another annotator.
        tallies: (I, ...) numbers.
    """

    about: tuple[object, ...]
    keys: tuple[str, ...]
    tallies: Array

    def __post_init__(self) -> None:
        if len(self.tallies) != len(self.keys):
            raise SegmentationError(f"{type(self).__name__} has {len(self.keys)} keys and {len(self.tallies)} rows of tallies.")

    def __add__(self, other: Self) -> Self:
        return self.concatenate([self, other])

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Merge many at once; `a + b + c + ...` copies again at every step.

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
        return replace(first, keys=keys, tallies=np.concatenate([part.tallies for part in parts]))

    def by_key(self) -> Self:
        """The same evidence with one row for each key, in order of first appearance: annotators added up."""
        position = {key: index for index, key in enumerate(dict.fromkeys(self.keys))}
        if len(position) == len(self.keys):
            return self
        tallies = np.zeros((len(position), *self.tallies.shape[1:]), self.tallies.dtype)
        np.add.at(tallies, [position[key] for key in self.keys], self.tallies)
        return replace(self, keys=tuple(position), tallies=tallies)

    @property
    def pooled(self) -> Array:
        """The tallies of all images together."""
        total: Array = self.tallies.sum(0)
        return total
