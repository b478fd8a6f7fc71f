"""Labels that follow the image's edges: a fully connected conditional random field over the pixels, by mean field.

Krähenbühl, Koltun, "Efficient inference in fully connected CRFs with Gaussian edge potentials", NIPS 2011.

Idea: every pixel speaks with every other. Two pixels that lie close, or close and alike in colour, pay for different labels. Each
step lets all pixels hear the sums of the others' beliefs, which are two Gaussian filters, and makes them beliefs again.

Source: E(x) = sum_i u_i(x_i) + sum_{i<j} mu(x_i, x_j) [w_b exp(-|p_i - p_j|^2 / 2 a^2 - |I_i - I_j|^2 / 2 b^2)
+ w_s exp(-|p_i - p_j|^2 / 2 g^2)] and algorithm 1, all pixels in parallel. With Potts' mu = [x_i != x_j] a message is w K Q of
the own label, but for a constant of the pixel that the softmax takes away.

Deviations: filters are normalised (`DenseCRF.normalization`), which the first paper does not say and its code does; the weight of
a kernel means little without. A pixel hears itself too, as in that code.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
from numba import njit

from intarsia.classical._permutohedral import FEW_VALUES, Lattice, Normalization, in_blocks, in_parts, permutohedral
from intarsia.classical._pixels import as_unit_range
from intarsia.classical._threads import THREADS
from intarsia.core import Array, ClassSpace, LabelMap, SegmentationError, SettingsError, as_image, smallest_id_dtype

__all__ = ["DEEPLAB", "DEEPLAB_V2", "DenseCRF", "mean_field", "refine", "unary_from_labels", "unary_from_prob"]

BLOCK = 4080  # pixels whose beliefs are made in one go: few enough for the cache, and rows of them start in different sets of it
LEAST_PROB = 1e-5
FEW_ROWS = 64  # whose beliefs are made in one go, in the innermost cache
FEW_BELIEFS = 1 << 18  # below which threads cost more than they bring


@dataclass(frozen=True)
class DenseCRF:
    """What two pixels pay for different labels.

    Args:
        spatial_weight: w_s, of the kernel of position alone, which removes speckle; 0 leaves it out.
        spatial_xy: g, its standard deviation in pixels.
        bilateral_weight: w_b, of the kernel of position and colour, which draws borders to edges; 0 leaves it out.
        bilateral_xy: a, its standard deviation in pixels.
        bilateral_rgb: b, its standard deviation in grey levels of 0..255.
        iterations: of mean field; 0 is the softmax of the unaries.
        normalization: of both filters, see `permutohedral`. Weights found with one do not carry over to another.
        confidence: how probable a hard label is, between 0 and 1; for label maps without probabilities.
        compatibility: (K, K) rows of numbers, what label l pays beside label l', learnt for instance; None is Potts.
        drop_below: classes whose probability by the unaries is nowhere as high are left out and get 0: faster, not exact.
        stop_below: stop after a step that changed the probabilities of pixels by less (the largest of each, on average):
            faster, not exact, and pixels in doubt change long after the others.

    The defaults are those of DeepLab's test settings, symmetrically normalised.

    Raises:
        SettingsError: a negative weight or count, a standard deviation that is not positive, a confidence outside 0 to 1, or a
            compatibility that is not square.
    """

    spatial_weight: float = 3.0
    spatial_xy: float = 3.0
    bilateral_weight: float = 5.0
    bilateral_xy: float = 50.0
    bilateral_rgb: float = 10.0
    iterations: int = 10
    normalization: Normalization = "symmetric"
    confidence: float = 0.7
    compatibility: Sequence[Sequence[float]] | None = None
    drop_below: float = 0.0
    stop_below: float = 0.0

    def __post_init__(self) -> None:
        for name in ("spatial_weight", "bilateral_weight", "iterations", "drop_below", "stop_below"):
            if not 0 <= getattr(self, name) < np.inf:
                raise SettingsError(f"{name} is {getattr(self, name)}; a finite number that is not negative is expected.")
        if self.iterations != int(self.iterations):
            raise SettingsError(f"iterations is {self.iterations}; steps are counted, so a whole number is expected.")
        for name in ("spatial_xy", "bilateral_xy", "bilateral_rgb"):
            if not 0 < getattr(self, name) < np.inf:
                raise SettingsError(f"{name} is {getattr(self, name)}; a standard deviation is finite and above 0.")
        if self.normalization not in ("symmetric", "before", "after", "none"):
            raise SettingsError(f"normalization is {self.normalization!r}; it is 'symmetric', 'before', 'after' or 'none'.")
        if not 0 < self.confidence < 1:
            raise SettingsError(f"confidence is {self.confidence}; how probable a label is lies between 0 and 1.")
        if self.compatibility is not None:
            rows = np.asarray(self.compatibility, np.float64)
            if rows.ndim != 2 or len(rows) != len(rows.T) or not np.isfinite(rows).all():
                raise SettingsError(
                    f"The compatibility has shape {rows.shape}; finite numbers (K, K), a row for each label, fit."
                )
            object.__setattr__(self, "compatibility", tuple(map(tuple, rows.tolist())))  # comparable, and as TOML holds it

    def __call__(self, prediction: LabelMap, image: Array) -> LabelMap:
        """The prediction refined, see `refine`."""
        return refine(prediction, image, self)

    def lattices(self, image: Array, pool: Executor | None = None) -> list[tuple[float, Lattice]]:
        """The kernels of an image (H, W, C), those without weight left out: weight and filter of its pixels in row order."""
        image = as_image(image)
        height, width, channels = image.shape

        def of_position(sd: float, more: int = 0) -> Array:
            features = np.empty((height, width, 2 + more), np.float32)
            features[..., 0] = np.arange(width) / sd
            features[..., 1] = np.arange(height)[:, None] / sd
            return features

        kernels = []
        if self.spatial_weight:
            features = of_position(self.spatial_xy).reshape(-1, 2)
            kernels.append((self.spatial_weight, permutohedral(features, self.normalization, pool=pool)))
        if self.bilateral_weight:
            features = of_position(self.bilateral_xy, channels)
            np.divide(_gray_levels(image), self.bilateral_rgb, out=features[..., 2:])
            kernels.append(
                (self.bilateral_weight, permutohedral(features.reshape(-1, 2 + channels), self.normalization, pool=pool))
            )
        return kernels


DEEPLAB = DenseCRF(3.0, 3.0, 5.0, 50.0, 3.0, 10, "after")
"""DeepLab v1 as released (Chen et al., ICLR 2015), found on PASCAL VOC: normalised by pixel, as the first authors' code did."""

