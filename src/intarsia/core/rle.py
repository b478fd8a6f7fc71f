"""Masks as run lengths, the way COCO writes them: down the columns, zeros first, and as text of six bits a character.

A character holds five bits, lowest first, and a sixth that says whether the number goes on; 48 is added to make it printable.
From the fourth run on, the difference to the run two before is written. Source: the masks of the COCO API, https://cocodataset.org.
Runs and text are those of pycocotools, byte for byte; `benchmarks/rle.py` holds their speed against it.

Memory: the pixels of a mask once, or those of its box, and its runs; what a text claims is checked before there is room for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from intarsia.core.arrays import Array, BoolArray
from intarsia.core.errors import SegmentationError
from intarsia.core.segmentation import InstanceMasks

__all__ = ["crop_of_runs", "mask_of_runs", "rle_text", "runs_of_full", "runs_of_mask", "runs_of_text"]


def runs_of_mask(masks: InstanceMasks, index: int) -> Array:
    """The run lengths of one mask of its full-size image, int64: zeros, ones, zeros ...; they add up to H W."""
    x0, y0, x1, y1 = masks.boxes_xyxy[index].tolist()
    packed = masks.bits[masks.starts[index] : masks.starts[index + 1]]
    crop = np.unpackbits(packed, count=(y1 - y0) * (x1 - x0)).reshape(y1 - y0, x1 - x0)
    runs: Array = _kernels().count_runs(crop, y0, x0, *masks.size_hw)
    return runs


def runs_of_full(mask: BoolArray) -> Array:
    """The run lengths of a full-size mask, (H, W) bool, as `runs_of_mask`; fastest row by row or column by column in memory."""
    runs: Array
    if mask.flags.f_contiguous:
        runs = _kernels().count_down(mask.T.ravel().view(np.uint8))
    else:
        runs = _kernels().count_runs(np.ascontiguousarray(mask).view(np.uint8), 0, 0, *mask.shape)
    return runs


def rle_text(runs: Array) -> bytes:
    """Run lengths as text."""
    text: Array = _kernels().write_text(np.ascontiguousarray(runs, np.int64))
    return text.tobytes()


def runs_of_text(text: str | bytes) -> Array:
    """Inverse of `rle_text`.

    Raises:
        SegmentationError: text that is not of this form.
    """
    runs: Array = _kernels().read_text(np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8))
    if len(runs) == 0:
        raise SegmentationError(f"{text[:20]!r} is no run-length text of COCO.")
    return runs


def crop_of_runs(runs: Array | Sequence[int], size_hw: tuple[int, int]) -> tuple[tuple[int, int], BoolArray]:
    """A mask as ((y, x) of its top left corner, (h, w) bool) for `InstanceMasks.pack_crops`, of its smallest box.

    Raises:
        SegmentationError: runs that are negative or do not add up to H W.
    """
    runs, (x0, y0, x1, y1) = _surveyed(runs, size_hw)
    crop = np.zeros((y1 - y0, x1 - x0), np.uint8)
    _kernels().draw(runs, size_hw[0], crop, y0, x0)
    return (y0, x0), crop.view(np.bool_)


def mask_of_runs(runs: Array | Sequence[int], size_hw: tuple[int, int]) -> BoolArray:
    """A mask at full size, (H, W) bool, column by column in memory.

    Raises:
        SegmentationError: runs that are negative or do not add up to H W.
    """
    runs, _ = _surveyed(runs, size_hw)
    pixels = np.zeros(size_hw[0] * size_hw[1], np.uint8)
    _kernels().fill(runs, pixels)
    return pixels.view(np.bool_).reshape(size_hw[::-1]).T


def _surveyed(runs: Array | Sequence[int], size_hw: tuple[int, int]) -> tuple[Array, tuple[int, int, int, int]]:
    """The runs, which fit the size, and the box of their mask."""
    runs = np.asarray(runs, np.int64).ravel()
    fits, *box = _kernels().survey(runs, *size_hw)
    if not fits:
        total = sum(runs.tolist())  # of whole numbers, which do not wrap
        raise SegmentationError(f"Runs that add up to {total} do not fit a mask of {size_hw[0]} x {size_hw[1]} pixels.")
    x0, y0, x1, y1 = box
    return runs, (x0, y0, x1, y1)


def _kernels() -> ModuleType:
    """Imported when the first mask is counted, so that looking at files does not wait for numba."""
    from intarsia.core import _rle_kernels

    return _rle_kernels
