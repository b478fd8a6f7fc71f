"""Where runs of equal pixels end, in two maps at once. Importing this file imports numba; it compiles on first use.

Label maps are smooth: most pixels are like the next one, and a run can be counted at once. Sixty-four pixels at a time are
compared with the next ones by vector instructions, which leave a bit for each: a mask, from which the ends of runs are read
without asking pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from intarsia.core import Array

__all__ = ["LANES", "TILE", "list_runs"]

ir = import_module("llvmlite.ir")  # comes with numba; by its name, since it has no types

TILE = 2048  # pixels; what is kept of them stays in the innermost cache
LANES = 64
FEW = 4  # ends of a mask that are read whether or not there are as many: cheaper than to guess how often to turn
ONE = np.uint64(1)


@njit(nogil=True, cache=True)
def list_runs(one: Array, other: Array, start: int, pixels: int, most: int, ends: Array) -> Any:
    """List the ends of the runs of equal pairs in a tile, which begins at `start`.

    Args:
        one: (P,) integer, contiguous.
        other: (P,) likewise, of this or another dtype.
        start: where in the maps the tile begins.
        pixels: in the tile, 1 to `TILE`.
        most: with more runs than that it gives up.
        ends: (TILE + LANES,) uint32, written over: for each run its last pixel, from the beginning of the tile.

    Returns:
        How many runs; 0 if it gave up.
    """
    masked = min(pixels, one.size - 1 - start) // LANES * LANES  # the last pixel of all has no next one
    runs = np.uint64(0)
    for block in range(0, masked, LANES):
        mask = _unlike_next(one, start + block) | _unlike_next(other, start + block)
        after = runs + np.uint64(_ones(mask))
        if after > most:
            return np.int64(0)
        for few in range(FEW):
            ends[runs + np.uint64(few)] = np.uint64(block) + _zeros_below(mask)
            mask &= mask - ONE
        runs += np.uint64(FEW)
        while runs < after:
            ends[runs] = np.uint64(block) + _zeros_below(mask)
            mask &= mask - ONE
            runs += ONE
        runs = after
    for pixel in range(masked, pixels):
        ends[runs] = pixel
        runs += ONE
    if runs == 0 or ends[runs - ONE] != pixels - 1:  # a run that goes on in the next tile
        ends[runs] = pixels - 1
        runs += ONE
    return np.int64(runs)


def _instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """`numba.extending.intrinsic`, with a type: what is compiled is called without the first argument."""
    compiled: Callable[..., Any] = intrinsic(function)
    return compiled


@_instruction
def _unlike_next(context: Any, ids: Any, at: Any) -> Any:
    """Bit k of 64: whether ids[at + k] differs from ids[at + k + 1]; no bounds are checked."""

    def compile_it(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = target.make_array(ids)(target, builder, arguments[0]).data
        many = ir.VectorType(target.get_data_type(ids.dtype), LANES).as_pointer()
        after = builder.add(arguments[1], ir.Constant(arguments[1].type, 1))
        pointers = [builder.bitcast(builder.gep(data, [index]), many) for index in (arguments[1], after)]
        here, there = (builder.load(pointer, align=1) for pointer in pointers)
        return builder.bitcast(builder.icmp_unsigned("!=", here, there), ir.IntType(LANES))

    return types.uint64(ids, types.int64), compile_it


@_instruction
def _ones(context: Any, mask: Any) -> Any:
    """How many bits are set."""
    return types.int64(types.uint64), lambda target, builder, signature, arguments: builder.ctpop(arguments[0])


@_instruction
def _zeros_below(context: Any, mask: Any) -> Any:
    """The place of the lowest bit that is set; 64 if none is."""
    unsure = ir.Constant(ir.IntType(1), 0)
    return types.uint64(types.uint64), lambda target, builder, signature, arguments: builder.cttz(arguments[0], unsure)
