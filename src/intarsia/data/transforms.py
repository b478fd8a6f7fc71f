"""Random changes of an image together with its labels, for training. Every change is drawn from one generator, in one order,
so that a sample's augmentation depends on the seed, the epoch and the sample alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intarsia.core import Array
from intarsia.data.preprocessing import resize_image, resize_label

__all__ = ["Augmentation", "jitter_color", "scale_and_crop"]


@dataclass(frozen=True)
class Augmentation:
    """Scale, crop, flip and colour.

    Args:
        crop_hw: size of what comes out.
        scale: smallest and largest zoom; drawn evenly on a logarithmic axis, so that halving is as likely as doubling.
        flip: probability of a left-right mirror image.
        color: strength of brightness, contrast, saturation and channel gain; 0 leaves the colours alone.
    """

    crop_hw: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    color: float = 0.3

    def __call__(self, image: Array, label: Array, ignore_id: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Change one sample.

        Args:
            image: (H, W, C) uint8, uint16 or float32.
            label: (H, W) integer ids.
            ignore_id: what the label holds where the crop leaves the image.
            rng: source of every choice.

        Returns:
            image (h, w, C) of the same dtype, label (h, w), and inside (h, w) bool, False where the crop left the image.
        """
        zoom = float(np.exp(rng.uniform(np.log(self.scale[0]), np.log(self.scale[1]))))
        place_yx = (rng.random(), rng.random())
        mirror = rng.random() < self.flip
        image, label, inside = scale_and_crop(image, label, zoom, self.crop_hw, place_yx, ignore_id)
        if mirror:
            image, label, inside = image[:, ::-1], label[:, ::-1], inside[:, ::-1]
        if self.color > 0:
            image = jitter_color(image, self.color, rng)
        return image, label, inside


def scale_and_crop(
    image: Array,
    label: Array,
    zoom: float,
    crop_hw: tuple[int, int],
    place_yx: tuple[float, float],
    ignore_id: int,
) -> tuple[Array, Array, Array]:
    """Zoom in or out and cut a window of `crop_hw`, padding where the window is larger than the zoomed image.

    `place_yx` in [0, 1] says where the window lies: 0 at one end, 1 at the other. Only what is seen is resized.
    The padding of the image is 0; its label is `ignore_id`.
    """
    starts, taken, put = [], [], []
    for length, crop, place in zip(image.shape[:2], crop_hw, place_yx, strict=True):
        window = max(1, round(crop / zoom))
        start = round(place * (length - window))  # negative when the window is larger than the image
        low, high = max(0, start), min(length, start + window)
        first, last = round((low - start) * crop / window), round((high - start) * crop / window)
        starts.append(slice(low, high))
        put.append(slice(first, max(last, first + 1)))
        taken.append(max(last, first + 1) - first)
    where, target, size = tuple(starts), tuple(put), (taken[0], taken[1])
    out_image = np.zeros((*crop_hw, image.shape[2]), image.dtype)
    out_label = np.full(crop_hw, ignore_id, label.dtype)
    inside = np.zeros(crop_hw, np.bool_)
    out_image[target] = resize_image(np.ascontiguousarray(image[where]), size)
    out_label[target] = resize_label(label[where], size)
    inside[target] = True
    return out_image, out_label, inside


def jitter_color(image: Array, strength: float, rng: np.random.Generator) -> Array:
    """Change brightness, contrast, saturation (of three channels) and the gain of each channel.

    Integer images stay within their range; float images are not clipped, since their range is not known.
    """
    brightness, contrast, saturation = np.exp(rng.uniform(-strength, strength, 3))
    gain = np.exp(rng.uniform(-strength / 3, strength / 3, image.shape[2]))
    values: Array = image.astype(np.float32)
    if image.shape[2] == 3:
        grey = values @ np.array([0.299, 0.587, 0.114], np.float32)
        values = grey[..., None] + np.float32(saturation) * (values - grey[..., None])
    mean = values.mean((0, 1), keepdims=True)
    values = (mean + np.float32(contrast) * (values - mean)) * (brightness * gain).astype(np.float32)
    if image.dtype.kind == "u":
        values = np.clip(values + 0.5, 0, np.iinfo(image.dtype).max)
    return values.astype(image.dtype)
