"""One image with what is known about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intarsia.core.arrays import Array
from intarsia.core.errors import DataError
from intarsia.core.segmentation import Segmentation

__all__ = ["Sample", "as_image"]


@dataclass(frozen=True, eq=False)
class Sample:
    """An image and its truths.

    Args:
        image: (H, W, C) uint8, uint16 or float32; colour is RGB.
        truths: one segmentation per annotator, none where there is no truth.
        key: what names the sample within its data set, such as "val/0016E5_07959"; also names its outputs.

    Raises:
        DataError: an image of another shape or dtype, or a truth of another size than the image.
    """

    image: Array
    truths: tuple[Segmentation, ...]
    key: str

    def __post_init__(self) -> None:
        as_image(self.image, where=self.key)
        height, width = self.size_hw
        for truth in self.truths:
            if truth.size_hw != (height, width):
                turned = " It matches if rotated by 90 degrees." if truth.size_hw == (width, height) else ""
                raise DataError(
                    f"{self.key}: the image is {height} x {width} pixels (height x width) and its mask "
                    f"{truth.size_hw[0]} x {truth.size_hw[1]}.{turned} Export both at the same size, without thumbnails."
                )

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    @property
    def truth(self) -> Segmentation:
        """The first truth.

        Raises:
            DataError: there is none.
        """
        if not self.truths:
            raise DataError(f"{self.key} has no truth: it can be predicted, not trained on or scored.")
        return self.truths[0]


def as_image(array: Array, *, where: str = "The image") -> Array:
    """Give an image its channel axis and check it: (H, W) or (H, W, C), uint8, uint16, bool or float, to (H, W, C).

    Raises:
        DataError: another shape or dtype, or an image without pixels.
    """
    image = array[..., None] if array.ndim == 2 else array
    if image.ndim != 3 or 0 in image.shape:
        raise DataError(
            f"{where} has shape {array.shape}; an image is (height, width) or (height, width, channels) with at least one pixel."
        )
    if image.dtype in (np.uint8, np.uint16, np.float32):
        return image
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * np.uint8(255)
    if image.dtype.kind == "f":
        return image.astype(np.float32)
    raise DataError(f"{where} has dtype {array.dtype}; uint8, uint16 and float are understood. Convert it first.")
