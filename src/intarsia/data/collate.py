"""Samples of one size into a Batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from intarsia.core import Array, Batch, DataError

__all__ = ["PreparedSample", "collate"]


class PreparedSample(NamedTuple):
    """A sample as the network takes it.

    image: (C, h, w) float32, normalised.
    label: (h, w) ids, or None.
    key, size_hw: of the sample it came from.
    targets: further training targets by name.
    """

    image: Array
    label: Array | None
    key: str
    size_hw: tuple[int, int]
    targets: Mapping[str, Array] = MappingProxyType({})


def collate(samples: Sequence[PreparedSample]) -> Batch:
    """Stack samples.

    Raises:
        DataError: samples of different sizes; the message names two of them.
    """
    first = samples[0]
    for sample in samples:
        if sample.image.shape != first.image.shape:
            raise DataError(
                f"{first.key} and {sample.key} cannot share a batch: they are {first.image.shape} and {sample.image.shape} "
                "(channels, height, width)."
            )
    labels = [sample.label for sample in samples if sample.label is not None]
    return Batch(
        image=torch.from_numpy(np.stack([sample.image for sample in samples])),
        label=torch.from_numpy(np.stack(labels).astype(np.int64)) if len(labels) == len(samples) else None,
        keys=tuple(sample.key for sample in samples),
        sizes_hw=tuple(sample.size_hw for sample in samples),
        targets={name: torch.from_numpy(np.stack([sample.targets[name] for sample in samples])) for name in first.targets}
        or None,
    )
