"""Methods that learn from a data set without a network: fitted, saved as arrays, and predictors like any other.

The public thing of such a file is a class that keeps to `Fitted`, and its RESULT is "learned". The classmethod `fit` takes the
samples, the classes, and keywords with defaults, which are its options; `rng` is among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self

import numpy as np

from intarsia.classical._method import CLASSICAL, check_options, describe_method
from intarsia.core import Array, ClassSpace, DataError, Hints, LabelMap, Panoptic, Sample, SettingsError, Task

__all__ = ["Fitted", "Fitting", "fit_method", "label_of", "need_learned", "restore_method"]


class Fitted(Protocol):
    """A method that has learnt.

    options: what it was fitted with, and what else it takes to make it again; plain values that JSON can hold.
    scores: figures measured while it was fitted, such as `{"out_of_bag/accuracy": 0.91}`.
    note: a sentence about how well it fits, for whoever reads its scores; may be empty.
    """

    @property
    def options(self) -> Mapping[str, Any]: ...

    @property
    def scores(self) -> Mapping[str, float]: ...

    @property
    def note(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def task(self) -> Task: ...

    @property
    def classes(self) -> ClassSpace: ...

    def predict(self, image: Array, hints: Hints | None = None, *, prob: bool = False) -> LabelMap:
        """Segment one image (H, W, C); with `prob`, the result carries the class probabilities."""

    def to_arrays(self) -> dict[str, Array]:
        """What was learnt, by name; with classes and options it is the method."""

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], classes: ClassSpace, options: Mapping[str, Any], scores: Mapping[str, float], note: str
    ) -> Self:
        """Inverse of `to_arrays`. A `ValueError` or `KeyError` says that the arrays do not fit together."""


class Fitting(Protocol):
    """The classmethod `fit` of a learned method, with its options as keywords."""

    def __call__(self, samples: Iterable[Sample], classes: ClassSpace, **options: Any) -> Fitted: ...


def fit_method(name: str, samples: Iterable[Sample], classes: ClassSpace, **options: Any) -> Fitted:
    """Fit the learned method called `name`; the samples are read once, in order.

    Raises:
        UnknownNameError: no such method.
        SettingsError: a method that does not learn, or an option that it does not have.
    """
    need_learned(name)
    check_options(describe_method(name), options)
    fit: Fitting = CLASSICAL.load(name).fit
    return fit(samples, classes, **options)


def restore_method(
    name: str,
    arrays: Mapping[str, Array],
    classes: ClassSpace,
    options: Mapping[str, Any],
    scores: Mapping[str, float],
    note: str,
) -> Fitted:
    """The learned method called `name` from what `Fitted.to_arrays` gave."""
    need_learned(name)
    fitted: Fitted = CLASSICAL.load(name).from_arrays(arrays, classes, options, scores, note)
    return fitted


def need_learned(name: str) -> None:
    """Refuse a method that does not learn.

    Raises:
        SettingsError: with what to do instead.
    """
    if describe_method(name)["result"] != "learned":
        raise SettingsError(
            f"{name} is a classical method that learns nothing, and needs no training: `intarsia predict PHOTOS --model {name}`."
        )


def label_of(sample: Sample) -> Array:
    """(H, W) class ids of the first truth of a sample, with the ignore id where there is none.

    Raises:
        DataError: a truth that does not give each pixel a class.
    """
    truth = sample.truth.to_label_map() if isinstance(sample.truth, Panoptic) else sample.truth
    if not isinstance(truth, LabelMap) or truth.classes is None:
        raise DataError(f"{sample.key} has {type(truth).__name__} as its truth; a class for each pixel is needed to learn from.")
    return np.asarray(truth.ids)
