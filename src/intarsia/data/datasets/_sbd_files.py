"""The .mat files of SBD, the semantic boundaries data set: classes of pixels, and numbered objects with their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import Array, ClassSpace, DataError, Instances, LabelMap

__all__ = ["read_sbd_labels", "read_sbd_objects"]

LARGEST = 2**20
"""Bytes; files of 500 x 375 pixels have some ten thousand, and packed ones may unpack a thousandfold."""


def read_sbd_labels(path: Path, classes: ClassSpace) -> LabelMap:
    """Read a file of cls/.

    Raises:
        DataError: a file that cannot be read, or that holds no map of classes.
        ClassSpaceError: a value that no class claims.
    """
    return LabelMap(classes.ids_from_values(_map(_struct(path, "GTcls"), path), where=str(path)), classes)


def read_sbd_objects(path: Path, classes: ClassSpace) -> Instances:
    """Read a file of inst/, whose categories are ids of `classes`.

    Raises:
        DataError: a file that cannot be read, or that holds no numbered objects.
    """
    content = _struct(path, "GTinst")
    numbers = _map(content, path)
    try:
        class_of = dict(enumerate(np.asarray(content["Categories"], np.int64).ravel().tolist(), 1))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"{path} does not say the classes of its objects (GTinst.Categories): {error}.") from error
    found = [number for number in np.unique(numbers).tolist() if number]
    wrong = [number for number in found if class_of.get(number) not in classes.thing_ids]
    if wrong:
        raise DataError(f"{path} holds the object {wrong[0]}, whose class is {class_of.get(wrong[0], 'not said')}.")
    return Instances.from_ids(numbers, classes, class_of)


def _struct(path: Path, name: str) -> Any:
    from scipy.io import loadmat

    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"it has more than {LARGEST:,} bytes")
        return loadmat(path, variable_names=[name])[name][0, 0]
    except Exception as error:  # scipy raises whatever it likes on damaged data
        raise DataError(f"{path} is no file of SBD with {name} ({type(error).__name__}: {error}).") from error


def _map(content: Any, path: Path) -> Array:
    try:
        values = np.asarray(content["Segmentation"])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"{path} holds no Segmentation ({type(error).__name__}: {error}).") from error
    if values.ndim != 2 or values.dtype.kind not in "iu" or not values.size or values.min() < 0:
        raise DataError(f"{path} holds a Segmentation of {values.dtype} with shape {values.shape}; (height, width) was expected.")
    return values
