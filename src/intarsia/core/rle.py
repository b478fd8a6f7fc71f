"""Masks as run lengths, the way COCO writes them: down the columns, zeros first, and as text of six bits a character.

A character holds five bits, lowest first, and a sixth that says whether the number goes on; 48 is added to make it printable.
From the fourth run on, the difference to the run two before is written. Source: the masks of the COCO API, https://cocodataset.org.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core.arrays import Array, BoolArray
from intarsia.core.errors import SegmentationError
from intarsia.core.segmentation import InstanceMasks

__all__ = ["crop_of_runs", "rle_text", "runs_of_mask", "runs_of_text"]


def runs_of_mask(masks: InstanceMasks, index: int) -> Array:
    """The run lengths of one mask of its full-size image, int64: zeros, ones, zeros ...; they add up to H W."""
    height, width = masks.size_hw
    x0, y0, x1, y1 = masks.boxes_xyxy[index].tolist()
    columns = np.zeros((x1 - x0, y1 - y0 + 2), np.int8)
    columns[:, 1:-1] = masks.crop(index).T
    change = np.diff(columns, axis=1)
    (column, begin), end = np.nonzero(change == 1), np.nonzero(change == -1)[1]
    first = (column + x0) * height + y0
    edges = np.stack([first + begin, first + end], 1).ravel()
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2])  # a run that reaches the bottom goes on at the top
    edges = np.delete(edges, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    runs = np.diff(edges, prepend=0, append=height * width)
    return runs[:-1] if runs[-1] == 0 else runs


def rle_text(runs: Array) -> bytes:
    """Run lengths as text."""
    rest = runs.astype(np.int64)
    rest[3:] -= runs[1:-2]
    characters = []
    goes_on = np.ones(len(rest), np.bool_)
    while goes_on.any():
        bits, rest = rest & 31, rest >> 5
        was_on, goes_on = goes_on, goes_on & (rest != np.where(bits & 16, -1, 0))
        characters.append(np.where(was_on, bits + 32 * goes_on + 48, 0))
    written = np.stack(characters, 1).astype(np.uint8).ravel()
    return written[written > 0].tobytes()


def runs_of_text(text: str | bytes) -> Array:
    """Inverse of `rle_text`.

    Raises:
        SegmentationError: text that is not of this form.
    """
    values = np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((values & 32) == 0)
    if len(values) == 0 or values.min() < 0 or values.max() > 63 or last[-1:] != len(values) - 1:
        raise SegmentationError(f"{text[:20]!r} is no run-length text of COCO.")
    first = np.concatenate([[0], last[:-1] + 1])
    place = 5 * (np.arange(len(values)) - np.repeat(first, last - first + 1))
    runs = np.add.reduceat((values & 31) << place, first)
    runs -= np.where(values[last] & 16, 1 << (place[last] + 5), 0)
    for start in (1, 2):
        runs[start::2] = np.cumsum(runs[start::2])
    return runs


def crop_of_runs(runs: Array | Sequence[int], size_hw: tuple[int, int]) -> tuple[tuple[int, int], BoolArray]:
    """A mask as ((y, x) of its top left corner, (h, w) bool) for `InstanceMasks.pack_crops`, of the columns that it touches.

    Raises:
        SegmentationError: runs that are negative or do not add up to H W.
    """
    height, width = size_hw
    runs = np.asarray(runs, np.int64)
    if runs.sum() != height * width or runs.min(initial=0) < 0 or runs.max(initial=0) > height * width:  # a sum may wrap
        raise SegmentationError(f"Runs that add up to {runs.sum()} do not fit a mask of {height} x {width} pixels.")
    edges = np.cumsum(runs)
    begin, end = edges[:-1:2], edges[1::2]
    begin, end = begin[begin < end], end[begin < end]
    if not len(begin):
        return (0, 0), np.zeros((0, 0), np.bool_)
    x0, x1 = int(begin[0]) // height, -(-int(end[-1]) // height)
    inside = np.stack([begin, end], 1).ravel() - x0 * height
    lengths = np.diff(inside, prepend=0, append=(x1 - x0) * height)
    columns = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(x1 - x0, height)
    return (0, x0), columns.T
