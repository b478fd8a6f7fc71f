"""From an image file's array to what a network sees. The same object prepares training, evaluation and prediction, and
travels in the model file, so that a served image is never prepared in another way than a training image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intarsia.core import Array, DataError

__all__ = ["Preprocessing", "nearest_pixels", "resize_image", "resize_label"]


@dataclass(frozen=True)
class Preprocessing:
    """What happens to an image before the network.

    Args:
        mean, std: per channel, on the scale where uint8 and uint16 span [0, 1] and float is as it is.
        fit_hw: images are scaled, their proportions kept, to the largest size that fits into this box; None keeps their size.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit_hw: tuple[int, int] | None = None

    @property
    def in_channels(self) -> int:
        return len(self.mean)

    def fitted_size(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """The size at which the network sees an image of `size_hw`."""
        if self.fit_hw is None:
            return size_hw
        scale = min(self.fit_hw[0] / size_hw[0], self.fit_hw[1] / size_hw[1])
        return max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale))

    def fit(self, image: Array, *, where: str = "The image") -> Array:
        """(H, W, any channels) to (h, w, `in_channels`), same dtype: channels matched, then scaled into the box.

        Raises:
            DataError: channels that do not fit, or values that are not finite; the message names `where`.
        """
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise DataError(
                f"{where} holds values that are not finite (NaN or infinite), and one of them spoils all that a network sees "
                "around it. Fill them first, for instance with the mean."
            )
        image = self.match_channels(image, where=where)
        return resize_image(image, self.fitted_size((image.shape[0], image.shape[1])))

    def match_channels(self, image: Array, *, where: str = "The image") -> Array:
        """Grey is repeated for a colour network, colour made grey for a grey one, and an alpha channel left out.

        Raises:
            DataError: other numbers of channels, which hold other things than the network was trained on.
        """
        have, want = image.shape[2], self.in_channels
        if have == want:
            return image
        if have == 1 and want == 3:
            return image.repeat(3, axis=2)
        if (have, want) in ((4, 3), (2, 1)):
            return image[..., :want]
        if have in (3, 4) and want == 1:
            import cv2

            grey: Array = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY)
            return grey[..., None]
        raise DataError(
            f"{where} has {have} channels and the network was made for {want}. Give it images of the kind it was trained on, "
            "or train on a folder in which all images have the same channels."
        )

    def normalize(self, image: Array) -> Array:
        """(h, w, C) of any image dtype to (C, h, w) float32, (value - mean) / std."""
        scale = {"uint8": 255.0, "uint16": 65535.0}.get(image.dtype.name, 1.0)
        std = np.asarray(self.std, np.float32)
        gain, offset = (1 / (scale * std)).astype(np.float32), np.asarray(self.mean, np.float32) / std
        ready = np.empty((image.shape[2], *image.shape[:2]), np.float32)
        if image.dtype == np.uint8:  # each of 256 values once
            import cv2

            table = np.arange(256, dtype=np.float32)[:, None] * gain - offset
            for channel, plane in enumerate(ready):
                cv2.LUT(np.ascontiguousarray(image[..., channel]), np.ascontiguousarray(table[:, channel]), plane)
        else:
            for channel, plane in enumerate(ready):
                plane[:] = image[..., channel]
                plane *= gain[channel]
                plane -= offset[channel]
        return ready

    def to_dict(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std), "fit_hw": list(self.fit_hw) if self.fit_hw else None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocessing:
        fit = data.get("fit_hw")
        return cls(tuple(data["mean"]), tuple(data["std"]), (int(fit[0]), int(fit[1])) if fit else None)


def resize_image(image: Array, size_hw: tuple[int, int]) -> Array:
    """Scale (H, W, C) by area averaging when it shrinks and bilinearly (pixel centres at half) when it grows."""
    if image.shape[:2] == size_hw:
        return image
    import cv2

    shrinks = size_hw[0] < image.shape[0] or size_hw[1] < image.shape[1]
    rule = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    # OpenCV averages areas of at most four channels at a time.
    parts: list[Array] = [
        cv2.resize(image[..., c : c + 4], size_hw[::-1], interpolation=rule) for c in range(0, image.shape[2], 4)
    ]
    return (
        np.concatenate([part.reshape(*size_hw, -1) for part in parts], axis=2)
        if len(parts) > 1
        else parts[0].reshape(*size_hw, -1)
    )


def resize_label(label: Array, size_hw: tuple[int, int]) -> Array:
    """Scale (H, W) ids by the nearest pixel centre, so that they stay in step with `resize_image` and no new id appears.

    OpenCV's plain INTER_NEAREST takes the pixel to the upper left, half a pixel off its own bilinear rule.
    """
    if label.shape == size_hw:
        return label
    rows, columns = (nearest_pixels(length, size) for length, size in zip(label.shape, size_hw, strict=True))
    resized: Array = label[rows[:, None], columns]
    return resized


def nearest_pixels(length: int, size: int) -> Array:
    """(size,) intp: the pixel of an axis of `length` in which the centre of each pixel lies when it is resized to `size`."""
    return ((np.arange(size) + 0.5) * length / size).astype(np.intp)
