"""Random changes of an image together with its truth, for training. Every change is drawn from one generator, in one order,
so that a sample's augmentation depends on the seed, the epoch and the sample alone. `batch_transforms` makes the same changes of
whole batches on a device.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from intarsia.core import Array
from intarsia.data.preprocessing import nearest_pixels, resize_image
from intarsia.data.resampling import Truth, resample_truth

__all__ = ["Augmentation", "ColorShift", "Draw", "crop_image", "crop_truth", "shift_color", "window"]

GREY = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the grey that saturation is measured from."""


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

    def draw(self, channels: int, rng: np.random.Generator) -> Draw:
        """Choose the changes of one sample."""
        zoom = float(np.exp(rng.uniform(np.log(self.scale[0]), np.log(self.scale[1]))))
        place_yx = (rng.random(), rng.random())
        mirror = rng.random() < self.flip
        return Draw(zoom, place_yx, mirror, ColorShift.draw(self.color, channels, rng) if self.color > 0 else None)

    def __call__(self, image: Array, truth: Truth, rng: np.random.Generator) -> tuple[Array, Truth, Array]:
        """Change one sample.

        Args:
            image: (H, W, C) uint8, uint16 or float32.
            truth: of the image.
            rng: source of every choice.

        Returns:
            image (h, w, C) of the same dtype, the truth of these (h, w), and inside (h, w) bool, False where the crop left the
            image.
        """
        draw = self.draw(image.shape[2], rng)
        cropped, inside = crop_image(image, draw, self.crop_hw)
        if draw.color is not None:
            cropped = shift_color(cropped, draw.color)
        return cropped, crop_truth(truth, draw, self.crop_hw), inside


@dataclass(frozen=True)
class Draw:
    """The changes chosen for one sample.

    `place_yx` in [0, 1] says where the window lies that the crop shows: 0 at one end of the image, 1 at the other.
    """

    zoom: float
    place_yx: tuple[float, float]
    mirror: bool
    color: ColorShift | None


@dataclass(frozen=True)
class ColorShift:
    """Factors on brightness, contrast and saturation, and a gain for each channel."""

    brightness: float
    contrast: float
    saturation: float
    gain: tuple[float, ...]

    @classmethod
    def draw(cls, strength: float, channels: int, rng: np.random.Generator) -> ColorShift:
        """Factors between exp(-strength) and exp(strength), gains a third as far from 1; 1 for strength 0."""
        brightness, contrast, saturation = np.exp(rng.uniform(-strength, strength, 3)).tolist()
        return cls(brightness, contrast, saturation, tuple(np.exp(rng.uniform(-strength / 3, strength / 3, channels)).tolist()))


def crop_image(image: Array, draw: Draw, crop_hw: tuple[int, int]) -> tuple[Array, Array]:
    """Zoom in or out, cut a window of `crop_hw` and mirror it; padded with 0 where the window is larger than the zoomed image.

    Only what is seen is resized.

    Returns:
        image (h, w, C), and inside (h, w) bool, False where the crop left the image.
    """
    (rows, to_rows), (columns, to_columns) = _windows(image.shape[:2], draw, crop_hw)
    target, size = (to_rows, to_columns), (to_rows.stop - to_rows.start, to_columns.stop - to_columns.start)
    cropped, inside = np.zeros((*crop_hw, image.shape[2]), image.dtype), np.zeros(crop_hw, np.bool_)
    cropped[target] = resize_image(np.ascontiguousarray(image[rows, columns]), size)
    inside[target] = True
    if not draw.mirror:
        return cropped, inside
    # Turned round in memory at once: whatever OpenCV does next would copy a view that runs backwards, and slowly.
    mirrored: Array = cv2.flip(cropped, 1).reshape(cropped.shape) if cropped.shape[2] <= 4 else cropped[:, ::-1]
    return mirrored, inside[:, ::-1]


def crop_truth(truth: Truth, draw: Draw, crop_hw: tuple[int, int]) -> Truth:
    """What the crop shows of the truth, in step with `crop_image`."""
    rows, columns = (np.full(length, -1) for length in crop_hw)
    for pixels, (taken, put) in zip((rows, columns), _windows(truth.size_hw, draw, crop_hw), strict=True):
        pixels[put] = taken.start + nearest_pixels(taken.stop - taken.start, put.stop - put.start)
    return resample_truth(truth, rows, columns[::-1] if draw.mirror else columns)


def _windows(size_hw: tuple[int, ...], draw: Draw, crop_hw: tuple[int, int]) -> list[tuple[slice, slice]]:
    return [window(*axis[:2], draw.zoom, axis[2]) for axis in zip(size_hw, crop_hw, draw.place_yx, strict=True)]


def window(length: int, crop: int, zoom: float, place: float) -> tuple[slice, slice]:
    """What a crop sees of an axis of the image, and where in the crop that lies."""
    seen = max(1, round(crop / zoom))
    start = round(place * (length - seen))  # negative when the window is larger than the image
    low, high = max(0, start), min(length, start + seen)
    first, last = round((low - start) * crop / seen), round((high - start) * crop / seen)
    return slice(low, high), slice(first, max(last, first + 1))


def shift_color(image: Array, shift: ColorShift) -> Array:
    """Change brightness, contrast, saturation (of three channels) and the gain of each channel of (H, W, C).

    All of it is linear in the pixel's channels, but for the mean that contrast is measured from: one matrix does it at once.
    Integer images stay within their range; float images are not clipped, since their range is not known.
    """
    channels = image.shape[2]
    saturate = np.eye(channels)
    if channels == 3:
        saturate = shift.saturation * saturate + (1 - shift.saturation) * np.array(GREY)
    gain = shift.brightness * np.array(shift.gain)
    matrix = gain[:, None] * shift.contrast * saturate
    offset = gain * (1 - shift.contrast) * (saturate @ _channel_means(image))
    if channels > 4:  # OpenCV would multiply by the whole matrix
        values: Array = image.astype(np.float32) * np.diag(matrix).astype(np.float32) + offset.astype(np.float32)
    else:
        all_at_once = np.column_stack([matrix, offset]).astype(np.float32)
        values = cv2.transform(image.astype(np.float32, copy=False), all_at_once).reshape(image.shape)
    if image.dtype.kind == "u":
        values = np.rint(np.clip(values, 0, np.iinfo(image.dtype).max, out=values), out=values)
    return values.astype(image.dtype, copy=False)


def _channel_means(image: Array) -> Array:
    """(C,) float64."""
    if image.shape[2] > 4:
        means: Array = image.mean((0, 1), dtype=np.float64)
        return means
    return np.array(cv2.mean(image)[: image.shape[2]])