DEEPLAB_V2 = DenseCRF(3.0, 1.0, 4.0, 67.0, 3.0, 10, "after")
"""DeepLab v2 with ResNet-101 as released (Chen et al., PAMI 2018)."""


def refine(
    prediction: LabelMap | Array,
    image: Array,
    settings: DenseCRF | None = None,
    *,
    classes: ClassSpace | None = None,
    threads: int | None = None,
) -> LabelMap:
    """Refine a prediction by the image it was made of.

    Args:
        prediction: a label map, whose `prob` is used where it has one and its hard labels otherwise (the ignore id says nothing);
            or unaries (K, H, W), -log p up to a constant of the pixel.
        image: (H, W, C), any number of channels: integers by the range of their dtype, floats in [0, 1] or by their own range.
        settings: the field; `DenseCRF()` if not given.
        classes: of the result; those of the prediction if not given.
        threads: as many as numba would use, unless the image is small; results do not depend on it.

    Returns:
        The best label of each pixel, with `prob` (K, H, W) float32.

    Raises:
        SegmentationError: sizes that differ, unaries that are not finite, regions without classes.
        SettingsError: a compatibility of other classes.
    """
    settings = settings or DenseCRF()
    if isinstance(prediction, LabelMap):
        classes = classes or prediction.classes
        if prediction.prob is None:
            unary = unary_from_labels(LabelMap(prediction.ids, classes), settings.confidence)
        else:
            unary = unary_from_prob(prediction.prob)
    else:
        unary = prediction
    image = as_image(image)
    if unary.ndim != 3 or unary.shape[1:] != image.shape[:2] or (classes and len(classes) != len(unary)):
        of_classes = f" with {len(classes)} classes" if classes else ""
        raise SegmentationError(
            f"The prediction has shape {unary.shape} and the image {image.shape}{of_classes}; (K, H, W) of the "
            "image's size fits, with one score for each class."
        )
    shape = unary.shape
    count = threads or (THREADS if unary.size > FEW_BELIEFS else 1)
    with ThreadPoolExecutor(count) if count > 1 else nullcontext() as pool:
        kernels = settings.lattices(image, pool)
        q = _infer(unary.reshape(shape[0], -1), kernels, settings, pool)
        ids = np.empty(q.shape[1], classes.id_dtype if classes else smallest_id_dtype(shape[0] - 1))
        in_blocks(partial(_best, q, ids), len(ids), pool)
    return LabelMap(ids.reshape(shape[1:]), classes, q.reshape(shape))


