"""What a data set offers to whoever trains, scores or looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from intarsia.core.class_space import ClassSpace
from intarsia.core.predictor import Task
from intarsia.core.sample import Sample

__all__ = ["Dataset"]


@runtime_checkable
class Dataset(Protocol):
    """Samples by key, in splits. Reading a sample is deterministic and safe from several processes."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def task(self) -> Task:
        """What the truths are: label maps, instances or panoptic maps."""

    @property
    def classes(self) -> ClassSpace: ...

    @property
    def splits(self) -> Mapping[str, Sequence[str]]:
        """Split name ("train", "val", "test") to the keys of its samples; a key is unique in the data set."""

    @property
    def notes(self) -> Sequence[str]:
        """What was inferred about the data, one sentence each, printed before training."""

    def read(self, key: str) -> Sample:
        """The sample called `key`.

        Raises:
            DataError: a file that cannot be read or does not fit; the message names it.
        """
