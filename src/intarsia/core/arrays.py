"""Array types used in signatures; shapes and dtypes stand in the docstrings."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "BoolArray", "FloatArray", "smallest_id_dtype"]

Array = NDArray[Any]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating[Any]]


def smallest_id_dtype(largest: int) -> np.dtype[Any]:
    """The smallest of uint8, uint16 and int32 that holds `largest`."""
    for dtype in (np.uint8, np.uint16):
        if largest <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.int32)
