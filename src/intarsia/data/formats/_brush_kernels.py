"""The loop over bits of `_brush_rle`."""

from __future__ import annotations

from numba import njit

from intarsia.core import Array

__all__ = ["unpack"]

HALF = 128


@njit(nogil=True, cache=True)
def _bits(data: Array, begin: int, count: int) -> int:
    number = 0
    for place in range(begin, begin + count):
        number = number << 1 | (data[place >> 3] >> (7 - (place & 7)) & 1)
    return number


@njit(nogil=True, cache=True)
def unpack(data: Array, place: int, value_bits: int, length_bits: Array, mask: Array) -> bool:
    """Fill the mask from the bit at `place` on; False where the bytes end too early. Value 4 n + 3 is the alpha of pixel n."""
    end, done, total = 8 * len(data), 0, 4 * len(mask)
    while done < total:
        if place + 3 > end:
            return False
        is_run, bits = _bits(data, place, 1), length_bits[_bits(data, place + 1, 2)]
        if place + 3 + bits + value_bits > end:
            return False
        until = min(done + _bits(data, place + 3, bits) + 1, total)
        place += 3 + bits
        if is_run:
            if _bits(data, place, value_bits) >= HALF:
                mask[done // 4 : until // 4] = True
            place += value_bits
            done = until
            continue
        if place + (until - done) * value_bits > end:
            return False
        while done < until:
            if done % 4 == 3:
                mask[done // 4] = _bits(data, place, value_bits) >= HALF
            place += value_bits
            done += 1
    return True
