"""The loops of `rle`. Importing this file imports numba; each is compiled when it is first called, and kept on disk.

A mask lies in memory row by row and is counted column by column. So each row is compared with the one above, 64 pixels at a time
by vector instructions, which leave a bit for each; where they differ a run ends. The ends of each column are counted first, so
that every end is put where it belongs at once.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from intarsia.core.arrays import Array

__all__ = ["count_down", "count_runs", "draw", "fill", "read_text", "survey", "write_text"]

ir = import_module("llvmlite.ir")  # comes with numba; by its name, since it has no types

LANES = 64
ONE = np.uint64(1)
MOST_CHARACTERS = 12  # of a number: 60 bits
BITS, GOES_ON, SIGN, FIRST = 31, 32, 16, 48  # of a character, see `rle`


@njit(nogil=True, cache=True)
def count_runs(crop: Array, top: int, left: int, height: int, width: int) -> Any:
    """Run lengths, int64, of a mask of (height, width) that holds `crop`, (h, w) uint8 of 0 and 1, row by row, at (top, left)."""
    h, w = crop.shape
    pixels = crop.reshape(-1)
    free = np.zeros(w + 1, np.int64)  # ends in each column, behind it; from there on, where its next one goes
    for x in range(w if h else 0):
        free[x + 1] = np.int64(pixels[x]) + pixels[pixels.size - w + x]
    row = w
    for start in range(w, pixels.size, LANES):
        ends = _unlike(pixels, start, w)
        while ends:
            at = start + _zeros_below(ends)
            while at >= row + w:
                row += w
            free[at - row + 1] += 1
            ends &= ends - ONE
    for x in range(w):
        free[x + 1] += free[x]
    edges = np.empty(free[w] + 1, np.int64)
    for x in range(w if h else 0):
        if pixels[x]:
            edges[free[x]] = (left + x) * height + top
            free[x] += 1
    y, row = 1, w
    for start in range(w, pixels.size, LANES):
        ends = _unlike(pixels, start, w)
        while ends:
            at = start + _zeros_below(ends)
            while at >= row + w:
                row += w
                y += 1
            x = at - row
            edges[free[x]] = (left + x) * height + top + y
            free[x] += 1
            ends &= ends - ONE
    for x in range(w if h else 0):
        if pixels[pixels.size - w + x]:
            edges[free[x]] = (left + x) * height + top + h
            free[x] += 1
    return _between(edges, edges.size - 1, height * width)


@njit(nogil=True, cache=True)
def count_down(pixels: Array) -> Any:
    """Run lengths, int64, of (P,) uint8 of 0 and 1, a mask column by column."""
    total = 1 if pixels.size and pixels[0] else 0
    for start in range(1, pixels.size, LANES):
        total += _ones(_unlike(pixels, start, 1))
    edges = np.empty(total + 1, np.int64)
    found = 0
    if pixels.size and pixels[0]:
        edges[0] = 0
        found = 1
    for start in range(1, pixels.size, LANES):
        ends = _unlike(pixels, start, 1)
        while ends:
            edges[found] = start + _zeros_below(ends)
            found += 1
            ends &= ends - ONE
    return _between(edges, total, pixels.size)


@njit(nogil=True)
def _unlike(pixels: Array, start: int, back: int) -> Any:
    """Bit k of 64: whether pixels[start + k] differs from pixels[start + k - back]; 0 behind the last pixel."""
    if start + LANES <= pixels.size:
        return _compare(pixels, start, start - back)
    ends = np.uint64(0)
    for at in range(start, pixels.size):
        if pixels[at] != pixels[at - back]:
            ends |= ONE << np.uint64(at - start)
    return ends


def _instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """`numba.extending.intrinsic`, with a type: what is compiled is called without the first argument."""
    compiled: Callable[..., Any] = intrinsic(function)
    return compiled


@_instruction
def _compare(context: Any, pixels: Any, one: Any, other: Any) -> Any:
    """Bit k of 64: whether pixels[one + k] differs from pixels[other + k]; no bounds are checked."""

    def compile_it(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = target.make_array(pixels)(target, builder, arguments[0]).data
        many = ir.VectorType(ir.IntType(8), LANES).as_pointer()
        pointers = [builder.bitcast(builder.gep(data, [at]), many) for at in arguments[1:]]
        here, there = (builder.load(pointer, align=1) for pointer in pointers)
        return builder.bitcast(builder.icmp_unsigned("!=", here, there), ir.IntType(LANES))

    return types.uint64(pixels, types.int64, types.int64), compile_it


@_instruction
def _ones(context: Any, bits: Any) -> Any:
    """How many bits are set."""
    return types.int64(types.uint64), lambda target, builder, signature, arguments: builder.ctpop(arguments[0])


@_instruction
def _zeros_below(context: Any, bits: Any) -> Any:
    """The place of the lowest bit that is set; 64 if none is."""
    unsure = ir.Constant(ir.IntType(1), 0)
    return types.int64(types.uint64), lambda target, builder, signature, arguments: builder.cttz(arguments[0], unsure)


@njit(nogil=True, cache=True)
def _between(edges: Array, total: int, pixels: int) -> Any:
    """The runs between edges; two at one place, from the bottom of a column on to the top of the next, are none.

    Every place is written before it is read, and none twice: the list may become its own answer.
    """
    runs = 0
    at = 0
    while at < total:
        if at + 1 < total and edges[at] == edges[at + 1]:
            at += 2
            continue
        edges[runs] = edges[at]
        runs += 1
        at += 1
    if runs == 0 or edges[runs - 1] < pixels:  # what is left at the end
        edges[runs] = pixels
        runs += 1
    lengths = np.empty(runs, np.int64)
    before = 0
    for at in range(runs):
        lengths[at] = edges[at] - before
        before = edges[at]
    return lengths


@njit(nogil=True, cache=True)
def write_text(runs: Array) -> Any:
    """Run lengths, (R,) int64, as characters, uint8."""
    text = np.empty(MOST_CHARACTERS * runs.size, np.uint8)
    written = 0
    for at in range(runs.size):
        rest = runs[at] - runs[at - 2] if at > 2 else runs[at]
        while True:
            bits = rest & BITS
            rest >>= 5
            if rest == (-1 if bits & SIGN else 0):
                break
            text[written] = bits + GOES_ON + FIRST
            written += 1
        text[written] = bits + FIRST
        written += 1
    return text[:written].copy()


@njit(nogil=True, cache=True)
def read_text(text: Array) -> Any:
    """Inverse of `write_text`; nothing for what is no such text."""
    count = 0
    for character in text:
        count += ((character - FIRST) & GOES_ON) == 0
    runs = np.empty(count, np.int64)
    at = found = 0
    while at < text.size:
        value, place, bits = 0, 0, GOES_ON
        while bits & GOES_ON:
            if at == text.size or place == 5 * MOST_CHARACTERS:
                return runs[:0]
            bits = text[at] - FIRST
            if bits < 0 or bits > 63:
                return runs[:0]
            value |= (bits & BITS) << place
            place += 5
            at += 1
        if bits & SIGN:
            value -= 1 << place
        runs[found] = value + runs[found - 2] if found > 2 else value
        found += 1
    return runs


@njit(nogil=True, cache=True)
def survey(runs: Array, height: int, width: int) -> Any:
    """Whether runs fill (height, width) exactly, and the smallest box of the mask: x0, y0, x1, y1; all zero when it is empty."""
    y0, y1, first, last = height, 0, -1, 0
    end = 0
    for at in range(runs.size):
        begin = end
        if runs[at] < 0 or runs[at] > height * width - begin:
            return False, 0, 0, 0, 0
        end = begin + runs[at]
        if at % 2 == 0 or end == begin:
            continue
        first = begin if first < 0 else first
        last = end - 1
        if begin // height == last // height:
            y0, y1 = min(y0, begin % height), max(y1, last % height + 1)
        else:
            y0, y1 = 0, height
    if first < 0:
        return end == height * width, 0, 0, 0, 0
    return end == height * width, first // height, y0, last // height + 1, y1


@njit(nogil=True, cache=True)
def fill(runs: Array, pixels: Array) -> None:
    """Set the ones of runs that `survey` found to be right, in (H W,) uint8 zeros, column by column."""
    end = 0
    for at in range(1, runs.size, 2):
        begin = end + runs[at - 1]
        end = begin + runs[at]
        pixels[begin:end] = 1


@njit(nogil=True, cache=True)
def draw(runs: Array, height: int, crop: Array, top: int, left: int) -> None:
    """Draw the mask of runs that `survey` found to be right, inside its box.

    A pixel is marked where its run begins and below where it ends, column by column; each row then takes the one above into
    account.

    Args:
        runs: (R,) int64.
        height: of the whole mask.
        crop: (h, w) uint8 zeros, row by row.
        top: row of the mask that is the crop's first.
        left: column of the mask that is the crop's first.
    """
    h, w = crop.shape
    end = 0
    for at in range(1, runs.size, 2):
        begin = end + runs[at - 1]
        end = begin + runs[at]
        if begin == end:
            continue
        for column in range(begin // height, (end - 1) // height + 1):
            low, high = max(begin - column * height, 0) - top, end - column * height - top
            crop[low, column - left] ^= 1
            if high < h:
                crop[high, column - left] ^= 1
    for y in range(1, h):
        above, here = crop[y - 1], crop[y]
        for x in range(w):
            here[x] ^= above[x]
