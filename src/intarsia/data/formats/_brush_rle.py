"""The masks of Label Studio's brush: RGBA pixels in run lengths, packed bit by bit, as a list of bytes.

Behind 32 bits that count the values (4 a pixel), 5 bits hold the bits of a value, less 1, and four times 4 bits the bits of a
length, less 1. Then come packs: 1 bit, 2 bits that choose how many bits the length has, the length less 1, and either (bit 1) one
value for all of them, or (bit 0) so many values. The highest bit comes first. The mask is alpha; strokes have soft edges, so a
pixel belongs to it from half alpha on.

Source: the format of https://www.npmjs.com/package/@thi.ng/rle-pack, which Label Studio documents for its brush.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core import Array, BoolArray, SegmentationError

__all__ = ["decode_brush", "encode_brush"]

LENGTH_BITS = (3, 4, 8, 16)
HEADER = 32 + 5 + 4 * 4
CHANNELS = 4
LONGEST = 2**16


def decode_brush(values: Sequence[int], size_hw: tuple[int, int]) -> BoolArray:
    """The mask, (H, W).

    Raises:
        SegmentationError: no bytes, another number of pixels, or bytes that end too early.
    """
    from intarsia.data.formats._brush_kernels import unpack

    numbers = np.array(values, np.int64)
    if numbers.ndim != 1 or 8 * len(numbers) < HEADER or numbers.min() < 0 or numbers.max() > 255:
        raise SegmentationError("A brush mask is a list of bytes, 0 to 255, of which the first seven say how it is packed.")
    data = numbers.astype(np.uint8)
    said = int.from_bytes(data[:4].tobytes(), "big")
    pixels = size_hw[0] * size_hw[1]
    if said != CHANNELS * pixels:
        raise SegmentationError(
            f"A brush mask has {said:,} values, its image of {size_hw[0]} x {size_hw[1]} (height, width) has {pixels:,} pixels, "
            "each of four. It was drawn on an image of another size."
        )
    header = np.unpackbits(data[4:7])
    value_bits = int(_number(header[:5])) + 1
    length_bits = np.array([int(_number(header[n : n + 4])) + 1 for n in (5, 9, 13, 17)], np.int64)
    packs = 8 * len(data) // (3 + int(length_bits.min()) + 1)
    if packs * LONGEST < said:
        raise SegmentationError(f"A brush mask of {len(data):,} bytes cannot hold {pixels:,} pixels. It was cut off.")
    mask = np.zeros(pixels, np.bool_)
    if not unpack(data, HEADER, value_bits, length_bits, mask):
        raise SegmentationError(f"A brush mask of {len(data):,} bytes ends before its {pixels:,} pixels do. It was cut off.")
    return mask.reshape(size_hw)


def encode_brush(mask: BoolArray) -> list[int]:
    """The bytes of a mask (H, W), 255 in all four channels of its pixels."""
    flat = mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    runs = CHANNELS * np.diff(np.append(starts, flat.size))
    pieces = -(-runs // LONGEST)
    lengths = np.full(pieces.sum(), LONGEST, np.int64)
    lengths[np.cumsum(pieces) - 1] = runs - (pieces - 1) * LONGEST
    colors = np.repeat(np.where(flat[starts], 255, 0), pieces)
    choice = np.searchsorted(2 ** np.array(LENGTH_BITS), lengths)
    bits = np.array(LENGTH_BITS)[choice]
    packs = ((4 | choice) << bits | (lengths - 1)) << 8 | colors
    head = [(CHANNELS * flat.size, 32), (8 - 1, 5), *((n - 1, 4) for n in LENGTH_BITS)]
    numbers = np.concatenate([np.array([number for number, _ in head]), packs])
    widths = np.concatenate([np.array([width for _, width in head]), 3 + bits + 8])
    place = np.repeat(np.cumsum(widths), widths) - np.arange(widths.sum()) - 1
    found: list[int] = np.packbits((np.repeat(numbers, widths) >> place & 1).astype(np.uint8)).tolist()
    return found


def _number(bits: Array) -> int:
    return int("".join(map(str, bits.tolist())), 2)
