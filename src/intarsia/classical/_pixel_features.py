"""What a forest knows of a pixel: colour, edges and texture around it at several scales, and where it is.

At each scale sigma = 1, 2, 4 ... a Gaussian window gives the mean of every channel; the gradient of the lightness and the two
eigenvalues of its second derivatives (bright or dark blobs and lines); how much the lightness varies in the window; and the two
eigenvalues of the structure tensor, which tell flat, striped and busy texture apart. Derivatives of the mean are those of the
scale, while variation and tensor keep the finest texture and are averaged over the window.

Colour is CIELAB. From sigma = 4 on the window is applied to an image pooled to a size at which sigma is about 2, and its result
enlarged; so all scales together cost less than three times the finest, and are close to exact.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, DataError, as_image

__all__ = ["feature_names", "feature_planes", "feature_strips", "match_channels"]

MIDDLE = np.float32(50)  # of the lightness: squares are taken from here, as their differences lose digits
STRIP = 2**19  # pixels whose features are in memory together: 100 MB of 50 features


def match_channels(image: Array, channels: int | None = None) -> Array:
    """The image (H, W, `channels`): grey repeated for colour, colour made grey, alpha left out; None leaves them as they are.

    Raises:
        DataError: other numbers of channels, or values that are not finite.
    """
    image = as_image(image)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise DataError(
            "The image holds values that are not finite (NaN or infinite). Fill them first, for instance with the mean."
        )
    have = image.shape[2]
    if channels in (None, have):
        return image
    if (have, channels) in ((4, 3), (2, 1)):
        return image[..., :channels]
    if have in (1, 2) and channels == 3:
        return image[..., :1].repeat(3, 2)
    if have in (3, 4) and channels == 1:
        return as_unit_range(image[..., :3]) @ np.array([[0.299], [0.587], [0.114]], np.float32)
    raise DataError(f"The image has {have} channels, and {channels} were learnt from. Give it images of one kind.")


def feature_names(channels: int, scales: int, position: bool) -> list[str]:
    """What each plane of `feature_planes` is."""
    colors = ["L", "a", "b"] if channels == 3 else [f"channel {number}" for number in range(channels)]
    kinds = ["deviation", "texture 1", "texture 2", "gradient", "curvature 1", "curvature 2"]
    around = [f"{kind}, sigma {2**scale}" for scale in range(scales) for kind in (*colors, *kinds)]
    return [*colors, *around, *(("row", "column") if position else ())]


def feature_planes(image: Array, *, scales: int = 5, position: bool = True) -> list[Array]:
    """The features of every pixel of an image.

    Args:
        image: (H, W, C), any range of its dtype.
        scales: how many, from sigma = 1 pixel, each twice the one before.
        position: also row and column, from 0 to 1.

    Returns:
        C + scales * (C + 6) planes (H, W) float32, and two for the position; see `feature_names`.
    """
    size = image.shape[0], image.shape[1]
    planes = _around(_base(image), scales, size)
    return planes + _positions(size, 0, size[0]) if position else planes


def feature_strips(image: Array, *, scales: int = 5, position: bool = True) -> Iterator[tuple[slice, Array]]:
    """The features of an image in strips of rows: where, and (F, rows * W) float32, as in the whole image up to rounding."""
    height, width = image.shape[:2]
    coarsest = 2 ** max(0, scales - 2)
    margin = 20 * coarsest  # two windows of 4 sigma, a derivative and the interpolation
    rows = max(1, STRIP // width // coarsest) * coarsest
    base = _base(image)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        top, bottom = max(0, start - margin), min(height, stop + margin)
        planes = _around([plane[top:bottom] for plane in base], scales, (bottom - top, width))
        planes = [plane[start - top : stop - top] for plane in planes]
        if position:
            planes += _positions((height, width), start, stop)
        yield slice(start, stop), np.stack(planes).reshape(len(planes), -1)


def _base(image: Array) -> list[Array]:
    """The channels, then of the lightness: square of its distance from the middle, and squares and product of its slopes."""
    import cv2

    pixels = as_unit_range(image)
    if pixels.shape[2] == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2LAB)
    else:
        pixels = pixels * np.float32(100)
    channels = [np.ascontiguousarray(pixels[..., c]) for c in range(pixels.shape[2])]
    light = _lightness(channels)
    across, down = _slope(light, 1, 0), _slope(light, 0, 1)
    return [*channels, np.square(light - MIDDLE), across * across, down * down, across * down]


def _around(base: list[Array], scales: int, size_hw: tuple[int, int]) -> list[Array]:
    import cv2

    height, width = size_hw
    count, most = len(base) - 4, 2 ** max(0, scales - 2)
    pad = (0, -height % most, 0, -width % most)
    level = [cv2.copyMakeBorder(plane, *pad, cv2.BORDER_REFLECT) for plane in base]
    planes, factor = base[:count], 1
    for scale in range(scales):
        if scale > 1:
            factor *= 2
            level = [cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in level]
        sigma = np.sqrt(4.0**scale - (factor**2 - 1) / 12) / factor  # pooling has blurred by the second term already
        blurred = [cv2.GaussianBlur(plane, (0, 0), sigma) for plane in level]
        for plane in _window(blurred, count):
            grown = cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) if factor > 1 else plane
            planes.append(grown[:height, :width])
    return planes


def _window(blurred: list[Array], count: int) -> list[Array]:
    """Means, deviation, tensor, gradient and curvature of one scale."""
    channels, (square, xx, yy, xy) = blurred[:count], blurred[count:]
    light = _lightness(channels)
    across, down = _slope(light, 1, 0), _slope(light, 0, 1)
    deviation = np.sqrt(np.maximum(square - np.square(light - MIDDLE), 0))
    bends = _slope(light, 2, 0), _slope(light, 0, 2), _slope(light, 1, 1)
    return [*channels, deviation, *_eigenvalues(xx, yy, xy), _length(across, down), *_eigenvalues(*bends)]


def _lightness(channels: list[Array]) -> Array:
    """The first of CIELAB or of a single channel, else the mean."""
    return channels[0] if len(channels) in (1, 3) else np.asarray(np.mean(channels, axis=0, dtype=np.float32))


def _slope(plane: Array, dx: int, dy: int) -> Array:
    import cv2

    scale = 1 / 4 if dx == 1 and dy == 1 else 1 / (8 if dx + dy == 1 else 4)
    return np.asarray(cv2.Sobel(plane, cv2.CV_32F, dx, dy, ksize=3, scale=scale))


def _eigenvalues(xx: Array, yy: Array, xy: Array) -> tuple[Array, Array]:
    """Of symmetric 2 x 2 matrices, the greater first."""
    mean, half = (xx + yy) / 2, _length((xx - yy) / 2, xy)
    return mean + half, mean - half


def _length(x: Array, y: Array) -> Array:
    return np.asarray(np.sqrt(x * x + y * y))  # the last bit of OpenCV's depends on where in memory arrays lie


def _positions(size_hw: tuple[int, int], start: int, stop: int) -> list[Array]:
    """Row and column of the pixel centres, as shares of height and width."""
    height, width = size_hw
    row = (np.arange(start, stop, dtype=np.float32)[:, None] + 0.5) / height
    column = (np.arange(width, dtype=np.float32) + 0.5) / width
    shape = stop - start, width
    return [np.broadcast_to(plane, shape).astype(np.float32) for plane in (row, column)]