def _infer(unary: Array, kernels: Sequence[tuple[float, Lattice]], settings: DenseCRF, pool: Executor | None) -> Array:
    """Mean field of unaries (K, N) without the classes that are hopeless."""
    kept = np.arange(len(unary))
    if settings.drop_below:
        highest = mean_field(unary, [], pool=pool).max(1)
        kept = np.flatnonzero(highest >= min(settings.drop_below, highest.max()))
    mu = None if settings.compatibility is None else np.asarray(settings.compatibility)
    if len(kept) == len(unary):
        return mean_field(unary, kernels, settings.iterations, compatibility=mu, stop_below=settings.stop_below, pool=pool)
    mu = None if mu is None else mu[np.ix_(kept, kept)]
    q = np.zeros(unary.shape, np.float32)
    q[kept] = mean_field(unary[kept], kernels, settings.iterations, compatibility=mu, stop_below=settings.stop_below, pool=pool)
    return q


def unary_from_prob(prob: Array) -> Array:
    """-log p of probabilities (K, H, W), of which none counts for less than 1e-5: (K, H, W) float32."""
    unary = np.maximum(prob, LEAST_PROB, dtype=np.float32)
    np.log(unary, out=unary)
    return np.negative(unary, out=unary)


def unary_from_labels(labels: LabelMap, confidence: float = 0.7) -> Array:
    """-log p where the label has probability `confidence` and the others share the rest; uniform at the ignore id."""
    if labels.classes is None:
        raise SegmentationError("The label map has neither classes nor probabilities: regions cannot be refined by a CRF.")
    count = len(labels.classes)
    table = np.full((count, count + 1), -np.log((1 - confidence) / max(count - 1, 1)), np.float32)
    np.fill_diagonal(table, -np.log(confidence))
    table[:, count] = np.log(count)
    return table[:, np.where(labels.ids < count, labels.ids, count)]


