"""Objects from learnt levels of energy: one cut for each class, and what it took from the cores given back.

Bai, Urtasun, "Deep Watershed Transform for Instance Segmentation", CVPR 2017, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage
from scipy.special import softmax

from intarsia.core import Array, InstanceMasks, SettingsError
from intarsia.postprocess._numbered import mean_of_ids, objects_of_ids

__all__ = ["decode_watershed_cuts"]


def decode_watershed_cuts(
    logits: Array,
    parts: Mapping[str, Array],
    size_hw: tuple[int, int],
    *,
    scale_yx: tuple[float, float] = (1.0, 1.0),
    cut: int | tuple[int, ...] = 1,
    min_size: int | tuple[int, ...] = 20,
    hole: int = 64,
    grow: int | None = None,
    inside: bool = False,
) -> tuple[InstanceMasks, Array, Array]:
    """Cut the energy of each class at its level, and make an object of each connected part of what is above.

    Of the pixels of a class those whose best level is greater than `cut` are cores. Cores of fewer than `min_size` pixels are
    dropped, smaller holes than `hole` filled; each connected part (8 neighbours) is an object and grows by `grow` pixels in all
    directions, where two meet to the nearer.

    The score of an object, which the paper does not define, is the mean over its core of the probability of its class times that
    of a level above the cut.

    Source: the authors' code, at half the size of Cityscapes' images: cut 1 for persons, riders, motorcycles and bicycles, 2 for
    cars, trucks, buses and trains; growth by squares of 3 and 5 pixels, which is 1 and 2; min_size 20, for cars 25, for trucks,
    buses and trains 45.

    Args:
        logits: (16, H, W), scores of levels.
        parts: "gate" (T + 1, H, W), probabilities of no class of things and of each.
        size_hw: H and W.
        scale_yx: pixels of the image for one of the network, in which all lengths and areas here are.
        cut: level, for all classes of things or for each, from 0 to 14.
        min_size: pixels of a core, for all classes of things or for each.
        hole: pixels.
        grow: pixels; None: as many as the cut's number.
        inside: objects grow over pixels of their class alone.

    Returns:
        Q masks, (Q,) int64 class index, (Q,) float32 score.

    Raises:
        SettingsError: levels, sizes or growth that cannot be, or not one for each class.
    """
    gate = parts["gate"].astype(np.float32)
    things = len(gate) - 1
    cuts, min_sizes = _each(cut, things, "cut"), _each(min_size, things, "min_size")
    if not all(0 <= level < len(logits) - 1 for level in cuts) or min(*min_sizes, hole, grow or 0) < 0:
        raise SettingsError(
            f"cut is {cut}, min_size {min_size}, hole {hole} and grow {grow}; cuts are levels from 0 to {len(logits) - 2}, and "
            "none of the others is negative."
        )
    label, level = gate.argmax(0), logits.argmax(0)
    prob = softmax(logits.astype(np.float32), 0)
    area = float(scale_yx[0] * scale_yx[1])
    ids = np.zeros(size_hw, np.int32)
    class_of_id: list[int] = []
    scores: list[float] = []
    for index in range(things):
        own = label == index + 1
        cores, count = _cores(own & (level > cuts[index]), min_sizes[index] * area, hole * area)
        if not count:
            continue
        scores += mean_of_ids(gate[index + 1] * prob[cuts[index] + 1 :].sum(0), cores, count).tolist()
        radius = (cuts[index] if grow is None else grow) * float(np.sqrt(area))
        grown = _grown(cores, round(radius), own if inside else None)
        ids = np.where(grown > 0, grown + len(class_of_id), ids).astype(np.int32)
        class_of_id += [index] * count
    return objects_of_ids(ids, np.array(class_of_id, np.int64), np.array(scores), 1)


def _each(value: int | tuple[int, ...], things: int, name: str) -> tuple[int, ...]:
    values = (value,) * things if isinstance(value, int) else tuple(value)
    if len(values) != things:
        raise SettingsError(f"{name} is {value}; one number, or one for each of the {things} classes of things, is expected.")
    return values


def _cores(mask: Array, min_size: float, hole: float) -> tuple[Array, int]:
    """(H, W) numbers of the connected parts of `mask`, and how many they are: without small ones, small holes filled."""
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    mask = mask & (np.bincount(parts.ravel()) >= min_size)[parts]
    gaps, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    is_hole = np.bincount(gaps.ravel()) < hole
    is_hole[gaps[0, 0]] = False  # what reaches the border of the image is outside
    mask = mask | is_hole[gaps[1:-1, 1:-1]]
    numbered, count = ndimage.label(mask, np.ones((3, 3)))
    return numbered, count


def _grown(ids: Array, radius: int, within: Array | None) -> Array:
    """Objects grown by `radius` pixels, chessboard distance, one pass for all; `within` is where they may."""
    if not radius:
        return ids
    distance, (rows, columns) = ndimage.distance_transform_cdt(ids == 0, "chessboard", return_indices=True)
    near = (distance <= radius) if within is None else (distance <= radius) & (within | (ids > 0))
    grown: Array = np.where(near, ids[rows, columns], 0)
    return grown
