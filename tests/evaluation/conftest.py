"""A small data set and a predictor that errs in a known way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from intarsia.core import Array, ClassSpace, Hints, LabelMap, Sample, Segmentation

CLASSES = ClassSpace.from_names(["road", "tree", "car", "boat"], things=["car", "boat"])


class Stripes:
    """Images of 12 x 20 whose left half is road and whose right half is tree, with a car; the first column has no truth."""

    name, task, classes, notes = "stripes", "semantic", CLASSES, ()

    def __init__(self, images: int = 6, annotators: int = 1) -> None:
        self.splits: Mapping[str, Sequence[str]] = {"train": [], "val": [f"val/{i}" for i in range(images)], "test": ["test/0"]}
        self.annotators = annotators

    def ids(self, key: str) -> Array:
        ids = np.zeros((12, 20), np.uint8)
        ids[:, 10:] = 1
        ids[2:5, 4 : 6 + int(key.split("/")[1])] = 2
        ids[:, 0] = 255
        return ids

    def read(self, key: str) -> Sample:
        image = np.full((12, 20, 3), int(key.split("/")[1]), np.uint8)  # the image says which it is
        return Sample(image, tuple(LabelMap(self.ids(key), CLASSES) for _ in range(self.annotators)), key)


class Shifted:
    """Predicts the truth shifted to the right, by more columns in later images."""

    name, task, classes = "shifted", "semantic", CLASSES

    def predict(self, image: Array, hints: Hints | None = None) -> Segmentation:
        number = int(image[0, 0, 0])
        ids = np.roll(Stripes().ids(f"val/{number}"), number, axis=1)
        ids[ids == 255] = 0
        return LabelMap(ids, CLASSES)


@pytest.fixture
def stripes() -> Stripes:
    return Stripes()


@pytest.fixture
def shifted() -> Shifted:
    return Shifted()