def mean_field(
    unary: Array,
    kernels: Sequence[tuple[float, Lattice]],
    iterations: int = 10,
    *,
    compatibility: Array | None = None,
    stop_below: float = 0,
    pool: Executor | None = None,
) -> Array:
    """Beliefs of pixels that speak with each other: Q <- softmax(-U - mu sum_m w_m K_m Q), from softmax(-U).

    Args:
        unary: (K, N) float; half precision halves its memory and is read as it is.
        kernels: weight and filter of each.
        iterations: of all pixels in parallel.
        compatibility: mu, (K, K); Potts if not given.
        stop_below: stop after a step that changed the beliefs of pixels by less, the largest of each, on average.
        pool: threads that share the work.

    Returns:
        (K, N) float32, adding to 1 over K.
    """
    unary = np.ascontiguousarray(unary)
    labels, size = unary.shape
    if compatibility is not None and compatibility.shape != (labels, labels):
        raise SettingsError(f"The compatibility has shape {compatibility.shape}; {(labels, labels)} fits {labels} labels.")
    width = labels if labels <= 4 else -(-labels // 8) * 8  # whole vectors of the processor: half the time of 21 labels
    mixing = None if compatibility is None else np.ascontiguousarray(-compatibility.T, np.float32)
    q = np.empty((labels, size), np.float32)
    sums = [np.empty((len(lattice.members), width), np.float32) for _, lattice in kernels]
    blurred: list[Array] = []
    steps, step = iterations if kernels else 0, 0

    def believe(part: int, first: int, end: int) -> float:
        """A step of the pixels of a part, whose beliefs are kept as sums for the next, and as a result where one is needed.

        Returns the sum over pixels of the largest change of a belief, if that is asked for.
        """
        change = 0.0
        for (_, lattice), of_kernel in zip(kernels, sums, strict=False):
            of_kernel[lattice.starts[part] : lattice.starts[part + 1]] = 0
        scratch = np.empty((BLOCK, width), np.float32)
        for start in range(first, end, BLOCK):
            stop = min(start + BLOCK, end)
            rows = scratch[: stop - start]
            rows[:] = 0
            for (weight, lattice), values in zip(kernels, blurred, strict=False):
                lattice.slice(values, rows, part, start, factor=weight)
            if mixing is not None:
                rows[:, :labels] = rows[:, :labels] @ mixing
            if step == 0 and not np.isfinite(unary[:, start:stop]).all():
                raise SegmentationError("The unaries hold values that are not finite; clip probabilities before their logarithm.")
            if unary.dtype == np.float32:
                _believe(unary, start, rows)
            else:
                _believe(unary[:, start:stop].astype(np.float32), 0, rows)
            if stop_below and step:
                change += float(np.abs(q[:, start:stop] - rows[:, :labels].T).max(0).sum())
            if stop_below or step == steps:
                q[:, start:stop] = rows[:, :labels].T
            for (_, lattice), of_kernel in zip(kernels, sums, strict=False):
                lattice.splat(rows, of_kernel, part, start)
        return change

    for step in range(steps + 1):
        if step == steps:
            sums = []  # not needed any more, and the result needs room
        change = sum(in_parts(believe, size, pool)) / size
        if step and change < stop_below:
            break
        blurred.clear()
        blurred += _blur_all([lattice for _, lattice in kernels], sums, pool)
    return q


def _blur_all(lattices: Sequence[Lattice], sums: Sequence[Array], pool: Executor | None) -> list[Array]:
    """Blur the sums of all kernels: large lattices one after the other by all threads, small ones each by one."""
    if pool is None or any(
        len(lattice) * of_kernel.shape[1] > FEW_VALUES for lattice, of_kernel in zip(lattices, sums, strict=False)
    ):
        return [lattice.blur(of_kernel, pool=pool) for lattice, of_kernel in zip(lattices, sums, strict=False)]
    return list(pool.map(lambda lattice, of_kernel: lattice.blur(of_kernel), lattices, sums))


def _gray_levels(image: Array) -> Array:
    """(H, W, C) float32 in 0..255, whatever the dtype."""
    return image.astype(np.float32) if image.dtype == np.uint8 else as_unit_range(image) * np.float32(255)


# exp(x) = 2^n exp(r) with |r| <= ln 2 / 2: n goes to the exponent's bits, exp(r) is its Taylor polynomial, off by 1.2e-7 of it
# at most, a float's rounding. Without a call in it, the loop is vectorised.
LOG2E, LN2_HIGH, LN2_LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
C6, C5, C4, C3, HALF, ONE = (np.float32(1 / f) for f in (720, 120, 24, 6, 2, 1))
LEAST = np.float32(-60)  # less counts as so much: what is multiplied with exp(-86) is not a normal number, and slow


@njit(cache=True, nogil=True)
def _believe(unary: Array, start: int, rows: Array) -> None:
    """Replace rows (n, >= K) by softmax(rows - unary^T) of unary (K, N) from `start` on, and by 0 beyond K."""
    labels = len(unary)
    shifts, of_row = np.empty(FEW_ROWS * rows.shape[1], np.int32), np.empty(FEW_ROWS, np.float32)
    for first in range(0, len(rows), FEW_ROWS):
        few = rows[first : first + FEW_ROWS]
        of_row[:] = -np.inf  # highest
        for k in range(labels):  # rows innermost, as none waits for another
            for n in range(len(few)):
                value = few[n, k] - unary[k, start + first + n]
                few[n, k] = value
                of_row[n] = value if value > of_row[n] else of_row[n]
        for n in range(len(few)):
            row = few[n]
            for k in range(len(row)):
                row[k] -= of_row[n]
        values = few.ravel()  # a view, as rows are contiguous
        for i in range(len(values)):
            x = max(values[i], LEAST)
            n = np.floor(x * LOG2E + HALF)
            r = x - n * LN2_HIGH - n * LN2_LOW
            values[i] = ONE + r * (ONE + r * (HALF + r * (C3 + r * (C4 + r * (C5 + r * C6)))))
            shifts[i] = np.int32(n) << np.int32(23)
        bits = values.view(np.int32)
        for i in range(len(values)):
            bits[i] += shifts[i]
        of_row[:] = 0  # sum
        for k in range(labels):
            for n in range(len(few)):
                of_row[n] += few[n, k]
        for n in range(len(few)):
            row, share = few[n], ONE / of_row[n]
            for k in range(labels):
                row[k] *= share
            row[labels:] = 0


@njit(cache=True, nogil=True)
def _best(q: Array, ids: Array, start: int, stop: int) -> None:
    """The first label of the highest belief of each pixel."""
    best = q[0, start:stop].copy()
    ids[start:stop] = 0
    for k in range(1, len(q)):
        for i in range(len(best)):
            better = q[k, start + i] > best[i]
            ids[start + i] = k if better else ids[start + i]
            best[i] = q[k, start + i] if better else best[i]
